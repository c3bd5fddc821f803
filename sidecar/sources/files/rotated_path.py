"""The segments of a log that a jail's `logpath` names, as logrotate leaves them.

`error.log` is written to. `error.log.1` and `error.log-20261122` were; which of them is older, their times say.
Compressed ones, copies and backups are not read.
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
    """Finds the segments of the log at one path."""

    kind = "file"

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = os.path.dirname(path)  # noqa: PTH120  a path may be no text

    def open(self, cursor: LogCursor, skip: int) -> Opening:
        """Open the file at the path, or the one that was renamed while nobody read and is not read to its end."""
        file = PlainSegment(self.path)
        with closed_on_error(file):
            start = FilePosition(file.status.st_ino)
            if cursor.position == NOWHERE:
                position = file.position(first_line_offset(file), start)
                # Once renamed, the file is no longer at the path: only its position can find it again.
                return Opening(SegmentReader(file, position), Start.FIRST_SIGHT, bind=True)
            if file.contains(cursor.position):
                return Opening(SegmentReader(file, cursor.position), Start.CURSOR)
            renamed = None if skip else self._renamed(cursor.position)
        if renamed:
            file.close()
            return Opening(SegmentReader(renamed, cursor.position), Start.CURSOR)
        return Opening(SegmentReader(file, start), Start.GAP, bind=True)

    def successor(self, reader: SegmentReader, now: float) -> Successor | NoSuccessor:  # noqa: ARG002
        before = reader.file.status
        try:
            current = os.stat(self.path)  # noqa: PTH116
        except FileNotFoundError:
            current = None
        if current and current.st_ino == before.st_ino:
            return NoSuccessor.NONE
        try:
            # Another rotation came in the meantime.
            for written, other in rotated_files(self.path):
                if written > before.st_mtime_ns:
                    return _begin(PlainSegment(other))
            # An empty file: its writer has not been told to open it yet.
            if not current or (stat.S_ISREG(current.st_mode) and not current.st_size):
                return NoSuccessor.NONE
            file = PlainSegment(self.path)
        except FileNotFoundError:
            return NoSuccessor.CHANGING
        with closed_on_error(file):
            if file.status.st_ino == current.st_ino:
                return _begin(file)
        # Renamed since: that file has to be read before the one that is at the path now.
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
            f"the file that was read last as {name} is gone: lines of it may have been rotated away unread. "
            "Keep the last rotated file as it is (in logrotate: delaycompress)"
        )

    def _renamed(self, position: FilePosition) -> PlainSegment | None:
        """Open the file that had this path; None if it is gone or compressed."""
        for _, other in rotated_files(self.path):
            try:
                file = PlainSegment(other)
                with closed_on_error(file):
                    if file.contains(position):
                        return file
                file.close()
            except OSError as err:
                # It may well be that file. Any other error is one of a file that need not be ours.
                if err.errno in (errno.EMFILE, errno.ENFILE):
                    raise
        return None


def _begin(file: PlainSegment) -> Successor:
    with closed_on_error(file):
        return Successor(SegmentReader(file, FilePosition(file.status.st_ino)))


def rotated_files(path: str) -> list[tuple[int, str]]:
    """Return when each rotated file of this log was written to last (unix nanoseconds), and its path; oldest first."""
    found = []
    for other in Path(path).parent.glob(f"{escape(Path(path).name)}[.-][0-9]*"):
        with contextlib.suppress(OSError):
            if _ROTATED_SUFFIX.fullmatch(str(other), len(path)):
                found.append((other.stat().st_mtime_ns, str(other)))
    return sorted(found)


def printable_path(path: str) -> str:
    r"""Return the path as printable text: a byte that is not UTF-8 is shown as `\xe9`."""
    return printable(os.fsencode(path).decode(errors="backslashreplace"))
