"""The firewall in the daemon: a sink whose work is timed, that is looked at, put right, and told of."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

from sidecar.core.events import Ban, Decision, Turn
from sidecar.core.jail import Jail
from sidecar.firewall.netlink import FirewallError
from sidecar.firewall.table import Firewall

log = logging.getLogger(__name__)

LOOK = 30.0  # seconds between looks at a table that nobody seems to have changed
STEP = 2.0  # seconds by which the clock and the kernel's timeouts may go apart: theirs are rounded to one

Work: TypeAlias = Callable[[float], Sequence[Decision]]  # given the time, in the loop's thread


class Figures(Protocol):
    """Who counts what the firewall does."""

    def transaction(self, seconds: float, error: bool) -> None:  # noqa: FBT001 - it is what is told
        """One took so long, and did or did not fail."""

    def enforced(self, present: int, wanted: int) -> None: ...

    def repaired(self, reason: str) -> None: ...

    def dropped(self, family: str, packets: int, size: int) -> None: ...


class FirewallSink:
    """A Sink. The loop's thread owns it; any thread may call `alarm`, `look` and `state`."""

    name = "firewall"

    def __init__(
        self,
        firewall: Firewall,
        figures: Figures,
        *,
        problem: Callable[[str, str | None], None],
        tell: Callable[[str, str], None],
        soon: Callable[[Work], None],
    ) -> None:
        """`trouble(name, sentence)`: the kernel does not follow; None: it does again. `tell(what, sentence)`: people.

        `soon(work)` has something done in the loop's thread.
        """
        self._firewall, self._figures = firewall, figures
        self._trouble, self._tell, self._soon = problem, tell, soon
        self._wrong = False  # and only a look at the kernel says that it is right again
        self._alarmed = threading.Event()
        self._looked = -math.inf
        self._ahead = 0.0  # how far the wall's clock is of one that nobody sets

    def start(self, bans: Sequence[Ban], never: Iterable[str], now: float) -> None:
        """Keep these out, and never those networks. Raises FirewallError where the kernel does not follow."""
        self._ahead = now - time.monotonic()
        self._firewall.surround(never)
        self._firewall.start(bans, now)

    def apply(self, turn: Turn) -> None:
        if not turn.decisions:
            return
        began, error = time.perf_counter(), True
        try:
            self._firewall.apply(turn)
            error = False
        finally:
            self._wrong = self._wrong or error
            self._figures.transaction(time.perf_counter() - began, error)

    def regate(self, jails: Iterable[Jail], now: float) -> None:
        """The jails have changed, and with them perhaps which ports a ban closes."""
        with self._followed():
            self._firewall.regate(jails, now)

    def surround(self, never: Iterable[str], published: frozenset[int] | None) -> None:
        """Who may never be banned has changed, or the ports that containers publish (None: nobody has said)."""
        with self._followed():
            self._firewall.surround(never, published)

    def alarm(self) -> None:
        """Someone else has changed our table. Many alarms before the loop gets there are one."""
        if not self._alarmed.is_set():
            self._alarmed.set()
            self._soon(self.reconcile)

    def look(self) -> None:
        """Call it each second: is there something to be looked at?"""
        now = time.monotonic()
        if self._wrong or now - self._looked >= LOOK:
            self._looked = now
            self.alarm()

    def reconcile(self, now: float) -> Sequence[Decision]:
        """Make the kernel's table what is wanted, whoever changed it, and tell. Work of the loop's."""
        self._alarmed.clear()
        ahead = now - time.monotonic()
        stepped = abs(ahead - self._ahead) > STEP
        try:
            repair = self._firewall.reconcile(now, whole=stepped)
        except FirewallError as err:
            self._fails(err)
            return ()
        self._ahead = ahead if stepped else self._ahead
        self._figures.enforced(*self._firewall.enforced())
        self._wrong = False
        self._trouble(self.name, None)
        if repair and stepped:
            log.info("the clock was set: the kernel's timeouts follow")
        elif repair:
            self._figures.repaired(repair.what)
            log.warning(
                "someone changed our firewall table (%s): %d bans restored, %d removed",
                repair.what, repair.restored, repair.removed,
            )  # fmt: skip
            self._tell("the firewall table", f"It was changed by someone else ({repair.what}).")
        return ()

    def count(self) -> int | None:
        """Tell how much was dropped so far; how many packets that is. None: the kernel does not say."""
        try:
            counters = self._firewall.counters()
        except FirewallError as err:
            self._fails(err)
            return None
        for version, (packets, size) in counters.items():
            self._figures.dropped(f"ipv{version}", packets, size)
        return sum(packets for packets, _ in counters.values())

    def state(self) -> dict[str, Any]:
        """What `status` tells of it."""
        return {
            "ok": not self._wrong,
            "enforced": list(self._firewall.enforced()),
            "dropped": self._firewall.counters(),
        }

    def flush(self) -> bool:
        """Let everyone in. False: they stay out, as the log says."""
        try:
            self._firewall.flush()
        except FirewallError as err:  # that they stay is no reason not to end well
            log.error("the bans stay in force: %s", err)  # noqa: TRY400 - it is the kernel's, and one sentence
            return False
        return True

    def close(self) -> None:
        self._firewall.close()

    @contextmanager
    def _followed(self) -> Iterator[None]:
        """What the kernel does not follow in is told, and repaired by the next look."""
        try:
            yield
        except FirewallError as err:
            self._fails(err)

    def _fails(self, err: FirewallError) -> None:
        self._wrong = True
        self._trouble(self.name, str(err))
