"""Notices that somebody set the clock, and has all that is remembered by it keep the time that it has left.

A jump forward would otherwise end all shorter bans at once, and a ban that was made while the clock was ahead would
stay until then. The kernel counts its timeouts by a clock that nobody sets, so it needs to be told nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from sidecar.core.clock_steps import ForwardSteps
from sidecar.core.durations import format_duration
from sidecar.core.events import Hit
from sidecar.core.guard import Guard
from sidecar.runtime.clock import HostClock
from sidecar.runtime.problems import Problem

log = logging.getLogger(__name__)

# People are notified of longer steps. Shorter ones are usual where NTP begins.
ALERTED_STEP_S: Final = 60.0


class RemembersTimes(Protocol):
    """Remembers unix times of its own: the firewall, the store."""

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""


class ClockWatch:
    """The clock of the loop."""

    def __init__(self, clock: HostClock, keepers: Sequence[RemembersTimes], problem: Problem) -> None:
        """`keepers` remember times besides the guard. `problem` is set and cleared at once: a step is over."""
        self._clock = clock
        self._keepers = keepers
        self._problem = problem
        self._steps = ForwardSteps()

    def begin_turn(self, guard: Guard) -> float:
        """Return the time. If the clock was set since the last turn, all that is remembered has moved with it."""
        before = self._clock.reading.at
        if step := self._clock.look():
            self._steps.add(before, step)
            guard.shift(step)
            for each in self._keepers:
                each.shift(step)
            self._report(step)
        return self._clock.reading.at

    def dated(self, hits: Sequence[Hit]) -> Sequence[Hit]:
        """Return these hits by the clock of this turn, as their lines may be from before it was set."""
        return self._steps.moved(hits, self._clock.reading.at)

    def _report(self, step: float) -> None:
        length, direction = format_duration(abs(step)), "forward" if step > 0 else "back"
        sentence = (
            f"the clock was set {length} {direction}: bans keep the time that is left, and failures their age"
        )
        if abs(step) < ALERTED_STEP_S:
            log.info("%s", sentence)
            return
        self._problem.set(sentence)
        self._problem.clear()
