"""Memory, before it is short: the guard forgets what can be spared before the kernel ends the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.core.events import Decision
from sidecar.core.guard import Guard
from sidecar.core.max_bans import MIN_BANS
from sidecar.runtime.loop import Inbox
from sidecar.runtime.memory import MemoryCgroup, MemoryUse, give_back_free_memory
from sidecar.runtime.problems import Problem

# Failures of 300,000 new addresses a second, the most that was measured, take 15 MB in this time.
INTERVAL_S: Final = 0.25
# Shares of the limit.
SHORT: Final = 0.8
ENOUGH: Final = 0.65
# What was freed is used again before more is taken, so the next relief waits for this long.
MIN_RELIEF_INTERVAL_CHECKS: Final = 4
# A flood leaves memory in pieces, which are used again and not given back. So the share used may stay above ENOUGH for
# ever; after this long below SHORT the flood is over too (60 s).
CALM_CHECKS: Final = 240


class MemoryWatch:
    """Looks how much memory this container uses, in a thread of its own."""

    def __init__(self, inbox: Inbox, cgroup: MemoryCgroup | None, problem: Problem) -> None:
        """`cgroup` is None where nothing limits the memory."""
        self._inbox = inbox
        self._cgroup = cgroup
        self._problem = problem
        self._is_short = False
        self._checks_to_wait = 0
        # Since it was last short.
        self._calm_checks = 0

    def check(self) -> None:
        """Have the guard forget something if memory is short."""
        self._checks_to_wait = max(0, self._checks_to_wait - 1)
        use = self._cgroup.use() if self._cgroup else None
        if self._cgroup and use and use.used >= use.limit * SHORT and not self._checks_to_wait:
            # What the last relief freed may be enough.
            give_back_free_memory()
            use = self._cgroup.use()
        if use is None:
            return
        self._calm_checks += 1
        if use.used >= use.limit * SHORT:
            self._is_short = True
            self._calm_checks = 0
            self._problem.set(memory_short(use))
            if not self._checks_to_wait:
                self._checks_to_wait = MIN_RELIEF_INTERVAL_CHECKS
                self._inbox.submit(_relieve)
        elif self._is_short and (use.used < use.limit * ENOUGH or self._calm_checks >= CALM_CHECKS):
            self._is_short = False
            self._inbox.submit(_recover)
            self._problem.clear()


def memory_short(use: MemoryUse) -> str:
    """Return what is short, what follows from it, and what to change."""
    return (
        f"{use.used / 1e6:.0f} of the {use.limit / 1e6:.0f} MB that this container may use are used: the oldest "
        "failures, log lines and former bans are forgotten, but for the newest. The number of bans does not grow "
        f"beyond what it is now, or {MIN_BANS:,d}: then a new ban ends those that would have ended first. Raise the "
        "memory limit (mem_limit in compose, resources.limits.memory in the chart)"
    )


def _relieve(guard: Guard, _now: float) -> Sequence[Decision]:
    guard.relieve_memory()
    return ()


def _recover(guard: Guard, _now: float) -> Sequence[Decision]:
    guard.memory_recovered()
    return ()
