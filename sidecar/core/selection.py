"""Which containers are watched, and by which jails.

`wp-sidecar.enable=true` chooses a container. Where no container carries that label, every one whose image is a
WordPress does. `wp-sidecar.enable=false` always excludes, whatever else would choose it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from sidecar.core.jail import Jail

LABEL = "wp-sidecar.enable"


@dataclass(frozen=True, slots=True)
class Container:
    """A running container, as its engine describes it."""

    id: str
    name: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    published: frozenset[int] = frozenset()  # the host's ports that lead to it
    gateways: tuple[str, ...] = ()  # of its networks: what reaches it through the host comes from these
    proxied: bool = False  # published for IPv6 and without an IPv6 network: such clients come as its gateway


def choose(containers: Sequence[Container], jails: Iterable[Jail]) -> dict[str, tuple[str, ...]]:
    """Container id -> the names of the jails that look at it; unwatched containers are absent.

    A jail with `containers` looks at those; one with `logpath` alone at none, unless
    that is absent; one with neither at the discovered.
    """
    found = discovered(containers)
    chosen: dict[str, tuple[str, ...]] = {}
    for container in containers:
        names = tuple(jail.name for jail in jails if _looks_at(jail, container, found))
        if names:
            chosen[container.id] = names
    return chosen


def discovered(containers: Iterable[Container]) -> frozenset[str]:
    """The ids of the containers that nobody had to name."""
    allowed = [c for c in containers if c.labels.get(LABEL, "").lower() != "false"]
    labelled = [c for c in allowed if c.labels.get(LABEL, "").lower() == "true"]
    return frozenset(c.id for c in labelled or allowed if labelled or "wordpress" in c.image)


def selects(selector: str, container: Container) -> bool:
    """Does `label`, `label=value` or a name glob choose this container?

    A selector with `=` is about labels; any other is a name glob, or the bare name of a label that is set.
    """
    key, equals, value = selector.partition("=")
    if equals:
        return key in container.labels and fnmatchcase(container.labels[key], value)
    return fnmatchcase(container.name, selector) or selector in container.labels


def _looks_at(jail: Jail, container: Container, found: frozenset[str]) -> bool:
    if container.labels.get(LABEL, "").lower() == "false":
        return False
    if jail.containers:
        return any(selects(selector, container) for selector in jail.containers)
    return (jail.absent or not jail.logpath) and container.id in found
