"""The files that together are one log: its segments, plain or gzipped.

Rotating a log means renaming the file that is written to and starting another one. logrotate, kubelet and Docker
differ only in the names they give, and in which files they compress and remove. A `SegmentFinder` knows one such scheme
and opens the segments, a `SegmentReader` reads one of them, and the follower goes from one to the next.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import gzip
import logging
import os
import stat
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.files.cursor import HEAD_BYTES, FilePosition, LogCursor

log = logging.getLogger(__name__)

# Of a log that was never read, only this much of the end is read: about half a million lines.
FIRST_SIGHT_BYTES: Final = 64 * 1024 * 1024
# About 1,200 lines. The fixed costs of a batch hardly count for each of this many.
READ_SIZE_BYTES: Final = 256 * 1024
# Older kubelets rename a compressed file before they close it (kubernetes#111548). So the end of a file that was
# written to this recently may still be missing.
GZIP_COMPLETE_AFTER_S: Final = 10.0


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of a log. Segments sort in the order in which they were written.

    `restart_count`: how often the container had been restarted before it wrote the file.
    `age`: when the file was renamed, or minus how often it was. The file that is written to has the highest.
    """

    restart_count: int
    age: float
    gzipped: bool
    path: str

    def open(self) -> OpenSegment:
        """Open the file. Raises OSError."""
        return GzipSegment(self.path) if self.gzipped else PlainSegment(self.path)


class OpenSegment(Protocol):
    """An open file of a log. Each OSError that it raises has the path as its filename."""

    @property
    def gzipped(self) -> bool: ...
    @property
    def status(self) -> os.stat_result: ...

    def read(self, offset: int, size: int) -> bytes:
        """Return at most this many bytes from this offset on; no bytes at the end."""

    def contains(self, position: FilePosition) -> bool:
        """Return whether the position is in this file."""

    def position(self, offset: int, known: FilePosition) -> FilePosition:
        """Return the position at this offset. `known`: an earlier position in this file."""

    def close(self) -> None: ...


class PlainSegment:
    """A file that is not compressed, and may still be written to."""

    gzipped = False

    # The errors of an open descriptor have no filename, so each method adds it.

    def __init__(self, path: str) -> None:
        """Raises OSError, also for a pipe or a directory."""
        self._path = path
        # Without O_NONBLOCK, opening a pipe waits for a writer.
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(self.status.st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "it is not a regular file", path)

    @property
    def status(self) -> os.stat_result:
        try:
            return os.fstat(self._fd)
        except OSError as err:
            err.filename = err.filename or self._path
            raise

    def read(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OSError as err:
            err.filename = err.filename or self._path
            raise

    def contains(self, position: FilePosition) -> bool:
        status = self.status
        if position.inode != status.st_ino or position.offset > status.st_size:
            return False
        return zlib.crc32(self.read(0, position.head_size)) == position.head_crc

    def position(self, offset: int, known: FilePosition) -> FilePosition:
        if known.head_size == HEAD_BYTES:
            return replace(known, offset=offset)
        return known.moved(offset, self.read(0, min(HEAD_BYTES, offset)))

    def close(self) -> None:
        os.close(self._fd)


class GzipSegment:
    """A gzipped file. Offsets count uncompressed bytes, and reading backwards is slow."""

    gzipped = True

    def __init__(self, path: str) -> None:
        """Raises OSError, also if the end of the file may still be missing."""
        self._path = path
        self._raw = Path(path).open("rb")  # noqa: SIM115  close() closes it
        self._file = gzip.GzipFile(fileobj=self._raw)
        self._offset, self._chunk = 0, b""
        with closed_on_error(self):
            self._head = self.read(0, HEAD_BYTES)

    @property
    def status(self) -> os.stat_result:
        return os.fstat(self._raw.fileno())

    def read(self, offset: int, size: int) -> bytes:
        """Return uncompressed bytes, as a plain file would. A damaged file ends where the damage begins.

        Raises FileNotFoundError if the end of the file may still be missing. Then the file has to be opened again.
        """
        # A reader asks again for the end of the last chunk if a line there was not whole.
        kept = b""
        if self._offset <= offset <= self._offset + len(self._chunk):
            kept = self._chunk[offset - self._offset :]
        if len(kept) >= size:
            return kept[:size]
        self._offset = offset
        try:
            if not kept:
                self._file.seek(offset)
            self._chunk = kept + self._file.read(size - len(kept))
        except (EOFError, zlib.error, gzip.BadGzipFile) as err:
            if isinstance(err, EOFError) and abs(time.time() - self.status.st_mtime) < GZIP_COMPLETE_AFTER_S:
                raise FileNotFoundError(errno.ENOENT, "its end is not written yet", self._path) from err
            log.warning("%s is damaged (%s): its rest is not read", self._path, err)
            self._chunk = kept
        except OSError as err:
            err.filename = err.filename or self._path
            raise
        return self._chunk

    def contains(self, position: FilePosition) -> bool:
        """Compare the first bytes only, because a compressed file has another inode number."""
        head = self._head[: position.head_size]
        return 0 < position.head_size == len(head) and zlib.crc32(head) == position.head_crc

    def position(self, offset: int, known: FilePosition) -> FilePosition:
        return known.moved(offset, self._head[:offset])

    def close(self) -> None:
        self._file.close()
        self._raw.close()


@dataclass(frozen=True, slots=True)
class RawLines:
    """Whole lines of a file, and how many bytes of the file they stand for.

    `overlong`: the data is the beginning of a single line that is too long to be read whole.
    """

    data: bytes
    size: int
    overlong: bool = False


class SegmentReader:
    """Reads one open segment forwards, whole lines at a time."""

    def __init__(self, file: OpenSegment, position: FilePosition, restart_count: int = 0) -> None:
        self.file = file
        self.position = position
        self.restart_count = restart_count
        # How far the end of a very long line was searched for.
        self._searched = 0

    @property
    def truncated(self) -> bool:
        """Whether the file no longer contains what was read of it."""
        return not self.file.gzipped and not self.file.contains(self.position)

    def rewind(self) -> None:
        """Move to the start of the file."""
        self.position, self._searched = FilePosition(self.position.inode), 0

    def read(self, size: int) -> RawLines | None:
        """Return the next whole lines, at most this many bytes, without moving on; None if there are none yet.

        The result is empty while the end of a very long line is searched for.
        """
        chunk = self.file.read(self.position.offset, size)
        if len(chunk) == size < READ_SIZE_BYTES and b"\n" not in chunk:
            chunk = self.file.read(self.position.offset, READ_SIZE_BYTES)
        end = chunk.rfind(b"\n") + 1
        if end:
            return RawLines(chunk if end == len(chunk) else chunk[:end], end)
        return self._long_line(chunk) if len(chunk) == READ_SIZE_BYTES else None

    def advance(self, size: int) -> FilePosition:
        """Move on by this many bytes and return the position."""
        self.position = self.file.position(self.position.offset + size, self.position)
        return self.position

    def close(self) -> None:
        self.file.close()

    def _long_line(self, beginning: bytes) -> RawLines | None:
        self._searched = max(self._searched, self.position.offset + READ_SIZE_BYTES)
        chunk = self.file.read(self._searched, READ_SIZE_BYTES)
        newline = chunk.find(b"\n")
        if newline < 0:
            self._searched += len(chunk)
            return RawLines(b"", 0) if chunk else None
        size = self._searched + newline + 1 - self.position.offset
        return RawLines(beginning[: MAX_LINE_BYTES - 1] + b"\n", size, overlong=True)


class Start(enum.Enum):
    """Where reading starts in a log that was opened."""

    CURSOR = enum.auto()
    """At the log's cursor."""
    FIRST_SIGHT = enum.auto()
    """At the oldest line that matters, because the log has no cursor."""
    GAP = enum.auto()
    """At the oldest line that is left, because the file of the cursor is gone."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A log that was opened.

    `mid_line`: the first line of each stream may be the end of a line that began before.
    `bind`: this position becomes the log's cursor at once, and not only when the first line was handed on.
    """

    reader: SegmentReader
    start: Start
    mid_line: bool = False
    bind: bool = False


@dataclass(frozen=True, slots=True)
class Successor:
    """The segment after the current one. `gap`: segments between the two may have been removed."""

    reader: SegmentReader
    gap: bool = False


class NoSuccessor(enum.Enum):
    """Why there is no segment to go on with."""

    NONE = enum.auto()
    """The current segment is the last one."""
    UNSETTLED = enum.auto()
    """There is another one, but the current one may still be written to."""
    CHANGING = enum.auto()
    """Files were renamed or compressed during the search: search again."""


class SegmentFinder(Protocol):
    """Finds the segments of one log.

    `kind`: the first word of the names of such logs' problems. `folder`: the folder of the log's files.
    """

    kind: str
    folder: str

    def open(self, cursor: LogCursor, skip: int) -> Opening | None:
        """Open the segment in which reading starts; None if there is none yet. Raises OSError.

        `skip`: how many segments to skip because they cannot be read, as long as there are later ones.
        """

    def successor(self, reader: SegmentReader, now: float) -> Successor | NoSuccessor:
        """Open the segment after this one, if this one is complete. `now`: unix seconds. Raises OSError."""

    def explain(self, name: str, err: OSError) -> str:
        """Return a sentence that says why the log cannot be read and what to change; "" if the error will pass."""

    def gap_advice(self, name: str) -> str:
        """Return a sentence that says that lines may have been lost, and how to prevent it."""


def first_line_offset(file: OpenSegment) -> int:
    """Return the offset of the first line within FIRST_SIGHT_BYTES of the end; 0 if no line begins there.

    The end of a line must not be taken for a line, because an attacker may have chosen it.
    """
    # The byte before shows whether a line begins exactly there.
    offset = file.status.st_size - FIRST_SIGHT_BYTES - 1
    while offset >= 0 and (chunk := file.read(offset, READ_SIZE_BYTES)):
        newline = chunk.find(b"\n")
        if newline >= 0:
            return offset + newline + 1
        offset += len(chunk)
    return 0


class _Closeable(Protocol):
    def close(self) -> None: ...


@contextlib.contextmanager
def closed_on_error(file: _Closeable) -> Iterator[None]:
    """Close the file if anything is raised."""
    try:
        yield
    except BaseException:
        file.close()
        raise
