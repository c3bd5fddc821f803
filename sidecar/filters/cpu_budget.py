"""How much time a filter has taken, and whether it may go on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

SLOW: Final = (
    0.02  # seconds for one line; a usual one takes 5 microseconds, so only a bad expression gets here
)
BUDGET: Final = 1.0  # seconds a minute in lines that were slow
MINUTE: Final = 60.0
REST: Final = 600.0  # seconds until a filter that was over its budget is tried again


@dataclass(slots=True)
class Meter:
    """One filter's. A flood of lines that are decided quickly never counts against it, however long it lasts."""

    seconds: float = 0.0
    matches: int = 0
    until: float = 0.0  # it rests until then; 0: it does not. Times are a monotonic clock's
    slow: deque[tuple[float, float]] = field(default_factory=deque)

    def slowed(self, seconds: float, at: float) -> bool:
        """A line took this long; was it the one too many?"""
        self.slow.append((at, seconds))
        while self.slow[0][0] <= at - MINUTE:
            self.slow.popleft()
        if sum(spent for _, spent in self.slow) <= BUDGET:
            return False
        self.slow.clear()
        self.until = at + REST
        return True
