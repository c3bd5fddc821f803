"""What waits to be sent, and which message of it is due. The time is an argument.

Few bans are sent one by one. Many are counted and sent as one message. Ten messages about bans may go at
once, and room for another one comes back every 30 seconds; a digest takes all the room, so that the next one
is due in 30 seconds.

A problem that comes and goes again and again is sent when it begins and when it is over, but not each time:
for five minutes after it began it is held back, and sent then if it is still there.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.alerts import compose
from sidecar.alerts.notices import Notice, NoticeKind
from sidecar.core.events import Ban

# Notices other than bans. A host has few starts and problems.
MAX_WAITING: Final = 100
# Bans that are sent one by one.
MAX_SINGLE_BANS: Final = 10
# After so long there is room for one more message about bans.
ROOM_INTERVAL_S: Final = 30.0
# For so long a problem that returns is held back.
QUIET_PERIOD_S: Final = 300.0
# Addresses that a digest names.
MAX_ADDRESSES: Final = 10


@dataclass(slots=True)
class _ProblemState:
    """What was sent about one problem."""

    last: NoticeKind
    quiet_until: float
    # It came back within the quiet period.
    held: Notice | None = None


class Backlog:
    """Bounded: the oldest notices are dropped, and bans are counted. Owned by one thread, or used under a lock."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        # Everything is due at once, and bans come in one message.
        self.closing = False
        self._max_waiting = max_waiting
        self._notices: deque[Notice] = deque()
        self._problems: dict[str, _ProblemState] = {}
        self._bans = _BanTally()
        # When there is room for all MAX_SINGLE_BANS messages about bans again.
        self._all_room_at = -math.inf

    def __len__(self) -> int:
        """Return about how many messages are waiting."""
        return len(self._notices) + (self._bans.count > 0)

    @property
    def problems(self) -> int:
        """How many problems are remembered."""
        return len(self._problems)

    def add(self, notice: Notice, now: float) -> int:
        """Add a notice; return how many were dropped to make room."""
        if not notice.key:
            return self._put(notice)
        state = self._problems.setdefault(notice.key, _ProblemState(NoticeKind.RESOLVED, -math.inf))
        if notice.kind == state.last:
            # It came and went while it was held back.
            state.held = None
            return 0
        if notice.kind == NoticeKind.PROBLEM and now < state.quiet_until:
            state.held = notice
            return 0
        return self._put_problem(state, notice, now)

    def add_bans(self, bans: Sequence[Ban], now: float) -> None:
        self._bans.add(bans, now)

    def take(self, now: float) -> Notice | None:
        """Return the next message, if one is due."""
        self._release(now)
        if self._notices:
            return self._notices.popleft()
        count = self._bans.count
        if not count or (now < self._room_at(1) and not self.closing):
            return None
        has_all_room, has_room = now >= self._all_room_at, now >= self._room_at(count)
        self._all_room_at = max(self._all_room_at, now) + ROOM_INTERVAL_S
        if count == 1 or ((has_all_room or has_room) and not self.closing):
            return compose.banned(self._bans.take_first())
        self._all_room_at = now + MAX_SINGLE_BANS * ROOM_INTERVAL_S
        digest, self._bans = self._bans.digest(now), _BanTally()
        return digest

    def next_due(self) -> float:
        """Return when `take()` will have a message, as far as is known now; -inf: at once, inf: none waits."""
        if self._notices or (self.closing and self._bans.count):
            return -math.inf
        held = [state.quiet_until for state in self._problems.values() if state.held]
        first_held = min(held, default=math.inf)
        return min(first_held, self._room_at(1)) if self._bans.count else first_held

    def _room_at(self, count: int) -> float:
        """Return when so many messages about bans may go one right after the other."""
        return self._all_room_at + (count - MAX_SINGLE_BANS) * ROOM_INTERVAL_S

    def _put(self, notice: Notice) -> int:
        self._notices.append(notice)
        if len(self._notices) <= self._max_waiting:
            return 0
        self._notices.popleft()
        return 1

    def _put_problem(self, state: _ProblemState, notice: Notice, now: float) -> int:
        state.last, state.held = notice.kind, None
        if notice.kind == NoticeKind.PROBLEM:
            state.quiet_until = now + QUIET_PERIOD_S
        return self._put(notice)

    def _release(self, now: float) -> None:
        """Put the held problems whose quiet period is over; forget those that were resolved long ago."""
        for key, state in list(self._problems.items()):
            if state.held and (self.closing or now >= state.quiet_until):
                self._put_problem(state, state.held, now)
            elif state.last == NoticeKind.RESOLVED and now >= state.quiet_until:
                del self._problems[key]


class _BanTally:
    """Bans that wait: they are counted, and the first few are kept."""

    def __init__(self) -> None:
        self.count = 0
        self._since = 0.0
        self._first: deque[Ban] = deque()
        self._jails: Counter[str] = Counter()
        self._containers: Counter[str] = Counter()

    def add(self, bans: Sequence[Ban], now: float) -> None:
        if not self.count:
            self._since = now
        self.count += len(bans)
        self._first.extend(bans[: MAX_ADDRESSES - len(self._first)])
        self._jails.update([ban.jail for ban in bans])
        self._containers.update([ban.origin_name for ban in bans])

    def take_first(self) -> Ban:
        """Remove and return the oldest ban; only while it is among the first few."""
        ban = self._first.popleft()
        self.count -= 1
        self._jails[ban.jail] -= 1
        self._containers[ban.origin_name] -= 1
        return ban

    def digest(self, now: float) -> Notice:
        """Return the message about all of them."""
        return compose.banned_many(self._first, self.count, now - self._since, self._jails, self._containers)
