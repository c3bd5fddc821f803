"""The loop: the one thread that decides. What came in together leaves as one turn.

    sources ──Read──▶ inbox ──drain──▶ guard ──Turn──▶ sinks, in order

The loop owns the guard; nobody else keeps it. Other threads reach it through the inbox: `decide` has a command run
in the loop's thread and gives it the guard, `query` a question and gives it a view of the guard, for that moment only.
So there is no lock, and an answer takes into account everything that was put into the inbox before the question.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from sidecar.core.events import Cursor, Decision, Hit, Read, Turn
from sidecar.core.guard import Guard
from sidecar.core.queries import GuardView
from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problems

log = logging.getLogger(__name__)

# Messages that wait between the other threads and the loop.
MAX_WAITING_MESSAGES = 256

# Hits in the messages that wait, about 8 MB and some 50 ms of work. As many may be at work, and one more batch come in.
MAX_WAITING_HITS = 16_000

# A cursor without hits waits at most this long to be stored: without it each batch of harmless lines would be a
# transaction.
MAX_CURSOR_DELAY_S = 1.0

# Failures that lead to no ban wait for the next ones of a burst, until none come for a while. Otherwise those would
# wait until the first are stored, and the ban with them: Docker sends each line by itself. A flood waits for none:
# twice as many hits would be at work.
LULL_S, MAX_BURST_S, MAX_BURST_HITS = 0.001, 0.01, 100

# A quiet loop wakes up this often, to notice that it is to stop.
MAX_SLEEP_S = 1.0

T = TypeVar("T")
Command: TypeAlias = Callable[[Guard, float], Sequence[Decision]]
Query: TypeAlias = Callable[[GuardView, float], T]


@dataclass(frozen=True, slots=True)
class _Request:
    """Something to do with the guard, in the loop's thread, and the future that waits for the outcome."""

    work: Callable[[Guard, float], Any]
    done: Future[Any]
    decides: bool


Message: TypeAlias = Read | _Request


class Sink(Protocol):
    """Anything that acts on decisions: the firewall, the store, metrics, alerts, the decision log."""

    @property
    def name(self) -> str: ...

    def apply(self, turn: Turn) -> None:
        """Act on this turn. An exception is logged and reported, and the other sinks go on."""


class TurnClock(Protocol):
    """Says when a turn is."""

    def begin_turn(self, guard: Guard) -> float:
        """Return unix time, before anything in the guard ends by it."""

    def dated(self, hits: Sequence[Hit]) -> Sequence[Hit]:
        """Return these hits with their times by this clock, which may have been set after their lines were written."""


class BackloggedSink(Protocol):
    """A sink that may have more to write than fits into one turn."""

    @property
    def behind(self) -> bool:
        """Whether the next turn has to come at once."""


class Closed(Exception):  # noqa: N818
    """The loop has stopped. What was to be put into the inbox was not taken."""


class Inbox:
    """The only way into the loop. Bounded: a flood of lines slows down the sources, not the host.

    And only the source that it comes from: while others fill the inbox, each log may have one batch in it.
    """

    def __init__(self, max_messages: int = MAX_WAITING_MESSAGES, max_hits: int = MAX_WAITING_HITS) -> None:
        self._max_messages, self._max_hits = max_messages, max_hits
        self._messages: list[Message] = []
        # Hits in those messages, and how many messages are of each log ("": questions and commands).
        self._hits = 0
        self._waiting: Counter[str] = Counter()
        self._closed = False
        # One lock, and who waits for it to change: the loop for a message, the other threads for room.
        self._lock = threading.Lock()
        self._arrival, self._room = threading.Condition(self._lock), threading.Condition(self._lock)

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._messages)

    def read(self, read: Read) -> None:
        """Put in what a source has read. Waits while the loop is behind. Raises Closed once the loop has stopped."""
        self._put(read, read.origin.name, len(read.hits))

    def decide(self, command: Command) -> Future[Sequence[Decision]]:
        """Have the loop run `command(guard, now)`. The future is ready when every sink has acted on its decisions.

        Raises Closed once the loop has stopped; an exception of the command is the future's.
        """
        return self._request(command, decides=True)

    def query(self, question: Query[T]) -> Future[T]:
        """Have the loop answer `question(view, now)`, after all that was put in before. Raises Closed."""
        return self._request(lambda guard, now: question(guard.view, now), decides=False)

    def submit(self, command: Command) -> None:
        """Like `decide`, for callers that do not wait: a failure is logged, and after the stop nothing happens."""
        try:
            self.decide(command).add_done_callback(_log_failure)
        except Closed:
            log.debug("the loop has stopped")

    def drain(self, timeout: float) -> list[Message]:
        """Wait up to `timeout` seconds for a message, then take all that are there."""
        with self._lock:
            if not self._messages and timeout > 0:
                self._arrival.wait(timeout)
            taken, self._messages, self._hits = self._messages, [], 0
            self._waiting.clear()
            self._room.notify_all()
        return taken

    def close(self) -> None:
        """Take nothing any more."""
        with self._lock:
            self._closed = True
            self._room.notify_all()

    def _request(self, work: Callable[[Guard, float], Any], *, decides: bool) -> Future[Any]:
        done: Future[Any] = Future()
        self._put(_Request(work, done, decides))
        return done

    def _put(self, message: Message, log_name: str = "", hits: int = 0) -> None:
        with self._lock:
            while not self._closed and self._waiting[log_name] and self._is_full(hits):
                self._room.wait()
            if self._closed:
                raise Closed
            self._messages.append(message)
            self._hits += hits
            self._waiting[log_name] += 1
            self._arrival.notify()

    def _is_full(self, hits: int) -> bool:
        return len(self._messages) >= self._max_messages or (hits > 0 and self._hits >= self._max_hits)


@dataclass(slots=True)
class _Decided:
    """What a turn has brought so far."""

    decisions: list[Decision]
    hits: list[Hit] = field(default_factory=list)
    ignored: list[Hit] = field(default_factory=list)
    answered: list[tuple[Future[Any], Any]] = field(default_factory=list)


class Loop:
    """Takes what came in, has the guard decide, lets the sinks act."""

    def __init__(
        self,
        guard: Guard,
        inbox: Inbox,
        sinks: Sequence[Sink],
        clock: Clock,
        problems: Problems,
        *,
        backlog: BackloggedSink | None = None,
        turn_clock: TurnClock | None = None,
    ) -> None:
        """`turn_clock` is what says the time of a turn; None: `clock`."""
        self._guard = guard
        self._inbox = inbox
        self._sinks = [_ReportedSink(sink, problems) for sink in sinks]
        self._backlog = backlog
        self._cursors = _PendingCursors(clock())
        self._clock, self._turn_clock = clock, turn_clock
        self._stopping = False
        # When the last turn ended, by the monotonic clock: how other threads see that the loop lives.
        self.last_turn_at = time.monotonic()

    @property
    def ban_count(self) -> int:
        """How many bans are in force. To be read before the loop runs, and after it."""
        return self._guard.view.ban_count

    def run(self) -> None:
        """Turn until `stop()`; then once more for what is still waiting, and until the store has written all."""
        while not self._stopping:
            self.step(0 if self._is_behind() else min(MAX_SLEEP_S, self._guard.next_tick() - self._clock()))
        self._inbox.close()
        self._cursors.flush()
        self.step(0)
        while self._is_behind():
            self.step(0)
        # Put in by threads that had waited for room. A Read is not lost: the next run reads the lines again.
        for message in self._inbox.drain(0):
            if not isinstance(message, Read):
                message.done.set_exception(Closed())

    def stop(self) -> None:
        """Make `run()` return shortly. Safe in a signal handler: it takes no lock."""
        self._stopping = True

    def step(self, timeout: float) -> None:
        """Run one turn, after waiting up to `timeout` seconds for a message. Tests call this instead of `run()`."""
        messages = self._inbox.drain(timeout)
        now = self._turn_clock.begin_turn(self._guard) if self._turn_clock else self._clock()
        turn = _Decided(self._guard.tick(now))
        self._decide(messages, turn, now)
        self._decide_burst(turn, now)
        self._act(turn.decisions, turn.hits, turn.ignored, now)
        for done, outcome in turn.answered:
            done.set_result(outcome)
        self.last_turn_at = time.monotonic()

    def _decide_burst(self, turn: _Decided, now: float) -> None:
        """Have the guard decide about what follows on failures at once, until there is a ban."""
        deadline = time.monotonic() + MAX_BURST_S
        while 0 < len(turn.hits) <= MAX_BURST_HITS and not turn.decisions and time.monotonic() < deadline:
            if not (messages := self._inbox.drain(LULL_S)):
                return
            self._decide(messages, turn, now)

    def _decide(self, messages: list[Message], turn: _Decided, now: float) -> None:
        """Have the guard decide about these messages."""
        for message in messages:
            if isinstance(message, Read):
                dated = self._turn_clock.dated(message.hits) if self._turn_clock else message.hits
                for hit in self._guard.located(dated):
                    decided = self._guard.hit(hit, now)
                    if not hit.success:
                        (turn.ignored if decided is None else turn.hits).append(hit)
                    turn.decisions += decided or ()
                if message.cursor:
                    self._cursors.add(message.cursor)
            else:
                try:
                    outcome = message.work(self._guard, now)
                except Exception as err:  # noqa: BLE001 - the caller gets it, and the loop goes on
                    message.done.set_exception(err)
                    continue
                turn.answered.append((message.done, outcome))
                if message.decides:
                    turn.decisions += outcome

    def _act(self, decisions: list[Decision], hits: list[Hit], ignored: list[Hit], now: float) -> None:
        """Give the sinks what this turn brought. Cursors go along with the hits that were read before them."""
        bypasses, forgiven = self._guard.take_noticed()
        allow_changes = self._guard.take_allow_changes()
        refused = self._guard.take_refused()
        if not (
            decisions
            or hits
            or ignored
            or bypasses
            or forgiven
            or refused
            or allow_changes
            or self._cursors.due(now)
            or self._is_behind()
        ):
            return
        cursors = self._cursors.take(now)
        view = self._guard.view
        enforced = view.enforced_bans if decisions else {}
        turn = Turn(
            now,
            tuple(decisions),
            tuple(hits),
            cursors,
            tuple(ignored),
            bypasses,
            forgiven,
            enforced,
            view,
            refused,
            allow_changes,
        )
        for sink in self._sinks:
            sink.apply(turn)

    def _is_behind(self) -> bool:
        return self._backlog is not None and self._backlog.behind


class _PendingCursors:
    """How far each log was read, where that is not stored yet. Each line counts exactly once that way."""

    def __init__(self, now: float) -> None:
        self._newest: dict[str, Cursor] = {}
        self._taken_at = now

    def add(self, cursor: Cursor) -> None:
        self._newest[cursor.key] = cursor

    def due(self, now: float) -> bool:
        """Return whether they have waited long enough, or the clock was set back."""
        return bool(self._newest) and not -MAX_CURSOR_DELAY_S < now - self._taken_at < MAX_CURSOR_DELAY_S

    def flush(self) -> None:
        """Make all of them due."""
        self._taken_at = -math.inf

    def take(self, now: float) -> tuple[Cursor, ...]:
        self._taken_at = now
        cursors = tuple(self._newest.values())
        self._newest.clear()
        return cursors


class _ReportedSink:
    """A sink, and the problem of its name: set when it fails, cleared when it works."""

    def __init__(self, sink: Sink, problems: Problems) -> None:
        self._sink = sink
        self._problem = problems.problem(sink.name)
        self._failing = False

    def apply(self, turn: Turn) -> None:
        try:
            self._sink.apply(turn)
        except Exception as err:
            # A full disk, a lock or a server that is away is no mistake of the code: the problem says what it is.
            mistake = not isinstance(err, OSError)
            if not self._failing and (mistake or turn.decisions):
                log.exception(
                    "%s failed at a turn with %d decisions",
                    self._sink.name,
                    len(turn.decisions),
                    exc_info=mistake,
                )
            self._failing = True
            self._problem.set(f"{self._sink.name}: {err}")
        else:
            self._failing = False
            self._problem.clear()


def _log_failure(done: Future[Sequence[Decision]]) -> None:
    """Log what nobody waits for."""
    if (err := done.exception()) and not isinstance(err, Closed):
        log.error("a command failed in the loop", exc_info=err)
