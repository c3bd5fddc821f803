"""The health that probes and `wp-sidecar health` see."""

from __future__ import annotations

import time
from typing import Final, Protocol

from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problems
from sidecar.telemetry.http import Health

# A loop that has not turned for this long counts as dead. The longest real turn, 100,000 bans, takes 1 s.
MAX_TURN_S: Final = 30.0


class TurningLoop(Protocol):
    """The loop, as health sees it."""

    last_turn_at: float


class LoopHealth:
    """Live while the loop turns; ready while no problem is critical. Any thread may ask."""

    def __init__(self, loop: TurningLoop, problems: Problems, clock: Clock = time.monotonic) -> None:
        self._loop = loop
        self._problems = problems
        self._clock = clock

    def health(self) -> Health:
        silent_s = self._clock() - self._loop.last_turn_at
        why = self._problems.sentences
        if silent_s >= MAX_TURN_S:
            return Health(
                live=False, ready=False, why=(*why, f"the loop has not turned for {silent_s:.0f} s")
            )
        return Health(live=True, ready=not self._problems.critical, why=why)
