"""Reads past a damaged part of a log's file: zeros or half a record, as a crash or a full disk leave them.

Docker reads a log's file from its beginning and stops at the damage, silently or with an error, depending on its
version (moby#53631, #29511, docker/for-linux#140); what follows is then never read. But the last entries alone can be
asked for (`tail`), as long as the damage is not among them. So the largest number of entries behind the damage is
looked for, and the log is read through that window.

Two bugs of Docker make this dangerous where it is not needed: `tail` of a file that was truncated never ends (23 and
later), and before 23 a damaged log of the `local` driver ends dockerd (moby#46699). So it is only tried when Docker
has just failed to read the log from its beginning, and never in the second case.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from sidecar.sources.docker.api import Engine
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.wire import (
    STAMP_BYTES,
    STDERR,
    STDOUT,
    EngineError,
    FrameDecoder,
    Line,
    LogReadError,
    ProtocolError,
)

# Later than every stamp.
UNKNOWN = b"~"
# A number of entries takes Docker some milliseconds; this is for the case that it never ends.
TAIL_TIMEOUT_S = 10.0
GROWTH = 8
MAX_WINDOW = GROWTH**6


@dataclass(frozen=True, slots=True)
class Tail:
    """The last entries of a log."""

    count: int
    # The stamp of the first one, and the highest.
    first: bytes
    highest: bytes
    # Whether the line that was read last is among them.
    has_mark: bool

    def is_whole(self, asked: int) -> bool:
        """Return whether the log has no more entries than these, of which so many were asked for."""
        return self.count < asked


def read_past(engine: Engine, log: DockerLog, newest_seen: bytes) -> None:
    """Hand on what is unread in a log that could not be read, and set the window in which it can be read.

    `newest_seen`: the stamp of a line that is in the log; UNKNOWN if there are lines that do not come, and empty if
    there may be none. Raises OSError and EngineError.
    """
    log.window = None
    if engine.is_before_23 and engine.log_driver(log.container) != "local":
        # Here Docker may find a line again somewhere behind the damage, so only the last entries are complete. And
        # the length of a file that was truncated does not mislead it.
        _read_window(engine, log)
        return
    try:
        found = log.catch_up(engine, gap_counts=not log.file_gone)
    except LogReadError:
        if engine.is_before_23:
            raise
        _read_window(engine, log)
        return
    log.file_gone = False
    if newest_seen <= log.cursor.stamp or (found and newest_seen == UNKNOWN and not hides_lines(engine, log)):
        # It is sound, or it was truncated or rotated.
        log.report.sound()
    elif not engine.is_before_23:
        _read_window(engine, log)


def hides_lines(engine: Engine, log: DockerLog) -> bool:
    """Return whether the log ends later than what was read. Raises OSError.

    Only for a container that was started after that was written: then Docker has opened the file again, and knows its
    true length.
    """
    started = str(engine.inspect(log.container)["State"].get("StartedAt", "")).encode()
    if started[:19] <= log.cursor.stamp[:19]:
        return False
    newest = _tail(engine, log, 1)
    return newest is not None and newest.highest > log.cursor.stamp


def _read_window(engine: Engine, log: DockerLog) -> None:
    """Hand on what is unread in the undamaged end of the log, and set its window."""
    gap_counts, log.file_gone = not log.file_gone, False
    newest = _tail(engine, log, 1)
    if newest is None:
        # The damage is the end of the log, or there is none. What is written from now on can be read.
        log.window = 0
    else:
        log.window, entries = largest_window(engine, log, newest)
        if entries.is_whole(log.window):
            # Nothing is damaged.
            log.window = None
            log.catch_up(engine, gap_counts=gap_counts)
            log.report.sound()
            return
        if not entries.has_mark:
            log.catch_up(engine, gap_counts=False)
    log.report.impaired(
        f"Docker cannot read a part of the log of container {log.report.name}: its file is damaged, as after a crash "
        "or on a full disk. Lines in that part do not count; what follows is read. To end this, create the container "
        "again (docker compose up -d --force-recreate)"
    )


def largest_window(engine: Engine, log: DockerLog, newest: Tail) -> tuple[int, Tail]:
    """Return a number of last entries without damage, and these entries.

    The line that was read last is among them, or they are as many as possible. `newest`: the last one alone.
    """
    good, found, bad = 1, newest, 0
    while not bad and not found.has_mark and not found.is_whole(good) and good < MAX_WINDOW:
        if larger := _sound_tail(engine, log, good * GROWTH, newest):
            good, found = good * GROWTH, larger
        else:
            bad = good * GROWTH
    # Some room, for lines that come before the log is opened.
    if found.has_mark and (larger := _sound_tail(engine, log, good * GROWTH, newest)):
        return good * GROWTH, larger
    while bad - good > 1 and not found.has_mark:
        middle = (good + bad) // 2
        if larger := _sound_tail(engine, log, middle, newest):
            good, found = middle, larger
        else:
            bad = middle
    return good, found


def _sound_tail(engine: Engine, log: DockerLog, count: int, newest: Tail) -> Tail | None:
    """Return the last so many entries, if there is no damage in them."""
    found = _tail(engine, log, count)
    if found is None or found.highest < newest.highest:
        return None
    if not found.is_whole(count):
        return found
    # Either the log has no more, or Docker has left some out: then so many begin later.
    again = _tail(engine, log, found.count)
    return found if again and (again.count, again.first) == (found.count, found.first) else None


def _tail(engine: Engine, log: DockerLog, count: int) -> Tail | None:
    """Return the last so many entries of the log; None where Docker fails to read them. Raises OSError."""
    entries, first, highest, has_mark = 0, b"", b"", False
    try:
        with contextlib.closing(
            engine.logs(log.container, 0, follow=False, tail=count, timeout_s=TAIL_TIMEOUT_S)
        ) as stream:
            decoder = TerminalEntries() if stream.terminal else FrameDecoder()
            while data := stream.read():
                for kind, entry in decoder.feed(data):
                    if kind not in (STDOUT, STDERR):
                        return None
                    stamp = entry[:STAMP_BYTES]
                    entries += 1
                    first = first or stamp
                    highest = max(highest, stamp)
                    has_mark = has_mark or stamp == log.cursor.stamp
            if not stream.complete:
                return None
    except (TimeoutError, EngineError):
        return None
    return Tail(entries, first, highest, has_mark) if entries else None


class TerminalEntries:
    """The body of a log of a container with a TTY -> its lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that are complete by now. Raises ProtocolError where one has no end."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_REST_BYTES:
            raise ProtocolError("a line without an end")
        return [(STDOUT, line) for line in whole]


MAX_REST_BYTES = 4 * 1024 * 1024
