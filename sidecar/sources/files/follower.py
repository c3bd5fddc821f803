"""One log, without an end, though the files behind it are renamed, compressed, truncated, removed and begun again.

    finder -> SegmentReader -> decoder -> waiting batches -> emit

A step does one small thing: open the log, read the next lines, hand one batch on, or go on to the next file. How the
log's files are found is the `SegmentFinder`'s matter, what stands in them is the `Decoder`'s. Each batch carries the
cursor that is stored together with what was found in it; so a line counts once, whenever reading stops.
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

from sidecar.core.events import Batch, Cursor, Origin
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

# Where most lines are failures, less is read at once: 256 batches may wait for the loop, each with its hits.
FLOOD_READ_SIZE_BYTES: Final = 64 * 1024
# A batch that takes the processor so long shows it. Of 1,200 lines without a failure it takes 0.3 ms.
FLOOD_BATCH_CPU_S: Final = 0.002
# A bad disk takes long to answer, and all other logs wait meanwhile.
RETRY_DELAY_S: Final = 10.0
# After so many failures on a bad disk, a file that its writer has left is given up for those after it.
TRIES_ON_BAD_DISK: Final = 2
# What file systems say of a bad disk.
BAD_DISK_ERRNOS: Final = (errno.EIO, errno.EBADMSG, errno.EUCLEAN)
# Rotation and network file systems: a moment later it may be right.
PASSING_ERRNOS: Final = (errno.ENOENT, errno.ESTALE)


class Follower:
    """Follows one log. Owned by one thread.

    `files_changed`: files may have been renamed or begun since the last step. Without it, none is looked for.
    `settling`: another file was begun, and is read once nothing is written to the one before.
    """

    def __init__(
        self, key: str, finder: SegmentFinder, decoder: Decoder, outputs: Outputs, state: bytes = b""
    ) -> None:
        """`key`, `state`: the log's cursor as it is stored; no state: the log was never read."""
        self.files_changed = True
        self.settling = False
        self._finder = finder
        self._decoder = decoder
        self._reporter = LogReporter(finder.kind, outputs)
        self._batches = WaitingBatches(key, decoder, outputs, state)
        self._errors = ReadErrors()
        self._reader: SegmentReader | None = None
        self._unsupported = ""
        decoder.resume(self._batches.cursor)

    @property
    def name(self) -> str:
        return self._reporter.name

    @property
    def cursor(self) -> Cursor | None:
        """How far the log was handed on; None if it was never found."""
        return self._batches.stored if self._batches.cursor.position != NOWHERE else None

    def describe(self, origin: Origin, unsupported: str = "") -> None:
        """Set the log's name and the jails that check it. `unsupported`: a sentence about why it has no files."""
        self._reporter.rename(origin.name)
        self._batches.describe(origin)
        self._unsupported = unsupported
        if unsupported:
            self._reporter.unreadable(unsupported, critical=False)

    def step(self, now: float) -> bool:
        """Do a little; return False if there is nothing to do for now. `now`: unix seconds."""
        if self._batches:
            self._batches.emit_next()
            return True
        if self._unsupported:
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
                # The file that is open stays open: it may still be written to.
                self._report(err, now)
                return False
        # A problem is over when all there is was read.
        if self._reader and not more and not self._errors.waiting(now):
            self._errors.clear()
            self._reporter.readable()
        return more

    def close(self) -> None:
        """Close the file. What was read and not handed on is read again by the next step."""
        if self._reader:
            self._reader.close()
            self._reader = None
            self._reporter.reading(up=False)
        self._batches.clear()
        self._decoder.resume(self._batches.cursor)

    def forget(self) -> None:
        """Withdraw what was reported of the log: no jail checks it any more."""
        self._reporter.forget()

    def _read_open(self, now: float) -> bool:
        """Read the next lines of the file that is open, and open one if none is."""
        if not self._reader and not self._errors.waiting(now):
            self._reader = self._open()
        reader = self._reader
        if not reader:
            return False
        if reader.truncated:
            reader.rewind()
            self._decoder.begin_again(reader.position)
            self._reporter.reopened(ReopenReason.TRUNCATED)
        return self._read(reader)

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
        if opening.start is Start.GAP:
            self._reporter.gap(self._finder.gap_advice(self.name))
        if not self._reporter.has_problem:
            self._reporter.reading(up=True)
        return reader

    def _read(self, reader: SegmentReader) -> bool:
        raw = reader.read(self._batches.read_size)
        if raw and raw.size:
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
        """Go on to the next file, once the writer did and this one is read to its end."""
        self.files_changed = False
        found = self._finder.successor(reader, now)
        self.settling = found is NoSuccessor.UNSETTLED
        if isinstance(found, NoSuccessor):
            self.files_changed = found is NoSuccessor.CHANGING
            return False
        self.files_changed = True
        with closed_on_error(found.reader):
            # Something may have been written after the last read and before the file was renamed.
            more = self._read(reader)
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
        # A compressed file whose end may still come has to be opened again.
        if err.errno != errno.ENOENT or (self._reader and self._reader.file.gzipped):
            self.close()
        self._report(err, now)
        if err.errno in BAD_DISK_ERRNOS and err.filename != self._finder.folder:
            self._errors.add(self._batches.cursor.position)

    def _report(self, err: OSError, now: float) -> None:
        """Report why the log cannot be read, and wait a while unless that may pass at once."""
        if sentence := self._finder.explain(self.name, err):
            exists = err.errno != errno.ENOENT or os.path.lexists(err.filename or "")
            self._reporter.unreadable(sentence, exists=exists)
        if err.errno not in PASSING_ERRNOS:
            self._errors.wait(now)
            self.files_changed = True


class WaitingBatches:
    """Lines that were read and wait to be handed on, and the cursor of those that were handed on.

    `read_size`: how many bytes to read at once.
    """

    def __init__(self, key: str, decoder: Decoder, outputs: Outputs, state: bytes) -> None:
        self.cursor = decoder.decode(state)
        self.read_size = READ_SIZE_BYTES
        self._key = key
        self._decoder = decoder
        self._outputs = outputs
        self._waiting: deque[DecodedLines] = deque()
        self._origins: dict[str, Origin] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def stored(self) -> Cursor:
        """The cursor as it is stored."""
        return Cursor(self._key, self._decoder.encode(self.cursor))

    def describe(self, origin: Origin) -> None:
        self._origins = {stream: replace(origin, stream=stream) for stream in self._decoder.streams}

    def add(self, lines: Iterable[DecodedLines]) -> None:
        self._waiting.extend(lines)

    def clear(self) -> None:
        self._waiting.clear()

    def emit_next(self) -> None:
        """Hand one batch on. Its cursor counts even if that fails, so that it is not tried for ever."""
        lines = self._waiting.popleft()
        self.cursor = lines.cursor
        origin, last = self._origins[lines.stream], self._decoder.last_time(lines.data)
        self._outputs.listener.batch_read(origin, lines.count, len(lines.data), last)
        began = time.thread_time()
        self._outputs.emit(Batch(origin, lines.data, self._decoder.framing), self.stored)
        flood = time.thread_time() - began > FLOOD_BATCH_CPU_S
        self.read_size = FLOOD_READ_SIZE_BYTES if flood else READ_SIZE_BYTES


class ReadErrors:
    """When a log that cannot be read is tried again, and how often a bad disk kept it from being read."""

    def __init__(self) -> None:
        self._since = -math.inf
        self._position = NOWHERE
        self._count = 0

    def waiting(self, now: float) -> bool:
        """Return whether to wait still. A clock that was set back ends it."""
        return 0 <= now - self._since < RETRY_DELAY_S

    def wait(self, now: float) -> None:
        self._since = now

    def count(self, position: FilePosition) -> int:
        """Return how often reading on from this position failed on a bad disk."""
        return self._count if position == self._position else 0

    def add(self, position: FilePosition) -> None:
        self._position, self._count = position, self.count(position) + 1

    def clear(self) -> None:
        self._position, self._count = NOWHERE, 0
