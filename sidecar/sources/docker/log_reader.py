"""Reads the log of one container, every line exactly once.

A thread opens the log where the cursor is, hands on what is new, and opens it again whatever ended the connection,
until the container has stopped and nothing new is in its log. Each `Ending` says what happens next.

Where following a log fails, it is read in another way: a damaged log behind the damage (`damage.py`), and one that
Docker does not follow, because its file was truncated, again and again as it is.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass

from sidecar.runtime.backoff import Backoff
from sidecar.sources.docker.api import DockerHost, Engine, LogStream, RequestRefusedError, reason
from sidecar.sources.docker.cursor import UnreadLines
from sidecar.sources.docker.damage import UNKNOWN, read_past
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.endings import Ending, Next, ReadingEnded
from sidecar.sources.docker.freezes import MAX_FREEZE_S, FreezeDetector
from sidecar.sources.docker.long_logs import opening_tail
from sidecar.sources.docker.quirks import ExpectedLine, LogStreamReading, has_unread, is_behind, reading
from sidecar.sources.docker.wire import EngineError, LogReadError, ProtocolError, UnfinishedError

log = logging.getLogger(__name__)

# A daemon that restarts is away for about one second.
FIRST_RETRY_DELAY_S, MAX_RETRY_DELAY_S = 0.1, 2.0
# If the line that was read last does not come for this long, it was rotated away.
MAX_SEARCH_S = 60.0
# The Engine needs 13 s for a log of 1 GB (docker/for-linux#972).
MAX_FIRST_READING_S = 30.0
# How long a log that Docker does not follow is asked for its lines, before it is followed again.
POLLING_PERIOD_S = 300.0
POLL_INTERVAL_S = 1.0
# Of the time, polling takes the Engine at most this part.
POLL_INTERVAL_IN_READINGS = 20
# This many openings in a row without a line are a problem.
MAX_FUTILE_OPENINGS = 5


@dataclass(frozen=True, slots=True)
class ReadingOutcome:
    """How one connection to a log ended."""

    ending: Ending
    why: str = ""
    # Docker is there, and yet the log cannot be read.
    engine_answers: bool = False


class LogReader:
    """A thread for as long as the container runs, and its log's cursor for longer. Any thread may call it."""

    def __init__(self, host: DockerHost, freezes: FreezeDetector, log: DockerLog) -> None:
        self.log = log
        self._host, self._freezes = host, freezes
        self._thread: threading.Thread | None = None
        self._started_again = False
        self._way = WayOfReading()
        self._lock = threading.Lock()

    def start(self, name: str, jails: tuple[str, ...]) -> None:
        """Read the log from now on, under this name and for these jails; if it is being read, go on."""
        with self._lock:
            self.log.report.hold_name(name, jails)
            self.log.listed.set()
            self._begin(name)

    def open_unlisted(self, name: str) -> None:
        """Open the log, and publish and hand on nothing until `start`: the container was not listed yet."""
        with self._lock:
            self.log.listed.clear()
            self._begin(name)

    def _begin(self, name: str) -> None:
        self.log.interrupt.clear()
        self._started_again = True
        if self._thread is None and self.log.report.readable:
            self._thread = threading.Thread(target=self._run, name=f"docker {name}", daemon=True)
            self._thread.start()

    @property
    def is_reading(self) -> bool:
        return self._thread is not None

    def stop(self) -> None:
        """Read no further."""
        with self._lock:
            self.log.interrupt.set()
            self.log.listed.set()

    def remove(self) -> None:
        """Read no further, and publish nothing any more: the container was removed, or is not watched."""
        self.stop()
        self.log.report.release_name()

    def join(self, timeout_s: float) -> None:
        if thread := self._thread:
            thread.join(timeout_s)

    def _run(self) -> None:
        backoff, repeated = Backoff(FIRST_RETRY_DELAY_S, MAX_RETRY_DELAY_S), False
        while True:
            began, before = time.monotonic(), self.log.cursor
            self._started_again = False
            outcome = self._outcome()
            is_soon = time.monotonic() - began <= MAX_RETRY_DELAY_S
            self._way.ended(outcome.ending, moved=self.log.cursor != before, is_soon=is_soon)
            with self._lock:
                rests = self._rests(outcome.ending)
                # An idle log was read to its end and is opened again at once: nobody needs to know.
                if rests or outcome.ending is not Ending.IDLE:
                    self.log.report.closed()
                if rests:
                    self._thread = None
                    return
            self.log.report.reopened(outcome.ending.reason)
            self._publish(outcome, repeated=repeated)
            repeated = is_soon
            if self._way.futile_openings >= MAX_FUTILE_OPENINGS:
                count = self._way.futile_openings
                self.log.report.failing(f"{count} openings in a row brought no line: {outcome.ending.reason}")
            if repeated:
                self.log.interrupt.wait(backoff.next())
            else:
                backoff.reset()

    def _rests(self, ending: Ending) -> bool:
        if self.log.interrupt.is_set:
            return True
        if ending.next is Next.REST_UNTIL_RENAMED:
            return not self.log.report.readable
        return ending.next is Next.REST and not self._started_again

    def _publish(self, outcome: ReadingOutcome, *, repeated: bool) -> None:
        name = self.log.report.name
        match outcome.ending.next:
            case Next.LOG:
                log.info("the log of %s is opened again (%s)", name, outcome.ending.reason)
            case Next.REPORT if not repeated:
                log.warning("the log of %s was lost (%s); trying again", name, outcome.why)
            case Next.REPORT if outcome.engine_answers:
                self.log.report.failing(outcome.why)

    def _outcome(self) -> ReadingOutcome:
        """Read over one connection; return how it ended."""
        try:
            with contextlib.closing(self._host.open(self.log.interrupt)) as engine:
                return ReadingOutcome(self._read(engine))
        except RequestRefusedError as err:
            return self._refused(err)
        except UnfinishedError as err:
            return ReadingOutcome(Ending.UNFINISHED, str(err), engine_answers=True)
        except (OSError, EngineError) as err:
            return ReadingOutcome(Ending.LOST, reason(err), isinstance(err, ProtocolError))
        except Exception as err:
            # Whatever a batch did to those it was handed to, the next one must be read. A loop that has stopped
            # takes no more, and then this reader is stopped as well.
            if not self.log.interrupt.wait(FIRST_RETRY_DELAY_S):
                log.exception("a batch of %s failed", self.log.report.name)
            return ReadingOutcome(Ending.LOST, repr(err), engine_answers=True)

    def _read(self, engine: Engine) -> Ending:
        """Read in the way that is due. Raises OSError, EngineError, and whatever a batch did."""
        try:
            if self._way.take_truncated():
                # Before it was truncated, all was read.
                self.log.window = None
                self.log.catch_up(engine, gap_counts=False)
            elif self.log.is_incomplete:
                self.log.catch_up(engine)
            if self._way.search or self.log.window is not None:
                read_past(engine, self.log, self._way.newest_seen)
                self._way.found()
            return self._read_usual(engine)
        except ReadingEnded as ended:
            return ended.ending

    def _read_usual(self, engine: Engine) -> Ending:
        try:
            return self._poll(engine) if self._way.polls else self._follow(engine)
        except LogReadError as err:
            if self.log.window == 0:
                # The past is left out already.
                raise
            log.info("Docker failed to read the log of %s (%s)", self.log.report.name, err)
            self._way.newest_seen = UNKNOWN
            return Ending.MARK_MISSING

    def _poll(self, engine: Engine) -> Ending:
        """Read what is there again and again. Raises as `_read`, and ReadingEnded."""
        self.log.truncated = True
        self.log.report.opened()
        self.log.report.impaired(
            f"Docker does not follow the log of container {self.log.report.name}, as if its file was truncated "
            "(logrotate's copytruncate): it is read again and again. Restart the container, and limit the log with the "
            "log options max-size and max-file instead"
        )
        deadline = time.monotonic() + POLLING_PERIOD_S
        while not self.log.interrupt.is_set and time.monotonic() < deadline:
            before = self.log.cursor
            self.log.catch_up(engine, gap_counts=False)
            if self.log.cursor == before and self._is_over(engine):
                return Ending.STOPPED
            self.log.interrupt.wait(max(POLL_INTERVAL_S, POLL_INTERVAL_IN_READINGS * self.log.reading_cost_s))
        return Ending.IDLE

    def _follow(self, engine: Engine) -> Ending:
        """Read until the stream ends. Raises as `_read`, and ReadingEnded."""
        before = self.log.cursor
        try:
            complete = self._read_stream(engine)
        except TimeoutError:
            if not engine.is_before_23 and not self.log.first_stamp:
                # There was nothing to read when the log was opened; there may be by now.
                self.log.catch_up(engine)
            return Ending.IDLE
        # A reader that was cut off has not read what a container said last, and Docker before 23 leaves some of it
        # out. So the log is over when there is nothing new in it and the container does not run.
        if complete and self.log.cursor == before and self._is_over(engine):
            return Ending.STOPPED
        return Ending.ENDED

    def _is_over(self, engine: Engine) -> bool:
        """Return whether the container does not run, and wrote nothing since the log was read. Raises as `_read`."""
        return not engine.is_running(self.log.container) and not has_unread(engine, self.log)

    def _read_stream(self, engine: Engine) -> bool:
        """Read to the end of the stream; return whether the Engine ended it. Raises TimeoutError when it is idle."""
        freezes, expected = self._freezes.count(time.monotonic()), ExpectedLine.of(engine, self.log)
        tail, timeout_s = opening_tail(engine, self.log), self._idle_timeout_s(engine)
        with contextlib.closing(self.log.open(engine, tail=tail, timeout_s=timeout_s)) as stream:
            self.log.report.opened()
            lines = UnreadLines(self.log.cursor)
            try:
                self._hand_on_all(engine, stream, reading(engine, self.log, stream, expected), lines, freezes)
            finally:
                self.log.followed(lines)
            return stream.complete

    def _hand_on_all(
        self, engine: Engine, stream: LogStream, source: LogStreamReading, lines: UnreadLines, freezes: int
    ) -> None:
        """Hand on what comes until the stream ends. Raises as `_read_stream`, and ReadingEnded.

        `freezes`: how many there were before the stream was opened.
        """
        deadline = time.monotonic() + MAX_SEARCH_S
        while not self.log.interrupt.is_set and (data := source.read()):
            self.log.listed.wait()
            began = time.monotonic()
            if self._freezes.count(began) != freezes:
                raise ReadingEnded(Ending.FROZEN)
            if began > deadline:
                lines.give_up_search()
            unread = source.unread(lines, data)
            stream.note_frame(is_inside=lines.is_inside_frame)
            if lines.gap and began <= deadline:
                self._way.newest_seen = max((batch.cursor.stamp for batch in unread), default=b"")
                raise ReadingEnded(Ending.MARK_MISSING)
            self.log.came(unread)
            self.log.hand_on(lines, unread)
            lines.raise_failure()
            if time.monotonic() - began > MAX_FREEZE_S:
                raise ReadingEnded(Ending.FROZEN)
            if self.log.is_comparison_due:
                is_behind(engine, self.log)

    def _idle_timeout_s(self, engine: Engine) -> float | None:
        """Return after what silence a log is opened again, where it is not checked; None: the host's usual."""
        if engine.is_before_23:
            return None
        # Until it is known what reading takes, a long log must not be given up while the Engine searches it.
        shortest_s = engine.check_interval_s if self.log.reading_cost_s else MAX_FIRST_READING_S
        return self.log.check_interval_s(shortest_s)

    def _refused(self, err: RequestRefusedError) -> ReadingOutcome:
        match err.status:
            case 404 | 409:
                # The container is gone, or going.
                return ReadingOutcome(Ending.STOPPED)
            case 501:
                self.log.report.unreadable(self._driver())
                return ReadingOutcome(Ending.UNREADABLE)
            case _:
                return ReadingOutcome(Ending.LOST, str(err), engine_answers=True)

    def _driver(self) -> str:
        """Return the name of the container's log driver."""
        with (
            contextlib.suppress(OSError, EngineError),
            contextlib.closing(self._host.open(self.log.interrupt)) as engine,
        ):
            return engine.log_driver(self.log.container)
        return "unknown"


class WayOfReading:
    """How a log is read next, by how reading it ended before."""

    def __init__(self) -> None:
        # How many openings in a row failed to bring a line.
        self.futile_openings = 0
        # The stamp of a line that is in the log, as `read_past` takes it.
        self.newest_seen = b""
        # Whether the line that was read last has to be looked for, behind a damaged part.
        self.search = self._truncated = False
        self._blind_in_a_row = self._stuck_in_a_row = 0

    @property
    def polls(self) -> bool:
        """Whether the log is read again and again instead of being followed."""
        return self._blind_in_a_row > 1

    def found(self) -> None:
        """Note that the line that was read last was looked for."""
        self.search, self.newest_seen = False, b""

    def take_truncated(self) -> bool:
        """Return whether the log's file was truncated under the stream, once."""
        due, self._truncated = self._truncated, False
        return due

    def ended(self, ending: Ending, *, moved: bool, is_soon: bool) -> None:
        """Note how reading ended. `moved`: lines were read. `is_soon`: the connection was hardly open."""
        self._truncated = self._truncated or ending is Ending.BLIND
        if ending is Ending.BLIND:
            self._blind_in_a_row += 1
        elif ending is Ending.STOPPED:
            # Docker opens the file again when the container starts.
            self._blind_in_a_row = 0
        elif ending is Ending.IDLE and self.polls:
            # Follow it once more.
            self._blind_in_a_row = 1
        elif moved and not self.polls:
            self._blind_in_a_row = 0
        self._stuck_in_a_row = self._stuck_in_a_row + 1 if ending is Ending.STUCK and not moved else 0
        if ending is Ending.MARK_MISSING:
            self.search, self.newest_seen = True, self.newest_seen or UNKNOWN
        elif self._stuck_in_a_row > 1:
            self.search, self.newest_seen = True, UNKNOWN
        # A connection that ends later may be one of a quiet log, cut by a proxy.
        failed = ending in (Ending.STUCK, Ending.BLIND, Ending.MARK_MISSING, Ending.UNFINISHED) or (
            ending is Ending.ENDED and is_soon
        )
        futile = failed and not moved
        self.futile_openings = self.futile_openings + 1 if futile else 0
