"""The firewall in the daemon: a sink that times transactions, and has the table checked and repaired.

    turn ─▶ apply                                   (loop)
    monitor, timer ─▶ table_changed ─▶ inbox ─▶ repair    (any thread, then the loop)

After a failure, only a comparison with the kernel shows that all bans are in force again, so only `repair` clears the
problem.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from sidecar.core.address import Address
from sidecar.core.events import Ban, Decision, Turn
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.firewall.backend import AddressDrops, Repair
from sidecar.firewall.errors import FirewallError
from sidecar.firewall.firewall import Firewall
from sidecar.firewall.layout import LayoutFile
from sidecar.firewall.repair_log import RepairLog
from sidecar.runtime.loop import Inbox
from sidecar.runtime.problems import Problems

log = logging.getLogger(__name__)

# The problem of a firewall that does not do what it is asked to.
FIREWALL_PROBLEM: Final = "firewall"

# The problem of a kernel that cannot do all that the firewall needs.
LIMITATION_PROBLEM: Final = "answers to banned addresses"

# Between checks while there is no sign of a change.
CHECK_INTERVAL_S = 30.0

# By how much the clock and the kernel's timeouts may drift apart: timeouts are rounded to one second. They do so where
# NTP slews the clock, and while the machine is suspended.
MAX_DRIFT_S = 2.0


class FirewallListener(Protocol):
    """Is notified of what the firewall does: the metrics."""

    def transaction(self, seconds: float, error: bool) -> None:  # noqa: FBT001
        """One transaction took this long, and did or did not fail."""

    def enforced(self, present: int, desired: int, /) -> None:
        """A number of the desired bans were in force at the last comparison."""

    def repaired(self, reason: str) -> None:
        """A change of this kind (`RepairKind`) was undone."""

    def dropped(self, family: str, packets: int, size: int) -> None:
        """A number of packets and bytes of this IP version were dropped so far."""


class RepairListener(Protocol):
    """Is notified when a change by another program was undone."""

    def table_repaired(self, repair: Repair, now: float) -> None: ...


class FirewallSink:
    """A Sink. The loop's thread owns it; any thread may call `table_changed`, `check` and what reads counters."""

    # Not FIREWALL_PROBLEM: the loop clears the problem with a sink's name after each turn that works.
    name = "firewall transactions"

    def __init__(
        self,
        firewall: Firewall,
        inbox: Inbox,
        problems: Problems,
        metrics: FirewallListener,
        listener: RepairListener,
        *,
        layout_file: LayoutFile | None = None,
    ) -> None:
        self._firewall = firewall
        self._inbox = inbox
        self._problem = problems.problem(FIREWALL_PROBLEM)
        self._limitation = problems.problem(LIMITATION_PROBLEM, critical=False)
        self._metrics = metrics
        self._listener = listener
        self._layout_file = layout_file
        self._is_failing = False
        self._checks, self._repairs = _Checks(), RepairLog()

    def start(self, bans: Sequence[Ban] | None, allowlist: Iterable[str], now: float) -> None:
        """Enforce these bans (None: those that it enforces already), and never drop packets of these networks.

        Raises FirewallError.
        """
        self._checks.clock_offset_s = now - time.monotonic()
        self._firewall.set_topology(allowlist, now)
        if bans is not None:
            self._firewall.start(bans, now)
        if limitation := self._firewall.limitation:
            self._limitation.set(limitation)
        self._keep_layout()

    def apply(self, turn: Turn) -> None:
        """Carry out the decisions of one turn."""
        if not turn.decisions:
            return
        began, error = time.perf_counter(), True
        try:
            with self._failures_reported():
                self._firewall.apply(turn)
                error = False
        finally:
            self._metrics.transaction(time.perf_counter() - began, error)

    def reconfigure(self, jails: Iterable[Jail], now: float) -> None:
        """Make these all the jails; a ban closes their ports as they are now."""
        with self._failures_reported():
            self._firewall.reconfigure(jails, now)
        self._keep_layout()

    def set_topology(self, allowlist: Iterable[str], now: float, published: frozenset[int] | None) -> None:
        """Never drop packets of these networks, and close these published ports (None: the same as before)."""
        with self._failures_reported():
            self._firewall.set_topology(allowlist, now, published)
        self._keep_layout()

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        self._firewall.shift(by_s)
        self._checks.clock_offset_s += by_s

    def table_changed(self) -> None:
        """Have the table compared with the desired state. Calls that come before the loop gets to it are one."""
        if self._checks.request():
            self._inbox.submit(self.repair)

    def check(self) -> None:
        """Have the table compared if it is time for that. Called each second."""
        if self._checks.take_due(time.monotonic(), at_once=self._is_failing):
            self.table_changed()

    def repair(self, guard: Guard, now: float) -> Sequence[Decision]:
        """Bring the table to the desired state, and report what another program had changed. A Command."""
        del guard
        clock_offset_s = self._checks.begin(now)
        has_drifted = abs(clock_offset_s - self._checks.clock_offset_s) > MAX_DRIFT_S
        try:
            repair = self._firewall.repair(now, whole=has_drifted)
        except FirewallError as err:
            self._fail(err)
            return ()
        self._is_failing = False
        self._problem.clear()
        self._metrics.enforced(*self._firewall.enforced())
        if has_drifted:
            self._checks.clock_offset_s = clock_offset_s
        if repair and has_drifted:
            log.info("the kernel's timeouts, which stand still in a suspend, were adjusted to the clock")
        elif repair:
            self._report(repair, now)
        return ()

    def count_drops(self) -> int | None:
        """Report how much was dropped so far, and return how many packets that is. None: the kernel does not say."""
        try:
            dropped = self._firewall.dropped()
        except FirewallError as err:
            self._fail(err)
            return None
        for version, count in dropped.items():
            self._metrics.dropped(f"ipv{version}", count.packets, count.bytes)
        return sum(count.packets for count in dropped.values())

    def state(self) -> dict[str, Any]:
        """Return what `wp-sidecar status` shows: ok, enforced [in force, desired], dropped by IP version."""
        return {
            "ok": not self._is_failing,
            "enforced": list(self._firewall.enforced()),
            "dropped": {str(version): tuple(count) for version, count in self._firewall.dropped().items()},
        }

    def dropped_from(self, addresses: Collection[Address]) -> Mapping[Address, AddressDrops]:
        """Return what was dropped of these addresses, in any thread; where it is unknown, they are absent."""
        try:
            return self._firewall.dropped_from(addresses, time.time())
        except FirewallError as err:
            log.warning("bans are shown without what was dropped: %s", err)
            return {}

    def flush(self) -> bool:
        """Unban all addresses. Return False if the kernel refuses; the log says why."""
        try:
            self._firewall.flush()
        except FirewallError as err:
            # That bans stay in force is no reason to end with an error.
            log.error("the bans stay in force: %s", err)  # noqa: TRY400
            return False
        return True

    def close(self) -> None:
        self._firewall.close()

    def _keep_layout(self) -> None:
        """Remember the layout, for a start after a reboot."""
        if self._layout_file:
            self._layout_file.write(self._firewall.layout)

    def _report(self, repair: Repair, now: float) -> None:
        self._metrics.repaired(repair.kind.value)
        self._repairs.report(repair, time.monotonic())
        self._listener.table_repaired(repair, now)

    @contextmanager
    def _failures_reported(self) -> Iterator[None]:
        """Report a failure within; the next repair makes up for what was not done."""
        try:
            yield
        except FirewallError as err:
            self._fail(err)

    def _fail(self, err: FirewallError) -> None:
        self._is_failing = True
        self._problem.set(str(err))


class _Checks:
    """When the table is to be checked."""

    def __init__(self) -> None:
        # How far the wall clock is ahead of the monotonic clock.
        self.clock_offset_s = 0.0
        self._requested = threading.Event()
        self._last = -math.inf

    def request(self) -> bool:
        """Ask for a check. Return False if one is asked for already."""
        if self._requested.is_set():
            return False
        self._requested.set()
        return True

    def begin(self, now: float) -> float:
        """Begin the check that was asked for. Return how far the wall clock is ahead now."""
        self._requested.clear()
        return now - time.monotonic()

    def take_due(self, monotonic: float, *, at_once: bool) -> bool:
        """Return whether it is time for another check. The next one is due a while after this one."""
        if not at_once and monotonic - self._last < CHECK_INTERVAL_S:
            return False
        self._last = monotonic
        return True
