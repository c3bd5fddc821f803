"""When bans end."""

from __future__ import annotations

import heapq
import math

from sidecar.core.events import Ban

SPAN = 64.0  # seconds that are looked through together; a heap of single bans would weigh ten times as much


class Ends:
    """Bans by their end. Those that were lifted, or replaced, linger until their time."""

    def __init__(self) -> None:
        self.next = math.inf  # when the next one ends
        self._spans: dict[int, list[Ban]] = {}
        self._order: list[int] = []  # a heap of the spans there are

    def put(self, ban: Ban) -> None:
        if ban.until == math.inf:
            return
        span = int(ban.until // SPAN)
        if (bans := self._spans.get(span)) is None:
            bans = self._spans[span] = []
            heapq.heappush(self._order, span)
        bans.append(ban)
        self.next = min(self.next, ban.until)

    def due(self, now: float) -> list[Ban]:
        """Those that are over by now, the first first; they are forgotten here."""
        found: list[Ban] = []
        while self.next <= now:
            first = self._spans[self._order[0]]
            found += [ban for ban in first if ban.until <= now]
            first[:] = [ban for ban in first if ban.until > now]
            if not first:
                del self._spans[heapq.heappop(self._order)]
            left = self._spans[self._order[0]] if self._order else ()
            self.next = min((ban.until for ban in left), default=math.inf)
        return sorted(found, key=lambda ban: ban.until)
