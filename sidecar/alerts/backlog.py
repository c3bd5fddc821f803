"""What is still to be told, and what of it is due now. It knows no clock: the time is an argument.

Bans are told one by one while they are few; when they are many, they are counted and told together. A trouble
that comes and goes is told when it comes and when it went, but not each time.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.alerts.notices import Field, Kind, Notice, banned, some
from sidecar.core.durations import format_duration
from sidecar.core.events import Ban

WAITING = 100  # notices other than bans: starts and troubles, of which a host has a few
AT_ONCE = 10  # bans told one by one, one a second; more that come together are one message
WINDOW = 30.0  # seconds until there is room for one message about bans more
CALM = 300.0  # seconds in which a trouble that comes back is not told again, unless it then is still there
SHOWN = 10  # addresses that a digest names


@dataclass(slots=True)
class _Trouble:
    told: Kind  # the last that was told about it: "trouble" or "recovered"
    calm: float  # until when its coming back is held
    held: Notice | None = None


class Backlog:
    """Bounded whatever happens: notices are dropped, the oldest first; bans are counted, never dropped."""

    def __init__(self, size: int = WAITING) -> None:
        self.closing = False  # all is due now, and bans come in one message
        self._size = size
        self._notices: deque[Notice] = deque()
        self._troubles: dict[str, _Trouble] = {}
        self._bans = _Tally()
        self._full = -math.inf  # when there is room for `AT_ONCE` messages about bans again

    def __len__(self) -> int:
        """How many messages it would take to tell everything, about."""
        return len(self._notices) + (self._bans.count > 0)

    def tell(self, notice: Notice, now: float) -> int:
        """How many notices were dropped to make room for it."""
        if not notice.key:
            return self._put(notice)
        problem = self._troubles.setdefault(notice.key, _Trouble("recovered", -math.inf))
        if notice.kind == problem.told:
            problem.held = None  # it came and went untold
            return 0
        if notice.kind == "trouble" and now < problem.calm:
            problem.held = notice
            return 0
        return self._put_trouble(problem, notice, now)

    def bans(self, bans: Sequence[Ban], now: float) -> None:
        self._bans.add(bans, now)

    def take(self, now: float) -> Notice | None:
        """The next message, if one is due."""
        self._release(now)
        if self._notices:
            return self._notices.popleft()
        count = self._bans.count
        if not count or (now < self._room(1) and not self.closing):
            return None
        fresh, few = now >= self._full, now >= self._room(count)
        self._full = max(self._full, now) + WINDOW
        if count == 1 or ((fresh or few) and not self.closing):
            return banned(self._bans.first())
        self._full = now + AT_ONCE * WINDOW  # a digest takes all the room: the next is due in a window
        digest, self._bans = self._bans.digest(now), _Tally()
        return digest

    def due(self) -> float:
        """When `take()` will next have a message, as far as is known now (-inf: at once)."""
        if self._notices or (self.closing and self._bans.count):
            return -math.inf
        held = min((problem.calm for problem in self._troubles.values() if problem.held), default=math.inf)
        return min(held, self._room(1)) if self._bans.count else held

    def _room(self, count: int) -> float:
        """When so many messages about bans may go, one right after the other."""
        return self._full + (count - AT_ONCE) * WINDOW

    def _put(self, notice: Notice) -> int:
        self._notices.append(notice)
        if len(self._notices) <= self._size:
            return 0
        self._notices.popleft()
        return 1

    def _put_trouble(self, problem: _Trouble, notice: Notice, now: float) -> int:
        problem.told, problem.held = notice.kind, None
        if notice.kind == "trouble":
            problem.calm = now + CALM
        return self._put(notice)

    def _release(self, now: float) -> None:
        """Tell the troubles that were held and are still there; forget those long gone."""
        for key, problem in list(self._troubles.items()):
            if problem.held and (self.closing or now >= problem.calm):
                self._put_trouble(problem, problem.held, now)
            elif problem.told == "recovered" and now >= problem.calm:
                del self._troubles[key]


class _Tally:
    """Bans that wait, counted; the first few are kept whole."""

    def __init__(self) -> None:
        self.count = 0
        self._since = 0.0
        self._first: deque[Ban] = deque()
        self._jails: Counter[str] = Counter()
        self._sites: Counter[str] = Counter()

    def add(self, bans: Sequence[Ban], now: float) -> None:
        if not self.count:
            self._since = now
        self.count += len(bans)
        self._first.extend(bans[: SHOWN - len(self._first)])
        self._jails.update([ban.jail for ban in bans])
        self._sites.update([ban.origin_name for ban in bans])

    def first(self) -> Ban:
        """Take the oldest away. Only while it is among those that were kept."""
        ban = self._first.popleft()
        self.count -= 1
        self._jails[ban.jail] -= 1
        self._sites[ban.origin_name] -= 1
        return ban

    def digest(self, now: float) -> Notice:
        shown = [
            f"{ban.address} ({', '.join(filter(None, (ban.jail, ban.origin_name)))})" for ban in self._first
        ]
        fields = (
            Field("Jails", _counts(self._jails)),
            Field("Containers", _counts(self._sites)),
            Field("Addresses", some(shown, self.count, "; "), short=False),
        )
        text = f"{self.count:,} bans within {format_duration(now - self._since)}"
        return Notice("bans", "warning", text, tuple(field for field in fields if field.value))


def _counts(counter: Counter[str]) -> str:
    return some([f"{name} {count:,}" for name, count in counter.most_common() if name and count > 0])
