"""How much longer the next ban lasts: fail2ban's `bantime.increment` and its family."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from sidecar.core.bantime_formula import Formula

DOUBLINGS: Final = 20  # fail2ban's; twelve years for ten minutes


@dataclass(frozen=True, slots=True)
class Escalation:
    """`bantime.increment = true`, with what else was said about it."""

    factor: float = 1.0
    multipliers: tuple[float, ...] = ()  # the last one holds for all further bans
    formula: Formula | None = None  # None: doubled each time
    maxtime: float = math.inf  # seconds
    rndtime: float = 0.0  # seconds at most that chance adds, past `maxtime` too
    overalljails: bool = False  # bans in other jails count as well

    def bantime(self, base: float, before: int, chance: float) -> float:
        """Seconds that a ban lasts after so many before it. `chance`: from 0 to 1.

        The first ban lasts its jail's bantime, and none is shorter than that but for `maxtime`.
        """
        if not before or base == math.inf:
            return base
        if self.multipliers:
            lasting = base * self.factor * self.multipliers[min(before, len(self.multipliers) - 1)]
        elif self.formula:
            lasting = max(base, self.formula(base, before, self.factor))
        else:
            lasting = max(base, base * 2.0 ** min(before, DOUBLINGS) * self.factor)
        return min(lasting, self.maxtime) + chance * self.rndtime

    def weight(self, before: int, maxretry: int) -> int:
        """How many failures one of theirs is: after 1, 2, 3, 4 bans 2, 3, 5, 9 of them, as fail2ban counts."""
        return min((1 << min(before, DOUBLINGS)) // 2 + 1, maxretry) if before else 1
