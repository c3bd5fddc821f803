"""Finds the segments of one container's log, with the names that kubelet and Docker give.

kubelet: `0.log.20261122-084004.gz  0.log.20261122-085004  0.log  1.log`. The first number is the container's restart
count. Docker: `ID-json.log.2.gz  ID-json.log.1  ID-json.log`. Both lists begin with the oldest segment, and the runtime
writes to the last.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sidecar.sources.files.cursor import NOWHERE, FilePosition, LogCursor
from sidecar.sources.files.segments import (
    FIRST_SIGHT_BYTES,
    NoSuccessor,
    Opening,
    OpenSegment,
    Segment,
    SegmentReader,
    Start,
    Successor,
    closed_on_error,
    first_line_offset,
)

# containerd redirects stdout and stderr to the new file one after the other. So a renamed file counts as complete
# only when it was not written to for this long.
SETTLE_S: Final = 0.5
# How often a folder is listed again while files in it are being renamed.
MAX_LISTINGS: Final = 20
# A log shrinks to about a tenth when it is gzipped.
GZIP_RATIO: Final = 10
_KUBELET_NAME: Final = re.compile(r"(\d+)\.log(?:\.(\d{8}-\d{6}))?(\.gz)?")
_DOCKER_NAME: Final = re.compile(r"[0-9a-f]+-json\.log(?:\.(\d+))?(\.gz)?")


class ContainerFolder:
    """The SegmentFinder of the log in one container's folder."""

    kind = "log"

    def __init__(self, folder: str, since: float) -> None:
        """`since`: of a log without a cursor, files last written to before this are not read (unix seconds)."""
        self.folder = folder
        self._since = since

    def open(self, cursor: LogCursor, skip: int) -> Opening | None:
        """Open the file of the cursor, or the oldest that matters; None if the folder has no log yet."""
        found = list_segments(self.folder)
        if not found:
            return None
        if cursor.position == NOWHERE:
            return self._first_sight(found, skip)
        seen = _identities(found)
        opening = _known(found, cursor, skip)
        if not opening and seen != _identities(list_segments(self.folder)):
            # Files were renamed or compressed meanwhile. The next step searches again.
            return None
        return opening or _gap(found, cursor)

    def successor(self, reader: SegmentReader, now: float) -> Successor | NoSuccessor:
        for _ in range(MAX_LISTINGS):
            found = list_segments(self.folder)
            seen = _identities(found)
            later = _after(reader, found)
            if later is not None or seen == _identities(list_segments(self.folder)):
                break
        else:
            return NoSuccessor.CHANGING
        gap = False
        if later is None:
            # The current file was removed. The oldest files are removed first, so those that are left are later ones.
            # With max-file=1 Docker keeps no rotated file at all: whether one is missing cannot be known there.
            later = [segment for segment in found if segment.restart_count >= reader.restart_count]
            gap = bool(later) and later[0].age != 0
        if not later:
            return NoSuccessor.NONE
        if not _is_complete(reader.file, later, now):
            return NoSuccessor.UNSETTLED
        following = _begin(later[0])
        with closed_on_error(following):
            if seen == _identities(list_segments(self.folder)):
                return Successor(following, gap)
        # Files were renamed since the folder was listed, so this need not be the next segment.
        following.close()
        return NoSuccessor.CHANGING

    def explain(self, name: str, err: OSError) -> str:
        path = err.filename or "its file"
        if err.errno == errno.ENOENT:
            if not os.path.islink(path):  # noqa: PTH114
                return ""
            target = os.path.realpath(path)
            return (
                f"the log of {name} cannot be read: {path} points to {target}, which is not here. "
                "Mount that folder, too, read-only"
            )
        if err.errno in (errno.EACCES, errno.EPERM):
            return (
                f"the log of {name} cannot be read ({path}: {err.strerror}). Run as uid 0; where SELinux is on, as a "
                "type that may read containers' logs (seLinuxOptions: type container_logreader_t, or spc_t)"
            )
        advice = "; raise the limit nofile" if err.errno == errno.EMFILE else ""
        return (
            f"the log of {name} cannot be read ({path}: {err.strerror or err}{advice}): "
            "its lines are not checked until it can"
        )

    def gap_advice(self, name: str) -> str:
        return (
            f"the log of {name} no longer has what was read last: lines may have been rotated away before they were "
            "read. Allow larger log files, or more of them (kubelet: containerLogMaxSize, containerLogMaxFiles; "
            "Docker: max-size, max-file)"
        )

    def linked_folders(self) -> set[str]:
        """Return the folders that links in this one point to."""
        try:
            links = [entry.path for entry in os.scandir(self.folder) if entry.is_symlink()]
        except OSError:
            return set()
        return {os.path.dirname(os.path.realpath(link)) for link in links}  # noqa: PTH120

    def _first_sight(self, found: Sequence[Segment], skip: int) -> Opening:
        """Open the oldest file that matters, at the first line that is within FIRST_SIGHT_BYTES of its end."""
        at = found.index(_oldest_of_interest(found, self._since)) + skip
        segment = found[min(at, len(found) - 1)]
        file = segment.open()
        with closed_on_error(file):
            offset = 0 if segment.gzipped else first_line_offset(file)
            position = file.position(offset, FilePosition(file.status.st_ino))
        reader = SegmentReader(file, position, segment.restart_count)
        return Opening(reader, Start.FIRST_SIGHT, mid_line=offset > 0)


def list_segments(folder: str) -> list[Segment]:
    """Return all segments in a container's folder, oldest first. Raises OSError.

    While a segment is being compressed, the plain file stands for it. A link into Docker's folder, as cri-dockerd
    makes it, stands for all segments there.
    """
    found: dict[tuple[int, float], Segment] = {}
    for entry in os.scandir(folder):
        for segment in _segments_of(entry):
            known = found.setdefault((segment.restart_count, segment.age), segment)
            if known.gzipped:
                found[segment.restart_count, segment.age] = segment
    return sorted(found.values())


def _segments_of(entry: os.DirEntry[str]) -> list[Segment]:
    name = entry.name
    if kubelet := _KUBELET_NAME.fullmatch(name):
        restart_count = int(kubelet[1])
        target = os.path.realpath(entry.path) if entry.is_symlink() else ""
        if _DOCKER_NAME.fullmatch(Path(target).name):
            segments = _docker_segments(target, entry.path)
            return [replace(segment, restart_count=restart_count) for segment in segments]
        age = float(kubelet[2].replace("-", "")) if kubelet[2] else math.inf
        return [Segment(restart_count, age, bool(kubelet[3]), entry.path)]
    if docker := _DOCKER_NAME.fullmatch(name):
        return [Segment(0, -float(docker[1] or 0), bool(docker[2]), entry.path)]
    return []


def _docker_segments(target: str, link: str) -> list[Segment]:
    """Return the segments in the folder of the link's target; only the link itself if that cannot be listed."""
    with contextlib.suppress(OSError):
        return list_segments(str(Path(target).parent))
    return [Segment(0, 0.0, gzipped=False, path=link)]


def _oldest_of_interest(found: Sequence[Segment], since: float) -> Segment:
    """Return the oldest segment that was written to since then and is within FIRST_SIGHT_BYTES of the log's end."""
    first, size = found[-1], 0
    for segment in reversed(found):
        status = _status(segment)
        if not status or status.st_mtime < since or size > FIRST_SIGHT_BYTES:
            break
        first, size = segment, size + status.st_size * (GZIP_RATIO if segment.gzipped else 1)
    return first


def _known(found: Sequence[Segment], cursor: LogCursor, skip: int) -> Opening | None:
    """Open the file of the cursor, which may be renamed or gzipped by now; None if it is gone."""
    error = None
    for at, segment in enumerate(found, 1):
        try:
            file = segment.open()
            with closed_on_error(file):
                ours = file.contains(cursor.position)
        except OSError as err:
            # This may be the file.
            error = error or err
            continue
        if ours and not (skip and found[at:]):
            return Opening(SegmentReader(file, cursor.position, segment.restart_count), Start.CURSOR)
        file.close()
        if ours:
            later = found[at:]
            return _gap(later[min(skip, len(later)) - 1 :], cursor)
    if error:
        raise error
    return None


def _gap(found: Sequence[Segment], cursor: LogCursor) -> Opening:
    """Open the oldest file that is left. Files of earlier restart counts than the cursor's were read already."""
    later = (segment for segment in found if segment.restart_count >= cursor.restart_count)
    oldest = next(later, found[-1])
    return Opening(_begin(oldest), Start.GAP, mid_line=oldest.age != math.inf, bind=True)


def _begin(segment: Segment) -> SegmentReader:
    file = segment.open()
    with closed_on_error(file):
        return SegmentReader(file, FilePosition(file.status.st_ino), segment.restart_count)


def _after(reader: SegmentReader, found: Sequence[Segment]) -> Sequence[Segment] | None:
    """Return the segments after the open one; None if the open one is not in the list."""
    ours = _identity(reader.file.status)
    for at, segment in enumerate(found, 1):
        status = _status(segment)
        if status and _identity(status) == ours:
            return found[at:]
    for at, segment in enumerate(found, 1):
        if segment.gzipped and _holds(segment, reader.position):
            return found[at:]
    return None


def _holds(segment: Segment, position: FilePosition) -> bool:
    with contextlib.closing(segment.open()) as file:
        return file.contains(position)


def _is_complete(file: OpenSegment, later: Sequence[Segment], now: float) -> bool:
    """Return whether the open file is complete: nothing writes to it any more."""
    if len(later) > 1 or file.gzipped:
        return True
    status = _status(later[0])
    return bool(status and status.st_size) and abs(now - file.status.st_mtime) > SETTLE_S


def _identities(found: Iterable[Segment]) -> dict[str, object]:
    """Return which file has which name. Equal results mean that nothing was renamed or removed in between."""
    looked = ((segment.path, _status(segment)) for segment in found)
    return {path: _identity(status) if status else object() for path, status in looked}


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _status(segment: Segment) -> os.stat_result | None:
    try:
        return os.stat(segment.path)  # noqa: PTH116
    except FileNotFoundError:
        return None
