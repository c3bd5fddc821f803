"""When bans end."""

from __future__ import annotations

import heapq
import math
from operator import attrgetter
from typing import Final

from sidecar.core.events import Ban

# Bans that end within one slot are looked through together. A heap of single bans would weigh ten times as much.
SLOT_S: Final = 64.0


class BanExpiry:
    """Bans by their end. A ban that was lifted or replaced stays here until its time, and the caller ignores it.

    `next_at` is when the next one ends; `math.inf`: none does.
    """

    def __init__(self) -> None:
        self.next_at = math.inf
        self._slots: dict[int, list[Ban]] = {}
        # A heap of the slots that there are.
        self._order: list[int] = []

    def schedule(self, ban: Ban) -> None:
        until = ban.until
        if until == math.inf:
            return
        slot = int(until // SLOT_S)
        if (bans := self._slots.get(slot)) is None:
            bans = self._slots[slot] = []
            heapq.heappush(self._order, slot)
        bans.append(ban)
        # `min` takes three times as long, and a start asks it of 100,000 bans.
        self.next_at = min(self.next_at, until)

    def take_expired(self, now: float) -> list[Ban]:
        """Return the bans that have ended by now in the order of their ends, and forget them."""
        # The usual case, in each turn.
        if now < self.next_at:
            return []
        expired: list[Ban] = []
        while self.next_at <= now:
            first = self._slots[self._order[0]]
            expired += [ban for ban in first if ban.until <= now]
            first[:] = [ban for ban in first if ban.until > now]
            if not first:
                del self._slots[heapq.heappop(self._order)]
            left = self._slots[self._order[0]] if self._order else ()
            self.next_at = min((ban.until for ban in left), default=math.inf)
        return sorted(expired, key=attrgetter("until"))
