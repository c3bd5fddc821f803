"""Bans that end early because there are too many: reported while that goes on."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.events import Decision, UnbanCause
from sidecar.core.guard import Guard
from sidecar.runtime.problems import Problem


class MaxBansReport:
    """A Chore."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._merged = self._crowded_out = 0

    def run(self, guard: Guard, _now: float) -> Sequence[Decision]:
        ended = guard.view.usage.ended_early
        merged, crowded_out = ended.get(UnbanCause.MERGED, 0), ended.get(UnbanCause.CROWDED_OUT, 0)
        if (merged, crowded_out) != (self._merged, self._crowded_out):
            new_merged, new_crowded_out = merged - self._merged, crowded_out - self._crowded_out
            self._merged, self._crowded_out = merged, crowded_out
            self._problem.set(_limit_reached(guard.view.ban_count, new_merged, new_crowded_out))
        else:
            self._problem.clear()
        return ()


def _limit_reached(count: int, merged: int, crowded_out: int) -> str:
    return (
        f"there are as many bans as may be in force ({count:,} now): {merged:,} were replaced by bans of their "
        f"networks, and {crowded_out:,} that would have ended first ended early. Raise maxbans in [DEFAULT], and with "
        "it the memory limit, or shorten bantime"
    )
