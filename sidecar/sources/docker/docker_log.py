"""One container's log: how far it is read, and where its lines go."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from sidecar.core.events import Batch, Cursor, Framing
from sidecar.sources.base import Emit
from sidecar.sources.docker.api import Engine, LogStream
from sidecar.sources.docker.completeness import ComparisonPace, LogComparison, UnverifiedLines
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.cursor import DockerCursor, UnreadBatch, UnreadLines
from sidecar.sources.docker.endings import Ending, ReadingEnded
from sidecar.sources.docker.reports import LogReport
from sidecar.sources.docker.wire import (
    STAMP_BYTES,
    STDERR,
    STDOUT,
    EngineError,
    Line,
    LogReadError,
    joined,
    precise_unix_seconds,
    unix_seconds,
)

# Docker's json-file has no index, so reading from a time on decodes the whole file. A silent log is asked for more at
# most once in this many times of what that takes.
CHECK_INTERVAL_IN_READINGS = 100
# The shortest time until then, if lines may have been left out.
DOUBTFUL_SILENCE_S = 1.0
MAX_CHECK_INTERVAL_S = 1800.0
# What is written between two connections is read before anybody truncates the file, if there is no more between them.
MAX_UNATTENDED_S = 10.0
# A byte of an answer is at most this many in a json-file: a control character becomes `\u0000`, and what stands around
# each line is shorter than six times its header and stamp.
MAX_GROWTH_IN_FILES = 6


class UnreadPart(NamedTuple):
    """What is unread of a part of a log."""

    lines: UnreadLines
    # Lines before the cursor that were left out of the stream.
    left_out: list[Line]
    # Whether lines were left out that are no longer in the log.
    are_some_lost: bool
    # After the cursor.
    batches: list[UnreadBatch]
    # What finds lines that were left out.
    comparison: LogComparison


class DockerLog:
    """Owned by the thread that reads the log; `interrupt` and `report` are for any thread."""

    def __init__(self, container: str, cursor: DockerCursor, emit: Emit, report: LogReport) -> None:
        self.container = container
        self.cursor = cursor
        self.report = report
        # Whether it may have many lines that need not be read; a container that just started has few.
        self.may_be_long = True
        # Set while the log is not to be read.
        self.interrupt = Interrupt()
        # Set unless the container was not listed yet. Then nothing is handed on: its networks are not known.
        self.listed = threading.Event()
        self.listed.set()
        # How many of the log's last entries are asked for; None: all. Behind a damaged part only these can be read.
        self.window: int | None = None
        # Docker does not follow it: its file was truncated.
        self.truncated = False
        # The file that is being followed cannot be opened any more; all of it is read when the stream ends.
        self.file_gone = False
        # The stamp of its first entry when it was last known that all of it comes. As long as it begins with that, its
        # file was not truncated, and the log need not be read to know that.
        self.first_stamp = b""
        # What it takes the Engine to read the log once.
        self.reading_cost_s = 0.0
        # Lines were left out of it while it was followed; they are in the log.
        self.is_incomplete = False
        # Lines that were read did not come when the log was last read without being followed.
        self.are_some_gone = False
        self.pace = ComparisonPace(time.monotonic())
        self._unverified = UnverifiedLines(cursor)
        # At which size a file of it is rotated. Infinite: it is not, and then nothing can be left out.
        self._file_bytes: float | None = None
        self._followed_until = -math.inf
        self._emit = emit

    def open(
        self,
        engine: Engine,
        *,
        follow: bool = True,
        start: int | None = None,
        tail: int | None = None,
        timeout_s: float | None = None,
    ) -> LogStream:
        """Return the log from the cursor on, or from `start` (unix time). Raises OSError and EngineError.

        `tail`: only this many of its last entries, where there is no window.
        """
        tail = tail if self.window is None else self.window
        start = _start(engine, self.cursor) if start is None else start
        stream = engine.logs(self.container, start, follow=follow, tail=tail, timeout_s=timeout_s)
        # Not before: the container may be removed in this moment, and its log is only read over an open connection.
        with contextlib.suppress(OSError, EngineError):
            self.file_bytes(engine)
        return stream

    def file_bytes(self, engine: Engine) -> float:
        """Return at which size a file of the log is rotated: infinite where that does not happen.

        The Engine is asked once. Raises OSError and EngineError.
        """
        if self._file_bytes is None:
            self._file_bytes = engine.log_file_bytes(self.container)
        return self._file_bytes

    def check_interval_s(self, shortest_s: float) -> float:
        """Return after how many seconds of silence the log is asked whether it has more."""
        if self.is_rotated and self.pace.is_doubtful:
            shortest_s = min(shortest_s, DOUBTFUL_SILENCE_S)
        if self.first_stamp and not self.is_rotated:
            return shortest_s
        return min(max(shortest_s, CHECK_INTERVAL_IN_READINGS * self.reading_cost_s), MAX_CHECK_INTERVAL_S)

    def follows(self) -> None:
        """Note that a line came as it was written."""
        self.truncated = False
        self.passed_check()

    def cannot_open_again(self, err: LogReadError) -> None:
        """Note that only the stream that is open has the log: Docker keeps a file open that was deleted."""
        self.file_gone = True
        self.report.impaired(
            f"the log of container {self.report.name} cannot be opened again ({err}), as if its file was deleted or "
            "damaged. It is read as long as the present connection lasts. Restart the container"
        )

    def passed_check(self) -> None:
        """Note that all that is in the log has come."""
        self.report.working()
        if not self.truncated and not self.file_gone and self.window is None:
            self.report.sound()

    @property
    def is_rotated(self) -> bool:
        """Whether files of the log are rotated; known once it was opened."""
        return self._file_bytes is not None and self._file_bytes < math.inf

    def has_unread(self, engine: Engine) -> bool:
        """Return whether the log has lines after the cursor, or before it, and then it is incomplete.

        A log with a damaged part is asked without its window, since its file may have been truncated: as long as it
        was not, Docker fails to read it, and then the stream through the window has all. Raises OSError and
        EngineError.
        """
        window, self.window = self.window, None
        try:
            return any(self._finds_unread(engine, part) for part in self._unread_now(engine))
        except LogReadError:
            if window is None:
                raise
            return False
        finally:
            self.window = window
            self.pace.compared(time.monotonic())

    def _finds_unread(self, engine: Engine, part: UnreadPart) -> bool:
        if part.left_out:
            self.is_incomplete = True
        elif part.batches:
            # All before these was read.
            self._compared(engine, part.comparison)
        return bool(part.left_out or part.batches)

    def _compared(self, engine: Engine, comparison: LogComparison) -> None:
        """Note that all up to the cursor came, as far as this reading shows it."""
        self.are_some_gone = comparison.are_some_gone
        # Before 23, Docker may not show lines that are in the log, and they have to be looked for.
        if not (self.are_some_gone and engine.is_before_23):
            self.verified()

    def verified(self) -> None:
        """Note that all lines up to the cursor were read that can be."""
        self.are_some_gone = False
        self._unverified.verified(self.cursor)

    def came(self, batches: list[UnreadBatch]) -> None:
        """Note that these lines came over a stream now."""
        if self.is_rotated and batches and batches[0].lines:
            delay_s = time.time() - precise_unix_seconds(batches[0].lines[0])
            self.pace.came(delay_s, self._file_bytes or 0.0, time.monotonic())

    @property
    def is_comparison_due(self) -> bool:
        """Whether to look for lines that were left out, though lines come."""
        return self.is_rotated and self.pace.is_due(time.monotonic(), self.reading_cost_s)

    def followed(self, lines: UnreadLines) -> None:
        """Note that a connection that brought these lines ends now."""
        if lines.mark_found and not lines.gap:
            self._followed_until = time.monotonic()

    def may_have_lost_lines(self, engine: Engine) -> bool:
        """Return whether lines may be lost if the line that was read last is no longer in the log.

        Not if the file was truncated while it was followed, or was deleted. Raises OSError and EngineError.
        """
        if self.file_gone:
            return False
        if time.monotonic() - self._followed_until > MAX_UNATTENDED_S:
            return True
        # A rotation that removes a line leaves full files behind, and a truncation next to nothing.
        least = engine.bytes_before_loss(self.container)
        return least < math.inf and self._may_have_bytes(engine, least)

    def comparison(self) -> LogComparison:
        """Return what finds the lines that Docker has left out of the log until now."""
        if not self.is_rotated:
            self._unverified.verified(self.cursor)
        return self._unverified.comparison()

    def catch_up(
        self, engine: Engine, *, gap_counts: bool = True, before: bytes = b"", ends_at_gap: bool = False
    ) -> bool:
        """Hand on what is unread in the log by now, without following it. Raises OSError, EngineError and ReadingEnded.

        `gap_counts`: it is a gap if the line that was read last is no longer there, and lines may be lost. `before`:
        only up to the first line with this stamp or a later one. `ends_at_gap`: if the line that was read last does not
        come, but later ones do, hand on nothing and raise ReadingEnded. Return whether the line that was read last
        came, or a later one.
        """
        found, late = not self.cursor.stamp, 0
        try:
            for part in self._unread_now(engine, before):
                if ends_at_gap and part.lines.gap:
                    raise ReadingEnded(Ending.MARK_MISSING)
                is_missing = part.lines.take_gap() or part.are_some_lost
                if is_missing and gap_counts and self.may_have_lost_lines(engine):
                    self.report.gap()
                late += self.hand_on_late(part.left_out)
                self.hand_on(part.lines, part.batches)
                self.followed(part.lines)
                found = part.lines.mark_found
        finally:
            if late:
                self.report.read_late(late)
        return found

    def _unread_now(self, engine: Engine, before: bytes = b"") -> Iterator[UnreadPart]:
        """Read the log without following it. Raises OSError, EngineError and ReadingEnded."""
        began = time.monotonic()
        comparison, since = self.comparison(), self._unverified.since
        start = min(_start(engine, since), _start(engine, self.cursor))
        headless = {**since.headless(start), **self.cursor.headless(start)}
        with contextlib.closing(self.open(engine, start=start, follow=False)) as stream:
            lines = UnreadLines(self.cursor, headless=headless)
            while data := stream.read():
                whole = lines.whole(data)
                earlier = [line for line in whole if line[1][:STAMP_BYTES] < before] if before else whole
                unread = lines.unread_lines(earlier)
                left_out = comparison.left_out(earlier, unread)
                yield UnreadPart(lines, left_out, comparison.take_lost(), lines.batches(unread), comparison)
                if len(earlier) < len(whole):
                    return
                lines.raise_failure()
            self.reading_cost_s = time.monotonic() - began
            if not stream.complete:
                raise ReadingEnded(Ending.ENDED)
            self._compared(engine, comparison)
            self.is_incomplete = False

    def _may_have_bytes(self, engine: Engine, least: float) -> bool:
        """Return whether the log may have this many bytes in Docker's files. Raises OSError and EngineError."""
        size = 0
        with contextlib.closing(engine.logs(self.container, 0, follow=False)) as stream:
            while size < least and (data := stream.read()):
                size += MAX_GROWTH_IN_FILES * len(data)
        return size >= least

    def hand_on(self, lines: UnreadLines, batches: list[UnreadBatch]) -> None:
        """Emit each stream's new lines as one batch, and move the cursor on. Raises ReadingEnded."""
        # First: once these lines count, nobody would find the gap again.
        if lines.take_gap():
            self.report.gap()
        for batch in batches:
            # Before the batch is emitted: one that breaks a filter must not be read for ever.
            self._count(batch)
            if truncated := lines.take_truncated():
                self.report.truncated(truncated)
        if batches:
            self.report.working()

    def hand_on_late(self, left_out: list[Line]) -> int:
        """Emit lines that Docker has left out of the stream; later ones were read. Raises ReadingEnded.

        Return how many they are.
        """
        for stream in (STDOUT, STDERR):
            if texts := [text for each, text in left_out if each == stream]:
                self._count(UnreadBatch(stream, texts, self.cursor))
        return len(left_out)

    def _count(self, batch: UnreadBatch) -> None:
        self.listed.wait()
        if self.interrupt.is_set:
            raise ReadingEnded(Ending.ENDED)
        self.cursor = batch.cursor
        data = joined(batch.lines)
        if not data:
            return
        if self.is_rotated:
            self._unverified.add(batch.lines, batch.cursor)
        origin = self.report.batch_read(
            batch.stream, len(batch.lines), len(data), unix_seconds(batch.lines[-1])
        )
        self._emit(Batch(origin, data, Framing.DOCKER), self._stored(batch.cursor))

    def _stored(self, cursor: DockerCursor) -> Cursor:
        return Cursor(cursor_key(self.container), cursor.encode())


def _start(engine: Engine, cursor: DockerCursor) -> int:
    """Return the unix time to ask for lines from; if it is still to come, the clock was set back, and it is 0.

    The Engine would leave out whatever is older until that time comes again.
    """
    start = cursor.start
    return 0 if start > time.time() and start > engine.now() else start


def cursor_key(container: str) -> str:
    """Return the key under which the container's cursor is stored."""
    return f"docker:{container}"
