"""How much longer the next ban of an address lasts: fail2ban's `bantime.increment` and its family."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

from sidecar.core.bantime_formula import Formula

# fail2ban's. A ban of ten minutes is twelve years then.
MAX_DOUBLINGS: Final = 20


class Chance(Protocol):
    """Random numbers, as `random.Random` makes them."""

    def random(self) -> float:
        """Return a number from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """`bantime.increment = true`, with the other settings of its family.

    The last of `multipliers` holds for all further bans. Without multipliers and `formula` the ban time doubles.
    `maxtime` and `rndtime` are seconds, and `rndtime` is added past `maxtime` too. `overalljails` counts the bans of
    other jails as well.
    """

    factor: float = 1.0
    multipliers: tuple[float, ...] = ()
    formula: Formula | None = None
    maxtime: float = math.inf
    rndtime: float = 0.0
    overalljails: bool = False

    def bantime(self, base: float, previous_bans: int, chance: float) -> float:
        """Return the seconds that a ban lasts after this many. `base` is the jail's, `chance` is from 0 to 1.

        The first ban lasts its jail's ban time, and none is shorter than that unless `maxtime` is.
        """
        if not previous_bans or base == math.inf:
            return base
        if self.multipliers:
            seconds = base * self.factor * self.multipliers[min(previous_bans, len(self.multipliers) - 1)]
        elif self.formula:
            seconds = max(base, self.formula(base, previous_bans, self.factor))
        else:
            seconds = max(base, base * 2.0 ** min(previous_bans, MAX_DOUBLINGS) * self.factor)
        return min(seconds, self.maxtime) + chance * self.rndtime

    def weight(self, previous_bans: int, maxretry: int) -> int:
        """Return how many failures one failure counts for: after 1, 2, 3, 4 bans 2, 3, 5, 9, as in fail2ban."""
        return min((1 << min(previous_bans, MAX_DOUBLINGS)) // 2 + 1, maxretry) if previous_bans else 1
