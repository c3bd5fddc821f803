"""What is done in the loop from time to time, whatever else happens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from sidecar.advice import kubernetes
from sidecar.alerts.outbox import Outbox
from sidecar.app import host
from sidecar.app.guard_inputs import GuardInputs
from sidecar.app.last_run import PendingHits
from sidecar.app.metric_labels import INVALID_ADDRESS
from sidecar.core.address import Address
from sidecar.core.allowlist import OWN
from sidecar.core.events import Decision
from sidecar.core.guard import Guard
from sidecar.runtime.loop import Inbox
from sidecar.runtime.problems import Problem
from sidecar.sources.dns import Resolver
from sidecar.sources.intake import Intake
from sidecar.stores.base import StoreError
from sidecar.stores.sqlite import SqliteStore
from sidecar.telemetry.logging import records_dropped
from sidecar.telemetry.metrics import Metrics

INTERVAL_S: Final = 30.0


class Chore(Protocol):
    """One thing to be done."""

    def run(self, guard: Guard, now: float) -> Sequence[Decision]:
        """Do it. A command."""


class Housekeeping:
    """Has the loop do the chores, in their order. One that fails is logged, and the others are done."""

    def __init__(self, inbox: Inbox, chores: Iterable[Chore]) -> None:
        self._inbox = inbox
        self._chores = tuple(chores)

    def run(self) -> None:
        for chore in self._chores:
            self._inbox.submit(chore.run)


class MetricsUpdate:
    """Brings the metrics up to figures that are kept elsewhere."""

    def __init__(self, metrics: Metrics, intake: Intake, resolver: Resolver, outbox: Outbox) -> None:
        self._metrics = metrics
        self._intake = intake
        self._resolver = resolver
        self._outbox = outbox

    def run(self, guard: Guard, _now: float) -> Sequence[Decision]:
        ignored = guard.view.ignored | {INVALID_ADDRESS: self._intake.invalid}
        self._metrics.guard.update(guard.view.usage, ignored, self._resolver.dropped)
        self._metrics.allowlist.update()
        self._metrics.alerts.waiting(self._outbox.waiting)
        self._metrics.allowlist.covered(guard.view.allowlist_shares)
        self._metrics.filters.update(self._intake.usage, self._intake.lost_lines)
        self._metrics.process.log_records_dropped(records_dropped())
        return ()


class StoreCleanup:
    """Has the store forget what does not count any more, and write what it owes."""

    def __init__(
        self, store: SqliteStore, inputs: GuardInputs, pending: PendingHits, problem: Problem
    ) -> None:
        self._store = store
        self._inputs = inputs
        self._pending = pending
        self._problem = problem

    def run(self, guard: Guard, now: float) -> Sequence[Decision]:
        # Before the failures of the last run are counted, the labels that say how long they count are not known.
        if self._pending:
            return ()
        history_before = now - self._inputs.settings.dbpurgeage
        try:
            self._store.forget(now - guard.view.longest_findtime, history_before, guard.view)
        except StoreError as err:
            self._problem.set(str(err))
        else:
            self._problem.clear()
        return ()


class AllowedExpiry:
    """Ends what people allowed for a time."""

    def __init__(self, inputs: GuardInputs) -> None:
        self._inputs = inputs

    def run(self, guard: Guard, now: float) -> Sequence[Decision]:
        return self._inputs.end_allowed(guard, now)


class DroppedPackets(Protocol):
    """Counts the packets that bans have dropped: the firewall's sink."""

    def count_drops(self) -> int | None:
        """Return how many packets were dropped so far; None: unknown."""


class CiliumCheck:
    """Reports that Cilium's eBPF may carry packets past the firewall."""

    def __init__(self, firewall: DroppedPackets, problem: Problem) -> None:
        self._firewall = firewall
        self._problem = problem

    def run(self, _guard: Guard, _now: float) -> Sequence[Decision]:
        dropped = self._firewall.count_drops()
        if dropped is None:
            return ()
        if sentence := kubernetes.cilium_bypass(host.interfaces(), dropped):
            self._problem.set(sentence)
        else:
            self._problem.clear()
        return ()


class Report(Protocol):
    """Something that is reported as a problem while it lasts."""

    def report(self, now: float) -> None: ...


class Reports:
    """Looks which problems began and which are over."""

    def __init__(self, *reports: Report) -> None:
        self._reports = reports

    def run(self, _guard: Guard, now: float) -> Sequence[Decision]:
        for each in self._reports:
            each.report(now)
        return ()


class KnownAddresses(Protocol):
    """Knows addresses of this host that no interface has."""

    @property
    def current(self) -> tuple[Address, ...]: ...


class OwnNetworksCheck:
    """Notices that this host has other addresses, routes or resolvers. No engine reports that."""

    def __init__(self, inputs: GuardInputs, public: KnownAddresses) -> None:
        self._inputs = inputs
        self._public = public

    def run(self, guard: Guard, now: float) -> Sequence[Decision]:
        found = host.own_networks()
        found[OWN] = (*found[OWN], *self._public.current)
        return self._inputs.own_networks_changed(found, guard, now)
