"""Whether the clock was set, and by how much: what is remembered then keeps the time that it has left.

Bans and failures are remembered by the wall clock, as logs and people have it. When somebody sets that clock, all that
is remembered moves with it (`Guard.shift`), so that each ban ends when it would have, and failures are as old as they
were. The machine has another clock that nobody sets, and that tells one from the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from sidecar.core.events import Hit

# Smaller steps are left alone, and so is the slewing of NTP, which is 0.1 s a second at most.
MIN_STEP_S: Final = 2.0

# Steps forward that are remembered for lines from before them.
MAX_STEPS: Final = 16


class ClockReading(NamedTuple):
    """The wall clock and the clock that nobody sets, looked at together.

    `boot` names the run of the machine that `since_boot_s` counts, suspends included. `at` is unix time.
    """

    boot: str
    since_boot_s: float
    at: float


def clock_step(before: ClockReading, now: ClockReading) -> float:
    """Return by how many seconds what was noted until then has to move; 0: not at all.

    A machine that was started again may have no clock of its own, and begin in 1970, or at the time when it was shut
    down. If its clock is behind what it was, nobody knows how long it was off: it counts as no time, so no ban is
    over too soon. If it is ahead, it is believed.
    """
    if now.boot == before.boot:
        step = (now.at - now.since_boot_s) - (before.at - before.since_boot_s)
    else:
        step = min(0.0, now.at - before.at)
    return step if abs(step) > MIN_STEP_S else 0.0


class ForwardSteps:
    """The steps forward of this run: a line that was written before one and is read after it moves as well.

    Otherwise it would be as much too old, and not count. After a step back such a line is in the future, and counts as
    one of now.
    """

    def __init__(self) -> None:
        # The first time of the clock after a step that no line from before it can have, and the step.
        self._steps: deque[tuple[float, float]] = deque(maxlen=MAX_STEPS)

    def add(self, at: float, step: float) -> None:
        """The clock was set by so many seconds after it was `at`."""
        if step > 0:
            self._steps.append((at + step, step))
        else:
            # The times from before an earlier step come again now.
            self._steps.clear()

    def moved(self, hits: Sequence[Hit], now: float) -> Sequence[Hit]:
        """Return these hits with the times that their lines would have now."""
        if not self._steps:
            return hits
        return [hit._replace(at=min(self._moved(hit.at), now)) for hit in hits]

    def _moved(self, at: float) -> float:
        for before, step in self._steps:
            if at < before:
                at += step
        return at
