"""What other threads notice about this host, passed on to the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from sidecar.advice.unwatched import unwatched
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.app.guard_inputs import GuardInputs
from sidecar.app.host_network import HostNetwork
from sidecar.app.last_run import PendingHits
from sidecar.core.address import Address
from sidecar.core.events import Decision, Topology
from sidecar.core.guard import Guard
from sidecar.runtime.loop import Inbox
from sidecar.runtime.problems import Problems

UNWATCHED_PROBLEM: Final = "watching "


class HostChanges:
    """Listens to the container engine and to the resolver. Any thread may call it."""

    def __init__(
        self,
        inbox: Inbox,
        inputs: GuardInputs,
        exposed: ExposedContainers,
        network: HostNetwork,
        pending: PendingHits,
        *,
        problems: Problems,
    ) -> None:
        self._inbox = inbox
        self._inputs = inputs
        self._exposed = exposed
        self._network = network
        self._pending = pending
        self._problems = problems

    def on_topology_changed(self, topology: Topology) -> None:
        self._inbox.submit(partial(self._apply_topology, topology))

    def on_names_resolved(self, resolved: Mapping[str, tuple[Address, ...]]) -> None:
        self._inbox.submit(partial(self._inputs.names_resolved, resolved))

    def _apply_topology(self, topology: Topology, guard: Guard, now: float) -> Sequence[Decision]:
        """Apply the topology. With the first one it is known which failures of the last run count."""
        self._exposed.replace(topology.containers, topology.front_ends)
        sentences = {f"{UNWATCHED_PROBLEM}{name}": unwatched(name) for name in topology.unwatched}
        self._problems.replace(UNWATCHED_PROBLEM, sentences)
        self._network.judge(topology)
        decisions = self._inputs.topology_changed(topology, guard, now)
        return [*decisions, *self._pending.count(guard, now)]
