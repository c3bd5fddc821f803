"""Finds the segments of a log that a jail names in `logpath`, with the names that logrotate gives.

The program writes to `error.log`. `error.log.1` and `error.log-20261122` are older segments, in the order of their
modification times. Compressed segments, copies and backups are not read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from glob import escape
from pathlib import Path
from typing import Final

from sidecar.core.text import printable
from sidecar.sources.files.cursor import NOWHERE, FilePosition, LogCursor
from sidecar.sources.files.segments import (
    NoSuccessor,
    Opening,
    PlainSegment,
    SegmentReader,
    Start,
    Successor,
    closed_on_error,
    first_line_offset,
)

_ROTATED_SUFFIX: Final = re.compile(r"[.-]\d[\d.-]*")
RAISE_NOFILE: Final = (
    "Raise it (systemd: LimitNOFILE=, Docker: --ulimit nofile=), or name fewer files in `logpath`"
)


class RotatedPath:
    """The SegmentFinder of the log at one path."""

    kind = "file"

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = os.path.dirname(path)  # noqa: PTH120  a path may be no text

    def open(self, cursor: LogCursor, skip: int) -> Opening:
        """Open the file at the path, or the file of the cursor if it was renamed before it was read to its end."""
        file = PlainSegment(self.path)
        with closed_on_error(file):
            start = FilePosition(file.status.st_ino)
            if cursor.position == NOWHERE:
                position = file.position(first_line_offset(file), start)
                # If the file is renamed before the first line is handed on, only its position can find it.
                return Opening(SegmentReader(file, position), Start.FIRST_SIGHT, bind=True)
            if file.contains(cursor.position):
                return Opening(SegmentReader(file, cursor.position), Start.CURSOR)
            renamed = None if skip else self._renamed(cursor.position)
        if renamed:
            file.close()
            return Opening(SegmentReader(renamed, cursor.position), Start.CURSOR)
        return Opening(SegmentReader(file, start), Start.GAP, bind=True)

    def successor(self, reader: SegmentReader, now: float) -> Successor | NoSuccessor:  # noqa: ARG002
        try:
            current = os.stat(self.path)  # noqa: PTH116
        except FileNotFoundError:
            current = None
        if current and current.st_ino == reader.position.inode:
            return NoSuccessor.NONE
        try:
            last_written = reader.file.status.st_mtime_ns
            # The log was rotated more than once.
            for written, other in rotated_files(self.path):
                if written > last_written:
                    return _begin(PlainSegment(other))
            # An empty file: the program still writes to the renamed one.
            if not current or (stat.S_ISREG(current.st_mode) and not current.st_size):
                return NoSuccessor.NONE
            file = PlainSegment(self.path)
        except FileNotFoundError:
            return NoSuccessor.CHANGING
        with closed_on_error(file):
            if file.status.st_ino == current.st_ino:
                return _begin(file)
        # The file was renamed meanwhile. It has to be read before the one that is at the path now.
        file.close()
        return NoSuccessor.CHANGING

    def explain(self, name: str, err: OSError) -> str:
        full = err.errno == errno.EMFILE
        other = err.filename and not full and err.filename != self.path
        why = f"{printable_path(err.filename)}: {err.strerror}" if other else err.strerror or str(err)
        sentence = f"{name} cannot be read ({why}): its lines are not checked until it can"
        return f"{sentence}. The limit nofile is reached. {RAISE_NOFILE}" if full else sentence

    def gap_advice(self, name: str) -> str:
        return (
            f"the file that was last read as {name} is gone: lines may have been rotated away before they were read. "
            "Do not compress or remove the last rotated file (in logrotate: delaycompress)"
        )

    def _renamed(self, position: FilePosition) -> PlainSegment | None:
        """Open the file of the position under its new name; None if it is gone or compressed."""
        for _, other in rotated_files(self.path):
            try:
                file = PlainSegment(other)
                with closed_on_error(file):
                    if file.contains(position):
                        return file
                file.close()
            except OSError as err:
                # This may be the file. Any other error need not be about it.
                if err.errno in (errno.EMFILE, errno.ENFILE):
                    raise
        return None


def _begin(file: PlainSegment) -> Successor:
    with closed_on_error(file):
        return Successor(SegmentReader(file, FilePosition(file.status.st_ino)))


def rotated_files(path: str) -> list[tuple[int, str]]:
    """Return the modification time (unix nanoseconds) and path of each rotated file of this log, the oldest first."""
    found = []
    for other in Path(path).parent.glob(f"{escape(Path(path).name)}[.-][0-9]*"):
        with contextlib.suppress(OSError):
            if _ROTATED_SUFFIX.fullmatch(str(other), len(path)):
                found.append((other.stat().st_mtime_ns, str(other)))
    return sorted(found)


def printable_path(path: str) -> str:
    r"""Return the path as printable text: a byte that is not UTF-8 is shown as `\xe9`."""
    return printable(os.fsencode(path).decode(errors="backslashreplace"))
