"""What waits for one sender, in its order, and which message of it is due. The time is an argument.

Few bans are sent one by one. Many are counted and sent as one message. Some messages about bans may go at once, and
room for another one comes back every 30 seconds; a digest takes all the room, so that the next one is due in 30
seconds. What was counted is sent before any other message that came after it, so the order is kept.

A problem that comes and goes again and again is sent when it begins and when it is over, but not each time:
for five minutes after it began it is held back, and sent then if it is still there.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from sidecar.alerts import compose
from sidecar.alerts.notices import Notice, NoticeKind
from sidecar.alerts.occurrences import MAX_FIRST, Digest, Occurrence

# Messages other than bans. A host has few starts and problems.
MAX_WAITING: Final = 100
# Bans that are sent one by one. With a digest every 30 seconds, a minute of a storm is less than ten messages.
MAX_SINGLE: Final = 6
# After this long there is room for one more message about bans.
ROOM_INTERVAL_S: Final = 30.0
# For this long a problem that returns is held back.
QUIET_PERIOD_S: Final = 300.0


class Due(NamedTuple):
    """A message to send now. Once it is confirmed, so is everything up to this number."""

    number: int
    notice: Notice


@dataclass(slots=True)
class _ProblemState:
    """What was sent about one problem."""

    last: NoticeKind
    quiet_until: float
    # It came back within the quiet period.
    held: Due | None = None


class Backlog:
    """Bounded: the oldest notices are dropped, and bans are counted. Owned by one thread, or used under a lock."""

    def __init__(self, max_waiting: int = MAX_WAITING, max_single: float = MAX_SINGLE) -> None:
        """`max_single` is how many bans may be sent one by one, and `math.inf` is as many as are kept whole."""
        # Everything is due at once, and bans come in one message.
        self.closing = False
        self._max_waiting, self._max_single = max_waiting, max_single
        # Neighbours are never two runs.
        self._entries: deque[Due | _Run] = deque()
        self._notices = 0
        self._problems: dict[str, _ProblemState] = {}
        # When there is room for all `max_single` messages about bans again.
        self._all_room_at = -math.inf

    def __len__(self) -> int:
        """Return about how many messages are waiting."""
        return len(self._entries)

    @property
    def problems(self) -> int:
        """How many problems are remembered."""
        return len(self._problems)

    def add(self, number: int, notice: Notice, now: float) -> int:
        """Add a notice; return how many were dropped to make room."""
        due = Due(number, notice)
        if not notice.key:
            return self._put(due)
        state = self._problems.setdefault(notice.key, _ProblemState(NoticeKind.RESOLVED, -math.inf))
        if notice.kind == state.last:
            # It came and went while it was held back.
            state.held = None
            return 0
        if notice.kind == NoticeKind.PROBLEM and now < state.quiet_until:
            state.held = due
            return 0
        return self._put_problem(state, due, now)

    def add_occurrences(self, occurrences: Iterable[tuple[int, Occurrence]]) -> None:
        run = self._last_run()
        for number, occurrence in occurrences:
            run.add(number, occurrence)

    def add_digest(self, number: int, digest: Digest) -> None:
        self._last_run().add_digest(number, digest)

    def resume(self, now: float) -> None:
        """Have no room for all of what the last run left: more than a few are sent as one message."""
        self._all_room_at = now + ROOM_INTERVAL_S

    def take(self, now: float) -> Due | None:
        """Return the next message, if one is due."""
        self._release(now)
        if not self._entries:
            return None
        head = self._entries[0]
        if isinstance(head, Due):
            self._notices -= 1
            self._entries.popleft()
            return head
        if now < self._run_due_at():
            return None
        due = self._take_run(head, now)
        if not head.digest.count:
            self._entries.popleft()
        return due

    def next_due(self) -> float:
        """Return when `take()` will have a message, as far as is known now; -inf: at once, inf: none waits."""
        held = [state.quiet_until for state in self._problems.values() if state.held]
        first_held = min(held, default=math.inf)
        if not self._entries:
            return first_held
        return -math.inf if isinstance(self._entries[0], Due) else min(first_held, self._run_due_at())

    def _last_run(self) -> _Run:
        if not self._entries or isinstance(self._entries[-1], Due):
            self._entries.append(_Run(10_000 if self._max_single == math.inf else MAX_FIRST))
        run = self._entries[-1]
        assert isinstance(run, _Run)  # noqa: S101 - it was just made
        return run

    def _run_due_at(self) -> float:
        """Return when the bans at the head are due: at once where another message waits behind them."""
        return -math.inf if self.closing or len(self._entries) > 1 else self._room_at(1)

    def _take_run(self, run: _Run, now: float) -> Due:
        if self._max_single == math.inf:
            return run.take_first() if run.has_first else run.take_all()
        count = run.digest.count
        has_all_room, has_room = now >= self._all_room_at, now >= self._room_at(count)
        self._all_room_at = max(self._all_room_at, now) + ROOM_INTERVAL_S
        if run.has_first and (count == 1 or ((has_all_room or has_room) and not self.closing)):
            return run.take_first()
        self._all_room_at = now + self._max_single * ROOM_INTERVAL_S
        return run.take_all()

    def _room_at(self, count: int) -> float:
        """Return when this many messages about bans may go one right after the other."""
        if self._max_single == math.inf:
            return -math.inf
        return self._all_room_at + (count - self._max_single) * ROOM_INTERVAL_S

    def _put(self, due: Due) -> int:
        self._entries.append(due)
        self._notices += 1
        if self._notices <= self._max_waiting:
            return 0
        self._drop_oldest()
        return 1

    def _drop_oldest(self) -> None:
        """Drop the oldest notice, and join the bans before and after it."""
        at = 0 if isinstance(self._entries[0], Due) else 1
        del self._entries[at]
        self._notices -= 1
        if at and len(self._entries) > 1 and isinstance(after := self._entries[1], _Run):
            before = self._entries[0]
            assert isinstance(before, _Run)  # noqa: S101 - else it would have been dropped
            before.join(after)
            del self._entries[1]

    def _put_problem(self, state: _ProblemState, due: Due, now: float) -> int:
        state.last, state.held = due.notice.kind, None
        if due.notice.kind == NoticeKind.PROBLEM:
            state.quiet_until = now + QUIET_PERIOD_S
        return self._put(due)

    def _release(self, now: float) -> None:
        """Put the held problems whose quiet period is over; forget those that were resolved long ago."""
        for key, state in list(self._problems.items()):
            if state.held and (self.closing or now >= state.quiet_until):
                self._put_problem(state, state.held, now)
            elif state.last == NoticeKind.RESOLVED and now >= state.quiet_until:
                del self._problems[key]


class _Run:
    """Bans, unbans and failures that wait, with no other message between them."""

    def __init__(self, kept: int) -> None:
        """`kept` is how many are kept whole."""
        self.digest = Digest()
        self._kept = kept
        self._first: deque[tuple[int, Occurrence]] = deque()
        self._last = 0
        # After a digest was added, the first ones are no longer known to be the oldest.
        self._in_order = True

    @property
    def has_first(self) -> bool:
        return bool(self._first)

    def add(self, number: int, occurrence: Occurrence) -> None:
        if self._in_order and len(self._first) < self._kept:
            self._first.append((number, occurrence))
        else:
            self._in_order = False
        self.digest.add((occurrence,))
        self._last = number

    def add_digest(self, number: int, digest: Digest) -> None:
        self.digest.add_digest(digest)
        self._last, self._in_order = number, False

    def join(self, later: _Run) -> None:
        self.add_digest(later._last, later.digest)

    def take_first(self) -> Due:
        """Remove and return the oldest one; only where there is a first."""
        number, occurrence = self._first.popleft()
        self.digest.remove_first(occurrence)
        return Due(number, compose.described(occurrence))

    def take_all(self) -> Due:
        """Return the message about all of them."""
        digest, self.digest = self.digest, Digest()
        self._first.clear()
        return Due(self._last, compose.digested(digest))
