"""How much processor time each filter takes, and which filter has taken too much and is suspended.

A bad expression must not hold up the logs of all the other filters. Only slow lines count: a flood of lines that are
decided quickly never suspends a filter, however long it lasts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problems

# For one line; a usual one takes some microseconds, so only a bad expression gets here.
SLOW_LINE_S: Final = 0.02
# What slow lines may take together in each minute.
BUDGET_S: Final = 1.0
BUDGET_PERIOD_S: Final = 60.0
# How long a filter is suspended before it is tried again.
SUSPENSION_S: Final = 600.0


class CpuBudget:
    """One filter's: what it has taken so far, and until when it is suspended (0: it is not).

    Times are a monotonic clock's seconds.
    """

    def __init__(self, name: str, problems: Problems) -> None:
        """`name` is the filter's; `problems` is where a suspension is reported."""
        self.seconds = 0.0
        self.matches = 0
        # Lines that looked like a failure and were not, until the first that was.
        self.misses = 0
        self.suspended_until = 0.0
        self._name = name
        self._problem = problems.problem(f"filter {name}")
        self._slow: deque[tuple[float, float]] = deque()

    def charge_slow_line(self, seconds: float, at: float) -> None:
        """Note that a line took this long; if it is one too many in a minute, the filter is suspended."""
        self._slow.append((at, seconds))
        while self._slow[0][0] <= at - BUDGET_PERIOD_S:
            self._slow.popleft()
        if sum(spent for _, spent in self._slow) <= BUDGET_S:
            return
        self._slow.clear()
        self.suspended_until = at + SUSPENSION_S
        self._problem.set(
            f"filter {self._name} took more than {BUDGET_S:.0f} s of a minute for single lines and is suspended for"
            f" {SUSPENSION_S / 60:.0f} minutes: its jails see nothing until then."
            " Mend its slow expressions; check-config names them"
        )

    def is_suspended(self, at: float) -> bool:
        """Return whether the filter is suspended; the first question after its time ends that."""
        if not self.suspended_until:
            return False
        if at < self.suspended_until:
            return True
        self.lift()
        return False

    def lift(self) -> None:
        """End the suspension, if there is one."""
        if self.suspended_until:
            self.suspended_until = 0.0
            self._problem.clear()


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
