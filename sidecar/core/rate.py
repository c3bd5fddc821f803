"""How often something happened lately. The time is an argument."""

from __future__ import annotations

from collections import deque

SLOTS = 60  # parts of `per`: as exactly as that the last `per` seconds are known


class Rate:
    """A count of the last `per` seconds, or up to a 60th more. A call takes the same time, however much it counts."""

    def __init__(self, per: float) -> None:
        self.per = per
        self._width = per / SLOTS
        self._slots: deque[list[float]] = deque()  # [where the slot ends, what was counted in it]
        self._count = 0.0

    def add(self, now: float, count: int = 1) -> float:
        """Count it; how many there are now."""
        self.count(now)
        if not self._slots or now >= self._slots[-1][0]:
            self._slots.append([now + self._width, 0])
        self._slots[-1][1] += count
        self._count += count
        return self._count

    def count(self, now: float) -> float:
        """How many there are now."""
        if self._slots and now < self._slots[-1][0] - self._width - self.per:
            self._slots.clear()  # the clock was set back: what is counted would never be over
            self._count = 0
        while self._slots and self._slots[0][0] <= now - self.per:
            self._count -= self._slots.popleft()[1]
        return self._count
