"""How often something happened lately. The time is an argument."""

from __future__ import annotations

from collections import deque
from typing import Final

# The period is counted in this many parts, so its beginning is known as exactly as one part is long.
SLOTS: Final = 60


class Rate:
    """A count of the last `period_s` seconds, or up to a 60th more. A call takes the same time for any count."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self._width_s = period_s / SLOTS
        # [when the slot ends, what was counted in it]
        self._slots: deque[list[float]] = deque()
        self._count = 0.0

    def add(self, now: float, count: int = 1) -> float:
        """Count it, and return how many there are now."""
        self.count(now)
        if not self._slots or now >= self._slots[-1][0]:
            self._slots.append([now + self._width_s, 0])
        self._slots[-1][1] += count
        self._count += count
        return self._count

    def count(self, now: float) -> float:
        """Return how many there are now."""
        # If the clock was set back, what is counted would stay for as long as it was set back by.
        if self._slots and now < self._slots[-1][0] - self._width_s - self.period_s:
            self._slots.clear()
            self._count = 0
        while self._slots and self._slots[0][0] <= now - self.period_s:
            self._count -= self._slots.popleft()[1]
        return self._count
