"""Reads the log of one container, every line exactly once.

A thread opens the log where the cursor is, hands on what is new, and opens it again whatever ended the connection,
until the container has stopped and nothing new is in its log. Each `Ending` says what happens next.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass

from sidecar.runtime.backoff import Backoff
from sidecar.sources.docker.api import DockerHost, Engine, RequestRefusedError, reason
from sidecar.sources.docker.cursor import UnreadLines
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.endings import Ending, Next, ReadingEnded
from sidecar.sources.docker.freezes import MAX_FREEZE_S, FreezeDetector
from sidecar.sources.docker.quirks import reading
from sidecar.sources.docker.wire import EngineError, ProtocolError

log = logging.getLogger(__name__)

# A daemon that restarts is away for about one second.
FIRST_RETRY_DELAY_S, MAX_RETRY_DELAY_S = 0.1, 2.0
# If the line that was read last does not come for so long, it was rotated away.
MAX_SEARCH_S = 60.0


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
        self._lock = threading.Lock()

    def start(self, name: str, jails: tuple[str, ...]) -> None:
        """Read the log from now on, under this name and for these jails; if it is being read, go on."""
        with self._lock:
            self.log.report.hold_name(name, jails)
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
            began = time.monotonic()
            self._started_again = False
            outcome = self._outcome()
            with self._lock:
                if self._is_over(outcome.ending):
                    self._thread = None
                    return
            self.log.report.reopened(outcome.ending.reason)
            self._publish(outcome, repeated=repeated)
            repeated = time.monotonic() - began <= MAX_RETRY_DELAY_S
            if repeated:
                self.log.interrupt.wait(backoff.next())
            else:
                backoff.reset()

    def _is_over(self, ending: Ending) -> bool:
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
                return ReadingOutcome(self._follow(engine))
        except RequestRefusedError as err:
            return self._refused(err)
        except (OSError, EngineError) as err:
            return ReadingOutcome(Ending.LOST, reason(err), isinstance(err, ProtocolError))
        except Exception as err:
            # Whatever a batch did to those it was handed to, the next one must be read. A loop that has stopped
            # takes no more, and then this reader is stopped as well.
            if not self.log.interrupt.wait(FIRST_RETRY_DELAY_S):
                log.exception("a batch of %s failed", self.log.report.name)
            return ReadingOutcome(Ending.LOST, repr(err))
        finally:
            self.log.report.closed()

    def _follow(self, engine: Engine) -> Ending:
        """Read until the stream ends. Raises OSError, EngineError, and whatever a batch did."""
        before = self.log.cursor
        try:
            complete = self._read_stream(engine)
        except TimeoutError:
            return Ending.IDLE
        except ReadingEnded as ended:
            return ended.ending
        # A reader that was cut off has not read what a container said last, and Docker before 23 leaves some of it
        # out. So the log is over when there is nothing new in it and the container does not run.
        if complete and self.log.cursor == before and not engine.is_running(self.log.container):
            return Ending.STOPPED
        return Ending.ENDED

    def _read_stream(self, engine: Engine) -> bool:
        """Read to the end of the stream; return whether the Engine ended it. Raises TimeoutError when it is idle."""
        freezes = self._freezes.count(time.monotonic())
        with contextlib.closing(self.log.open(engine)) as stream:
            self.log.report.opened()
            lines = UnreadLines(self.log.cursor, terminal=stream.terminal)
            source = reading(engine, self.log, stream)
            deadline = time.monotonic() + MAX_SEARCH_S
            while not self.log.interrupt.is_set and (data := source.read()):
                began = time.monotonic()
                if self._freezes.count(began) != freezes:
                    raise ReadingEnded(Ending.FROZEN)
                if began > deadline:
                    lines.give_up_search()
                self.log.hand_on(lines, source.unread(lines, data))
                if time.monotonic() - began > MAX_FREEZE_S:
                    raise ReadingEnded(Ending.FROZEN)
            return stream.complete

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
            return str(engine.inspect(self.log.container)["HostConfig"]["LogConfig"]["Type"])
        return "unknown"
