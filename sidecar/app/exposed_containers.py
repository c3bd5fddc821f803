"""Which watched containers have a log that may name any address (`advice.exposure`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Protocol

from sidecar.advice.exposure import entrances, exposed_by, exposure
from sidecar.core.containers import Container
from sidecar.runtime.problems import Problems

EXPOSURE_PROBLEM: Final = "the client address at "


class ExposureMetrics(Protocol):
    """Counts exposed containers."""

    def exposed(self, containers: int) -> None: ...


class ExposedContainers:
    """Owned by the loop's thread."""

    def __init__(self, metrics: ExposureMetrics, problems: Problems) -> None:
        self._metrics = metrics
        self._problems = problems
        self._by_name: dict[str, Container] = {}

    def replace(self, watched: Sequence[Container], front_ends: frozenset[str] = frozenset()) -> None:
        """Find the exposed among these containers, and report each way in once.

        `front_ends` are the names of those that nobody chose. Such a container may be a database: what is known of it
        is only that it may lead to a site, so it is reported with the sites behind it or not at all.
        """
        ways_in, sites = dict[str, Container](), defaultdict[str, list[str]](list)
        for each in watched:
            for found in () if each.name in front_ends else entrances(each):
                ways_in[found.name] = found
                sites[found.name].append(each.name)
        sentences = {
            f"{EXPOSURE_PROBLEM}{name}": exposed_by(found, sites[name]) for name, found in ways_in.items()
        }
        self._problems.replace(EXPOSURE_PROBLEM, sentences)
        exposed = {name for behind in sites.values() for name in behind} | ways_in.keys()
        self._by_name = {each.name: each for each in watched if each.name in exposed}
        self._metrics.exposed(len(self._by_name))

    def advice(self, name: str) -> str | None:
        """Return what to change about the container of this name; None: it is not exposed."""
        container = self._by_name.get(name)
        return exposure(container) if container else None
