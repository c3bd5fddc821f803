"""Follows one log, while the files behind it are renamed, compressed, truncated, removed and created.

    SegmentFinder -> SegmentReader -> Decoder -> WaitingBatches -> emit

The follower advances in small steps: it opens the log, reads the next lines, hands on one batch, or goes on to the next
file. The finder knows how the log's files are named, the decoder knows their format. Each batch has a cursor, which is
stored together with the hits of the batch. So each line counts exactly once, wherever the process is stopped.
"""

from __future__ import annotations

import errno
import math
import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sidecar.core.events import Batch, Cursor, Origin, Written
from sidecar.sources.base import Outputs, ReopenReason
from sidecar.sources.files.cursor import NOWHERE, FilePosition
from sidecar.sources.files.decoder import DecodedLines, Decoder
from sidecar.sources.files.reporter import LogReporter
from sidecar.sources.files.segments import (
    READ_SIZE_BYTES,
    NoSuccessor,
    RawLines,
    SegmentFinder,
    SegmentReader,
    Start,
    closed_on_error,
)

# How much is read at once while most lines are failures. The loop's inbox holds up to 256 batches, each with its hits.
FLOOD_READ_SIZE_BYTES: Final = 64 * 1024
# A batch that takes more processor time than this is full of failures. 1,200 lines without any take 0.3 ms.
FLOOD_BATCH_CPU_S: Final = 0.002
# A bad disk takes long to fail, and all other logs of the thread wait meanwhile.
RETRY_DELAY_S: Final = 10.0
# A file on a bad disk is skipped after this many failures, if there are later ones.
TRIES_ON_BAD_DISK: Final = 2
# Lines that are read so soon after the end of the log was seen were written just now.
MAX_LIVE_AGE_S: Final = 2.0
# The errors of a bad disk or a damaged file system.
BAD_DISK_ERRNOS: Final = (errno.EIO, errno.EBADMSG, errno.EUCLEAN)
# Errors during a rotation and of network file systems, which pass by themselves.
TRANSIENT_ERRNOS: Final = (errno.ENOENT, errno.ESTALE)


class Follower:
    """Follows one log. Owned by one thread.

    `files_changed`: files may have been renamed or created since the last step. Only then is a next file searched for.
    `settling`: there is a next file, but the current one may still be written to.
    """

    def __init__(
        self, key: str, finder: SegmentFinder, decoder: Decoder, outputs: Outputs, state: bytes = b""
    ) -> None:
        """`key`, `state`: the log's stored cursor. Without a state, the log was never read."""
        self.files_changed = True
        self.settling = False
        self._finder = finder
        self._decoder = decoder
        self._reporter = LogReporter(finder.kind, outputs)
        self._batches = WaitingBatches(key, decoder, outputs, state)
        self._errors = ReadErrors()
        self._reader: SegmentReader | None = None
        decoder.resume(self._batches.cursor)

    @property
    def name(self) -> str:
        return self._reporter.name

    @property
    def cursor(self) -> Cursor | None:
        """The stored cursor; None if the log was never opened."""
        return self._batches.stored if self._batches.cursor.position != NOWHERE else None

    def describe(self, origin: Origin, unsupported: str = "") -> None:
        """Set the log's name and the jails that check it.

        `unsupported`: a sentence that says why the log has no files. It is not read then.
        """
        self._reporter.rename(origin.name)
        self._batches.describe(origin)
        self._reporter.set_unsupported(unsupported)

    def step(self, now: float) -> bool:
        """Do the next small step; return whether there may be more to do. `now`: unix seconds."""
        if self._batches:
            self._batches.emit_next()
            return True
        if self._reporter.is_unsupported:
            return False
        try:
            more = self._read_open(now)
        except OSError as err:
            self._read_failed(err, now)
            return False
        if self._reader and not more and self.files_changed and not self._errors.waiting(now):
            try:
                more = self._go_on(self._reader, now)
            except OSError as err:
                # The current file stays open, as it may still be written to.
                self._report(err, now)
                return False
        # Only a log that can be read to its end is readable again.
        if self._reader and not more and not self._errors.waiting(now):
            self._errors.clear()
            self._reporter.readable()
            self._batches.age.at_end(now)
        return more

    def close(self) -> None:
        """Close the file. Lines that were read and not handed on will be read again."""
        if self._reader:
            self._reader.close()
            self._reader = None
            self._reporter.reading(up=False)
        self._batches.clear()
        self._decoder.resume(self._batches.cursor)

    def forget(self) -> None:
        """Withdraw what was reported about the log. No jail checks it any more."""
        self._reporter.forget()

    def _read_open(self, now: float) -> bool:
        """Read the next lines, after opening the log if it is not open."""
        if not self._reader and not self._errors.waiting(now):
            self._reader = self._open()
        reader = self._reader
        if not reader:
            return False
        if reader.truncated:
            reader.rewind()
            self._decoder.begin_again(reader.position)
            self._reporter.reopened(ReopenReason.TRUNCATED)
        return self._read(reader, now)

    def _open(self) -> SegmentReader | None:
        cursor = self._batches.cursor
        skip = self._errors.count(cursor.position) // TRIES_ON_BAD_DISK
        opening = self._finder.open(cursor, skip)
        if not opening:
            return None
        reader = opening.reader
        if opening.start is Start.CURSOR:
            self._decoder.begin(reader.position, reader.restart_count)
        else:
            cursor = self._decoder.begin_elsewhere(
                reader.position, reader.restart_count, mid_line=opening.mid_line
            )
        if opening.bind:
            self._batches.cursor = cursor
        if opening.start is not Start.CURSOR:
            self._batches.age.in_the_past()
        if opening.start is Start.GAP:
            self._reporter.gap(self._finder.gap_advice(self.name))
        if not self._reporter.has_problem:
            self._reporter.reading(up=True)
        return reader

    def _read(self, reader: SegmentReader, now: float) -> bool:
        raw = reader.read(self._batches.read_size)
        if raw and raw.size:
            self._batches.age.look(now)
            self._decode(reader, raw)
        return raw is not None

    def _decode(self, reader: SegmentReader, raw: RawLines) -> None:
        decoder = self._decoder
        data, size = (raw.data, raw.size) if raw.overlong else decoder.prepare(raw.data)
        self._batches.add(decoder.feed(data, reader.advance(size)))
        self._reporter.overlong(decoder.overlong + raw.overlong)
        self._reporter.unrecognised(decoder.unrecognised)
        decoder.overlong = decoder.unrecognised = 0

    def _go_on(self, reader: SegmentReader, now: float) -> bool:
        """Go on to the next file if the current one is complete and read to its end."""
        self.files_changed = False
        found = self._finder.successor(reader, now)
        self.settling = found is NoSuccessor.UNSETTLED
        if isinstance(found, NoSuccessor):
            self.files_changed = found is NoSuccessor.CHANGING
            return False
        self.files_changed = True
        with closed_on_error(found.reader):
            # Lines may have been written after the last read and before the file was renamed.
            more = self._read(reader, now)
        if more:
            found.reader.close()
            return True
        reader.close()
        self._reader = reader = found.reader
        self._decoder.next_segment(reader.position, reader.restart_count)
        if found.gap:
            self._reporter.gap(self._finder.gap_advice(self.name))
        else:
            self._reporter.reopened(ReopenReason.ROTATED)
        return True

    def _read_failed(self, err: OSError, now: float) -> None:
        # A gzipped file without its end has to be opened again.
        if err.errno != errno.ENOENT or (self._reader and self._reader.file.gzipped):
            self.close()
        self._report(err, now)
        if err.errno in BAD_DISK_ERRNOS and err.filename != self._finder.folder:
            self._errors.add(self._batches.cursor.position)

    def _report(self, err: OSError, now: float) -> None:
        """Report why the log cannot be read, and wait before the next attempt unless the error is transient."""
        if sentence := self._finder.explain(self.name, err):
            exists = err.errno != errno.ENOENT or os.path.lexists(err.filename or "")
            self._reporter.unreadable(sentence, exists=exists)
        if err.errno not in TRANSIENT_ERRNOS:
            self._errors.wait(now)
            self.files_changed = True


class WaitingBatches:
    """Lines that were read and not handed on yet, and the cursor of those that were.

    `read_size`: how many bytes to read at once, which depends on how long the last batch took. `age`: when the lines
    were written.
    """

    def __init__(self, key: str, decoder: Decoder, outputs: Outputs, state: bytes) -> None:
        self.cursor = decoder.decode(state)
        self.read_size = READ_SIZE_BYTES
        self.age = LineAge()
        self._key = key
        self._decoder = decoder
        self._outputs = outputs
        self._waiting: deque[DecodedLines] = deque()
        self._origins: dict[str, Origin] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def stored(self) -> Cursor:
        """The cursor in its stored form."""
        return Cursor(self._key, self._decoder.encode(self.cursor))

    def describe(self, origin: Origin) -> None:
        self._origins = {stream: replace(origin, stream=stream) for stream in self._decoder.streams}

    def add(self, lines: Iterable[DecodedLines]) -> None:
        self._waiting.extend(lines)

    def clear(self) -> None:
        self._waiting.clear()

    def emit_next(self) -> None:
        """Hand on one batch. If that raises, the batch is not repeated, because it would raise for ever."""
        lines = self._waiting.popleft()
        self.cursor = lines.cursor
        origin, last = self._origins[lines.stream], self._decoder.last_time(lines.data)
        self._outputs.listener.batch_read(origin, lines.count, len(lines.data), last)
        began = time.thread_time()
        self._outputs.emit(Batch(origin, lines.data, self._decoder.framing, self.age.written), self.stored)
        flood = time.thread_time() - began > FLOOD_BATCH_CPU_S
        self.read_size = FLOOD_READ_SIZE_BYTES if flood else READ_SIZE_BYTES


class LineAge:
    """When the lines that are read next were written."""

    def __init__(self) -> None:
        self.written = Written.LATELY
        self._end_seen_at = -math.inf

    def in_the_past(self) -> None:
        """The log is opened where it was never read. Up to its end, its lines were there before."""
        self.written = Written.EARLIER

    def at_end(self, now: float) -> None:
        """The log is read to its end. What is read from now on was written later."""
        self.written, self._end_seen_at = Written.JUST_NOW, now

    def look(self, now: float) -> None:
        """Take note of lines that were read. They are not new if this process did not run, or was busy, for a while."""
        if self.written is Written.JUST_NOW and not 0 <= now - self._end_seen_at <= MAX_LIVE_AGE_S:
            self.written = Written.LATELY


class ReadErrors:
    """When to try again after an error, and how often a bad disk has failed at one position."""

    def __init__(self) -> None:
        self._since = -math.inf
        self._position = NOWHERE
        self._count = 0

    def waiting(self, now: float) -> bool:
        """Return whether to wait before the next attempt. Setting the clock back ends the wait."""
        return 0 <= now - self._since < RETRY_DELAY_S

    def wait(self, now: float) -> None:
        self._since = now

    def count(self, position: FilePosition) -> int:
        """Return how often a bad disk has failed while the cursor was at this position."""
        return self._count if position == self._position else 0

    def add(self, position: FilePosition) -> None:
        self._position, self._count = position, self.count(position) + 1

    def clear(self) -> None:
        self._position, self._count = NOWHERE, 0
