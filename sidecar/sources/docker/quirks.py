"""How a log is read over one connection: as it comes, or with workarounds for Docker before 23 (API 1.42).

These Engines have faults that `docker logs --follow` shows as well; Debian 12 has 20.10. They may

- send lines twice when they rotate a log under its reader;
- go silent where a log is rotated just when it is opened, until it is rotated again, and leave the whole file in
  between out;
- leave out a whole file between what was in the log when it was opened and what is followed.

What they leave out of a log that ends together with its container, the log reader finds without knowing the version:
it reads the log of a stopped container again until nothing new is in it.
"""

from __future__ import annotations

import contextlib
import time
from array import array
from datetime import UTC, datetime
from typing import Protocol

from sidecar.sources.docker.api import Engine, LogStream, RequestRefusedError
from sidecar.sources.docker.cursor import UnreadBatch, UnreadLines
from sidecar.sources.docker.damage import hidden_stamp
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.endings import Ending, ReadingEnded
from sidecar.sources.docker.line_joiner import is_terminals
from sidecar.sources.docker.tails import beginning
from sidecar.sources.docker.wire import (
    STAMP_BYTES,
    STDERR,
    STDOUT,
    EngineError,
    FrameDecoder,
    Line,
    LogReadError,
)

# Seconds in which a line that is in the log arrives.
ARRIVAL_S = 1.0
# Seconds in which the line that was read last comes again when a log is opened, unless it is very long.
MAX_FIRST_LINE_S = 15.0
# Seconds without a byte after which the Engine is asked whether there is more.
SILENCE_S = 1.0
# Lines among which one is looked for that came twice: what 16,000 lines a second write in 2 s.
MAX_REMEMBERED_LINES = 32 * 1024


class LogStreamReading(Protocol):
    """Reads a log over one connection."""

    def read(self) -> bytes:
        """Return what comes next; no bytes at the end. Raises TimeoutError when the log is idle, and ReadingEnded."""

    def unread(self, lines: UnreadLines, data: bytes) -> list[UnreadBatch]:
        """Return what is unread of these bytes. Raises ReadingEnded and ProtocolError."""


class ExpectedLine:
    """The last line of a log before it was opened. It comes before any later one, unless it is behind a damaged part.

    There, some Engines leave out what is in the log, and go on with what is written from now on.
    """

    def __init__(self, stamp: bytes = b"") -> None:
        """No stamp: no line is expected."""
        self._stamp = stamp

    @classmethod
    def of(cls, engine: Engine, log: DockerLog) -> ExpectedLine:
        """Return the last line of a log that is to be opened now. Raises OSError."""
        if not log.cursor.stamp or log.window is not None:
            return cls()
        return cls(hidden_stamp(engine, log))

    def is_left_out(self, lines: list[Line]) -> bool:
        """Return whether these lines begin behind it, and it did not come."""
        if self._stamp:
            stamps = {text[:STAMP_BYTES] for _, text in lines}
            if self._stamp not in stamps:
                return max(stamps, default=b"") > self._stamp
            self._stamp = b""
        return False


def reading(engine: Engine, log: DockerLog, stream: LogStream, expected: ExpectedLine) -> LogStreamReading:
    """Return how this Engine's logs are read, by its version. `expected`: made before the stream was opened."""
    kind = ReadingBefore23 if engine.is_before_23 else PlainReading
    return kind(engine, log, stream, expected)


def is_behind(engine: Engine, log: DockerLog) -> bool:
    """Return whether the log has later lines than those that came over the open stream.

    Raises ReadingEnded where lines were left out between those, OSError and EngineError.
    """
    first_stamp = b"" if log.is_rotated or log.window is not None else beginning(engine, log)
    if first_stamp and first_stamp == log.first_stamp:
        log.passed_check()
        return False
    try:
        behind = has_unread(engine, log)
    except RequestRefusedError:
        # The container is being removed, or a socket proxy has had enough. The stream goes on.
        return False
    except LogReadError as err:
        log.cannot_open_again(err)
        return False
    log.file_gone = False
    if log.is_incomplete:
        raise ReadingEnded(Ending.INCOMPLETE)
    if not behind:
        log.first_stamp = first_stamp
        log.passed_check()
    return behind


def has_unread(engine: Engine, log: DockerLog) -> bool:
    """Return whether the log has lines that were not read, as `DockerLog.has_unread`.

    Raises ReadingEnded where Docker before 23 may have lines that it does not show: when a rotated log's file is
    truncated, dockerd writes on where it was, behind zeros. It stops at these, or leaves out what is right behind them,
    without an error, and so does whoever follows. That lines are gone that were read shows that this may be so.
    """
    found = log.has_unread(engine)
    if engine.is_before_23 and log.window is None and log.are_some_gone:
        raise_where_hidden(engine, log)
    return found


def raise_where_hidden(engine: Engine, log: DockerLog) -> None:
    """Raise ReadingEnded if the log ends with the line that was read last, or a later one. Before Docker 23 only."""
    # To ask may end dockerd where a log of the driver `local` is damaged.
    if not log.cursor.stamp or engine.log_driver(log.container) == "local":
        return
    if last_stamp(engine, log) >= log.cursor.stamp:
        raise ReadingEnded(Ending.MARK_MISSING)


def last_stamp(engine: Engine, log: DockerLog) -> bytes:
    """Return the stamp of the last line in the log; nothing where that cannot be learned."""
    with contextlib.suppress(OSError, EngineError):
        data = engine.last_bytes(log.container)
        if is_terminals(data):
            return data[:STAMP_BYTES]
        frames = FrameDecoder().feed(data)[-1:]
        return b"".join(text[:STAMP_BYTES] for kind, text in frames if kind in (STDOUT, STDERR))
    return b""


class PlainReading:
    """The stream is the log, until the log's file is truncated: then nothing comes any more (moby#45728).

    So a silent log is read over a second connection, without following it, and the first one is not given up for that.
    The log is not asked for its last line alone (`tail`): where the file was truncated, that never ends, and dockerd
    26.1 goes on with it when the client has long gone. Only of a container that was started after what was read last,
    the last line is asked for first: behind a damaged part, Docker 29 goes on with the lines that are written from now
    on, and leaves out those before.
    """

    def __init__(self, engine: Engine, log: DockerLog, stream: LogStream, expected: ExpectedLine) -> None:
        self._engine, self._log, self._stream = engine, log, stream
        self._opened_at = time.monotonic()
        # Something came; a check found that all has come.
        self._began = self._checked = False
        self._expected = expected

    def read(self) -> bytes:
        """Return what comes next; no bytes at the end. Raises ReadingEnded where it does not come."""
        while True:
            with contextlib.suppress(TimeoutError):
                data = self._read(self._log.check_interval_s(self._engine.check_interval_s))
                if self._checked:
                    self._log.follows()
                return data
            if not self._is_due():
                continue
            if not self._checked and hidden_stamp(self._engine, self._log):
                raise ReadingEnded(Ending.MARK_MISSING)
            if is_behind(self._engine, self._log):
                # It may have been written just now.
                with contextlib.suppress(TimeoutError):
                    return self._read(ARRIVAL_S)
                raise ReadingEnded(Ending.BLIND)
            self._checked = True

    def unread(self, lines: UnreadLines, data: bytes) -> list[UnreadBatch]:
        whole = lines.whole(data)
        if self._expected.is_left_out(whole):
            raise ReadingEnded(Ending.MARK_MISSING)
        return lines.unread(whole)

    def _read(self, timeout_s: float) -> bytes:
        data = self._stream.read(timeout_s)
        self._began = True
        return data

    def _is_due(self) -> bool:
        """Return whether a silence means something: a long log takes a while until its first line comes."""
        waited_s = time.monotonic() - self._opened_at
        comes_at_once = not self._log.cursor.stamp or self._log.window is not None
        return self._began or comes_at_once or waited_s > MAX_FIRST_LINE_S


class ReadingBefore23:
    """The stream may have lines twice, and may lack some."""

    def __init__(self, engine: Engine, log: DockerLog, stream: LogStream, expected: ExpectedLine) -> None:
        self._engine, self._log, self._stream = engine, log, stream
        self._expected = expected
        self._repeats = RepeatFilter()
        # The beginning of a stamp; a line with a later one was written after the stream was opened. Empty: the
        # log is read up to there.
        self._opened_at = datetime.fromtimestamp(engine.now() + 1, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        self._began = False
        # The last entries alone come at once, or they are not to be had.
        self._silence_checked = log.window is None

    def read(self) -> bytes:
        """At the first silence after the first lines, check that the last line of the log was sent."""
        if not self._silence_checked:
            with contextlib.suppress(TimeoutError):
                return self._stream.read(SILENCE_S)
            # Even if more comes now: it may be from behind the hole.
            if last_stamp(self._engine, self._log) > self._log.cursor.stamp:
                raise ReadingEnded(Ending.STUCK)
            self._silence_checked = True
        data = self._read_on()
        if not self._began:
            self._began, self._silence_checked = True, False
        return data

    def unread(self, lines: UnreadLines, data: bytes) -> list[UnreadBatch]:
        """When the first line comes that was written after opening, read all up to there once without following.

        Later would be too late: once that line counts, a kill makes the next run begin behind it.
        """
        whole = self._repeats.without_repeats(lines.whole(data))
        if self._expected.is_left_out(whole):
            raise ReadingEnded(Ending.STUCK)
        opened_at = self._opened_at
        if (
            opened_at
            # Of a log that is not rotated, nothing is left out, and to read a long one again takes seconds.
            and self._log.is_rotated
            and self._log.window is None
            and any(text[: len(opened_at)] > opened_at for _, text in whole)
        ):
            self._catch_up_once(lines)
            self._opened_at = b""
        unread = lines.unread(whole)
        if lines.gap and not self._opened_at:
            raise ReadingEnded(Ending.STUCK)
        return unread

    def _read_on(self) -> bytes:
        while True:
            with contextlib.suppress(TimeoutError):
                return self._stream.read(self._log.check_interval_s(self._shortest_interval_s))
            # What these Engines send of a damaged log from its beginning says nothing.
            if self._log.window is None and is_behind(self._engine, self._log):
                with contextlib.suppress(TimeoutError):
                    return self._stream.read(ARRIVAL_S)
                raise ReadingEnded(Ending.STUCK)

    def _catch_up_once(self, lines: UnreadLines) -> None:
        before, found = self._log.cursor, False
        self._log.followed(lines)
        try:
            # Right behind zeros there may be lines that do not come.
            found = self._log.catch_up(self._engine, ends_at_gap=True)
        except LogReadError as err:
            self._log.cannot_open_again(err)
        # Of a file that was deleted, an empty log may come instead of an error.
        if found or self._log.cursor != before:
            lines.resume(self._log.cursor)
        else:
            raise_where_hidden(self._engine, self._log)

    @property
    def _shortest_interval_s(self) -> float:
        # Of a log that is not rotated, nothing is left out, and these Engines notice where it is truncated.
        return self._engine.check_interval_s if self._log.is_rotated else self._engine.idle_timeout_s


class RepeatFilter:
    """Takes out the lines that come again when the Engine opens a rotated log's new file twice."""

    def __init__(self) -> None:
        # The last stamps. On these Engines each line of a stream has a later one.
        self._last = {STDOUT: b"", STDERR: b""}
        self._recent = array("q")

    def without_repeats(self, lines: list[Line]) -> list[Line]:
        """Return the lines that did not come before. Of a clock that was set back, all are kept."""
        last, known = self._last, set[int]()
        kept: list[Line] = []
        for line in lines:
            stream, text = line
            stamp = text[:STAMP_BYTES]
            if stamp <= last[stream] and text:
                known = known or {*self._recent, *map(hash, kept)}
                if hash(line) in known:
                    continue
            if known:
                known.add(hash(line))
            last[stream] = stamp or last[stream]
            kept.append(line)
        self._recent.extend(map(hash, kept))
        if len(self._recent) > 2 * MAX_REMEMBERED_LINES:
            del self._recent[:-MAX_REMEMBERED_LINES]
        return kept
