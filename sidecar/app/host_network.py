"""Whether this is the host's own network, by what the container engine says: elsewhere bans drop nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from sidecar.advice.namespace import not_host_network
from sidecar.core.containers import is_host_network
from sidecar.core.events import Topology
from sidecar.runtime.problems import Problems

NAMESPACE_PROBLEM: Final = "network namespace"


class HostNetwork:
    """Owned by the loop's thread. `is_ours` is None while nothing shows it."""

    def __init__(self, own_addresses: Callable[[], Iterable[str]], problems: Problems) -> None:
        self.is_ours: bool | None = None
        self._own_addresses, self._problems = own_addresses, problems

    def judge(self, topology: Topology) -> None:
        """Judge by this topology, and report that it is not the host's."""
        self.is_ours = is_host_network(self._own_addresses(), topology.networks, topology.containers)
        self._problems.report(NAMESPACE_PROBLEM, not_host_network() if self.is_ours is False else None)
