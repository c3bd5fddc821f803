"""Opens a long log at its end.

From its beginning, 1 GB takes Docker 13 s, and no line comes meanwhile (docker/for-linux#972).
The last entries alone (`tail`) come within milliseconds. But from Docker 23 on they never end if the file was truncated
since the container was started, and dockerd goes on with it when the client has left. So such a log is only opened like
that where its first entry shows that it was not truncated: it is from before the container was started, or from just
after. Before 23, the `tail` of a damaged log of the `local` driver ends dockerd, so it is only asked of a json-file.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from sidecar.sources.docker.api import Engine
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.tails import GROWTH, MAX_WINDOW, beginning, last_entries

# Fewer entries than these are read in no time.
MIN_ENTRIES = 1024
MIN_READING_COST_S = 1.0
# A container that has logged nothing for this long after its start may have had its log truncated before.
MAX_FIRST_ENTRY_S = 10


def opening_tail(engine: Engine, log: DockerLog) -> int | None:
    """Return with how many of its last entries the log may be opened; None: with all.

    Everything unread is among them, with room for what is written meanwhile. Raises OSError and EngineError.
    """
    log.first_stamp = b""
    if not _may_be_long(engine, log):
        return None
    first_stamp = beginning(engine, log)
    if not first_stamp or not _has_safe_tail(engine, log, first_stamp):
        return None
    count = MIN_ENTRIES
    while count < MAX_WINDOW:
        tail = last_entries(engine, log, count)
        if tail is None or tail.is_whole:
            return None
        count *= GROWTH
        if tail.has_mark if log.cursor.stamp else tail.first < _stamp_of(log.cursor.since):
            log.first_stamp = first_stamp
            return count
    return None


def _may_be_long(engine: Engine, log: DockerLog) -> bool:
    """Return whether it may take long to read the log from its beginning, and it is read from there."""
    if not log.may_be_long or log.window is not None or log.truncated:
        return False
    # A log that is rotated is of limited size, and its first entry says nothing about the file that may be truncated.
    return not 0 < log.reading_cost_s < MIN_READING_COST_S and log.file_bytes(engine) == math.inf


def _stamp_of(at: float) -> bytes:
    """Return the beginning of the stamps of this unix time."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def _has_safe_tail(engine: Engine, log: DockerLog, first_stamp: bytes) -> bool:
    """Return whether the last entries of the log may be asked for. Raises OSError and EngineError."""
    if engine.is_before_23:
        return engine.log_driver(log.container) == "json-file"
    # The log still begins where it began when Docker opened it.
    started = str(engine.inspect(log.container)["State"].get("StartedAt", ""))[:19]
    try:
        latest = datetime.fromisoformat(started) + timedelta(seconds=MAX_FIRST_ENTRY_S)
    except ValueError:
        return False
    return first_stamp[:19] <= latest.isoformat().encode()
