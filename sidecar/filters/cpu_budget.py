"""How much processor time each filter takes, and in which logs it has taken too much and is suspended.

A bad expression must not hold up all logs, and the lines that make it slow may be written by somebody for that. So a
filter is suspended for the log in which it was slow, and looks at all others. Only slow lines count: a flood of lines
that are decided quickly never suspends a filter, however long it lasts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Final, TypeAlias

from sidecar.core.events import Origin
from sidecar.core.text import printable
from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problems

# For one line; a usual one takes some microseconds, so only a bad expression gets here.
SLOW_LINE_S: Final = 0.02
# What slow lines of one log may take together in each minute.
BUDGET_S: Final = 1.0
BUDGET_PERIOD_S: Final = 60.0
# How long a filter is suspended before it is tried again.
SUSPENSION_S: Final = 600.0
MAX_NAME_CHARS: Final = 200

LogName: TypeAlias = tuple[str, str]
"""The kind of source that reads a log, and the log's name there."""


class CpuBudget:
    """One filter's: what it has taken so far, and for which logs it is suspended, until when.

    Times are a monotonic clock's seconds. Any thread may charge it and ask it.
    """

    def __init__(self, name: str, problems: Problems) -> None:
        """`name` is the filter's; `problems` is where a suspension is reported."""
        self.seconds = 0.0
        self.matches = 0
        # Lines that looked like a failure and were not, until the first that was.
        self.misses = 0
        # Until when it is suspended. It is asked for each line, and nearly always empty. It is replaced, not changed.
        self.suspended: Mapping[LogName, float] = {}
        self._name = name
        self._problem = problems.problem(f"filter {name}")
        # When lines of each log were slow, and how many seconds they took.
        self._slow: dict[LogName, deque[tuple[float, float]]] = {}
        self._lock = threading.Lock()

    def charge_slow_line(self, origin: Origin, seconds: float, at: float) -> None:
        """Note that a line took this long; if it is one too many in a minute, the filter is suspended in its log."""
        with self._lock:
            name = _name_of(origin)
            self._slow.setdefault(name, deque()).append((at, seconds))
            # Containers come and go, and with them their logs.
            for other, slow in list(self._slow.items()):
                while slow and slow[0][0] <= at - BUDGET_PERIOD_S:
                    slow.popleft()
                if not slow:
                    del self._slow[other]
            if sum(spent for _, spent in self._slow[name]) <= BUDGET_S:
                return
            del self._slow[name]
            self.suspended = {**self.suspended, name: at + SUSPENSION_S}
            self._report()

    def is_suspended(self, origin: Origin, at: float) -> bool:
        """Return whether the filter is suspended in a log; the first question after its time ends that.

        A question about any log does: that of a container that is gone is never asked about again.
        """
        if any(until <= at for until in self.suspended.values()):
            with self._lock:
                self.suspended = {name: until for name, until in self.suspended.items() if at < until}
                self._report()
        return self.may_be_suspended(origin)

    def may_be_suspended(self, origin: Origin) -> bool:
        """Return whether the filter is suspended in a log, or was and nobody has asked since."""
        return _name_of(origin) in self.suspended

    def lift(self) -> None:
        """End all suspensions."""
        with self._lock:
            if self.suspended:
                self.suspended = {}
                self._report()

    def _report(self) -> None:
        if not self.suspended:
            self._problem.clear()
            return
        *others, (_, newest) = self.suspended
        more = f" and {len(others)} more" if others else ""
        self._problem.set(
            f"filter {self._name} took more than {BUDGET_S:.0f} s of a minute for single lines of"
            f" {printable(newest, MAX_NAME_CHARS)}{more}, and is suspended there for {SUSPENSION_S / 60:.0f} minutes:"
            " its jails see nothing of these logs until then. Mend its slow expressions; check-config names them"
        )


def _name_of(origin: Origin) -> LogName:
    return origin.source, origin.name


class Stopwatch(threading.local):
    """Measures with a clock, and says how much of the processor the calling thread has had meanwhile."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self._cpu = 0.0

    def restart(self) -> None:
        """Count this thread's processor time from now on."""
        self._cpu = time.thread_time()

    def cpu_seconds(self) -> float:
        """Return this thread's processor time since the last `restart()`, or since this was last asked."""
        now = time.thread_time()
        spent, self._cpu = now - self._cpu, now
        return spent
