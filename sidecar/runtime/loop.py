"""The loop: the one thread that decides. What came in together leaves as one turn.

    sources ──Read──▶ inbox ──drain──▶ guard ──Turn──▶ sinks, in order

Other threads put values into the inbox or ask for something to be done in the loop; nothing else crosses.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from sidecar.core.events import Cursor, Decision, Hit, Read, Turn
from sidecar.core.guard import Guard

log = logging.getLogger(__name__)

WAITING = 256  # batches between sources and loop
HITS = 50_000  # in these batches, about 25 MB; one batch more may come in
LULL = 1.0  # seconds: the longest that a cursor without hits waits to be stored, and that a quiet loop sleeps

T = TypeVar("T")
Command: TypeAlias = Callable[[Guard, float], Sequence[Decision]]
Query: TypeAlias = Callable[[Guard, float], T]
Work: TypeAlias = Callable[[float], Sequence[Decision]]


@dataclass(frozen=True, slots=True)
class _Request:
    """Something to do with the guard, in the loop's thread, and the future that waits for the outcome."""

    work: Callable[[Guard, float], Any]
    done: Future[Any]
    decides: bool


Message: TypeAlias = Read | _Request


class Sink(Protocol):
    """Anything that acts on what was decided: firewall, store, metrics, alerts, the log."""

    @property
    def name(self) -> str: ...

    def apply(self, turn: Turn) -> None: ...


class Closed(Exception):  # noqa: N818
    """The loop has stopped; what was to be put before it was not taken."""


class Inbox:
    """The one way into the loop. Bounded: a flood slows the readers, not the host."""

    def __init__(self, size: int = WAITING, hits: int = HITS) -> None:
        self._most, self._hits = hits, 0
        self._room = threading.Condition()
        self._queue: queue.Queue[Message] = queue.Queue(size)
        self._closed = threading.Event()

    def __len__(self) -> int:
        return self._queue.qsize()

    def read(self, read: Read) -> None:
        """Called by sources. Waits while the loop is behind; raises Closed once it has stopped."""
        with self._room:
            while self._hits >= self._most and not self._closed.is_set():
                self._room.wait(LULL)
            self._hits += len(read.hits)
        self._put(read)

    def decide(self, command: Command) -> Future[Sequence[Decision]]:
        """Have the loop run `command(guard, now)`. The future is ready when every sink has acted on its decisions.

        Raises Closed once the loop has stopped; an exception of the command is the future's.
        """
        return self._request(command, decides=True)

    def query(self, question: Query[T]) -> Future[T]:
        """Have the loop answer `question(guard, now)`, after all that was asked before. Raises Closed."""
        return self._request(question, decides=False)

    def ask(self, work: Work) -> Future[Sequence[Decision]]:
        """Deprecated; goes with the last caller that holds the guard."""
        return self.decide(lambda _, now: work(now))

    def _request(self, work: Callable[[Guard, float], Any], *, decides: bool) -> Future[Any]:
        done: Future[Any] = Future()
        self._put(_Request(work, done, decides))
        return done

    def drain(self, timeout: float) -> list[Message]:
        """Wait for something, then take all that is there."""
        try:
            taken = [self._queue.get(timeout=max(0.0, timeout))]
        except queue.Empty:
            return []
        while len(taken) <= self._queue.maxsize:  # and no more: fast readers could go on for ever
            try:
                taken.append(self._queue.get_nowait())
            except queue.Empty:
                break
        with self._room:
            self._hits -= sum(len(each.hits) for each in taken if isinstance(each, Read))
            self._room.notify_all()
        return taken

    def close(self) -> None:
        self._closed.set()

    def _put(self, message: Message) -> None:
        while not self._closed.is_set():
            try:
                self._queue.put(message, timeout=LULL)
            except queue.Full:
                continue
            return
        raise Closed


class Loop:
    """Takes what came in, has the guard decide, lets the sinks act."""

    def __init__(
        self,
        guard: Guard,
        inbox: Inbox,
        sinks: Sequence[Sink],
        clock: Callable[[], float],
        problem: Callable[[str, str | None], None],
        *,
        behind: Callable[[], bool] = lambda: False,
    ) -> None:
        """`trouble(name, sentence)` is told that a sink failed, and with None that it works again.

        `behind()`: has a sink more to do than fits into a turn? Then the next one comes at once.
        """
        self.turned = clock()  # when the last turn ended: how one sees that the loop lives
        self._guard, self._inbox, self._sinks = guard, inbox, sinks
        self._clock, self._trouble, self._behind = clock, problem, behind
        self._cursors: dict[str, Cursor] = {}  # read, but not yet stored
        self._failing: set[str] = set()  # sinks whose failure was logged
        self._stored = self.turned
        self._stopping = False

    def run(self) -> None:
        """Turn until `stop()`; then once more for what is still waiting."""
        while not self._stopping:
            self.step(0 if self._behind() else min(LULL, self._guard.next_tick() - self._clock()))
        self._inbox.close()
        self._stored = 0.0
        self.step(0)
        for message in self._inbox.drain(0):  # put there by who was waiting for room; a Read is read again
            if not isinstance(message, Read):
                message.done.set_exception(Closed())

    def stop(self) -> None:
        """Make `run()` return soon. Safe in a signal handler: it takes no lock."""
        self._stopping = True

    def step(self, timeout: float) -> None:
        """One turn. Tests call this instead of `run()`."""
        messages = self._inbox.drain(timeout)
        now = self._clock()
        decisions: list[Decision] = self._guard.tick(now)
        hits: list[Hit] = []
        ignored: list[Hit] = []
        answered: list[tuple[Future[Any], Any]] = []
        for message in messages:
            if isinstance(message, Read):
                for hit in message.hits:
                    decided = self._guard.hit(hit, now)
                    if not hit.success:
                        (ignored if decided is None else hits).append(hit)
                    decisions += decided or ()
                if message.cursor:
                    self._cursors[message.cursor.key] = message.cursor
            else:
                try:
                    outcome = message.work(self._guard, now)
                except Exception as err:  # noqa: BLE001 - the caller gets it, and the loop goes on
                    message.done.set_exception(err)
                    continue
                answered.append((message.done, outcome))
                if message.decides:
                    decisions += outcome
        self._act(decisions, hits, ignored, now)
        for done, outcome in answered:
            done.set_result(outcome)
        self.turned = self._clock()

    def _act(self, decisions: list[Decision], hits: list[Hit], ignored: list[Hit], now: float) -> None:
        """A cursor is stored with the hits that were read before it, so that each line counts exactly once."""
        lull = bool(self._cursors) and not -LULL < now - self._stored < LULL
        bypasses, forgiven = self._guard.aside()
        if not (decisions or hits or ignored or bypasses or forgiven or lull or self._behind()):
            return
        cursors = tuple(self._cursors.values())
        turn = Turn(now, tuple(decisions), tuple(hits), cursors, tuple(ignored), bypasses, forgiven)
        self._cursors.clear()
        self._stored = now
        for sink in self._sinks:
            self._apply(sink, turn)

    def _apply(self, sink: Sink, turn: Turn) -> None:
        try:
            sink.apply(turn)
        except Exception as err:
            if sink.name not in self._failing:  # once: a full disk is not helped by a traceback each turn
                self._failing.add(sink.name)
                log.exception("%s missed %d decisions", sink.name, len(turn.decisions))
            self._trouble(sink.name, f"{sink.name}: {err}")
        else:
            self._failing.discard(sink.name)
            self._trouble(sink.name, None)
