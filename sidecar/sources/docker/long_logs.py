"""Opens a long log at its end.

From its beginning, 1 GB takes Docker 13 s, and no line comes meanwhile (docker/for-linux#972).
The last entries alone (`tail`) come within milliseconds. But of a file that was truncated since the container was
started, they never end, and dockerd goes on with it when the client has left. So a log is only opened like that where
its first entry shows that it was not truncated: it is from before the container was started, or from just after.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sidecar.sources.docker.api import Engine
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.tails import GROWTH, MAX_WINDOW, last_entries

# Fewer entries than these are read in no time.
MIN_ENTRIES = 1024
MIN_READING_COST_S = 1.0
# A container that has logged nothing for so long after its start may have had its log truncated before.
MAX_FIRST_ENTRY_S = 10


def opening_tail(engine: Engine, log: DockerLog) -> int | None:
    """Return with how many of its last entries the log may be opened; None: with all.

    The line that was read last is among them, with room for what is written meanwhile. Raises OSError and EngineError.
    """
    # Before Docker 23 the log is read whole all the same, when the first line comes (`quirks.py`).
    if engine.is_before_23 or not log.cursor.stamp or log.window is not None or log.truncated:
        return None
    if 0 < log.reading_cost_s < MIN_READING_COST_S or not _was_never_truncated(engine, log):
        return None
    count = MIN_ENTRIES
    while count < MAX_WINDOW:
        tail = last_entries(engine, log, count)
        if tail is None or tail.is_whole:
            return None
        count *= GROWTH
        if tail.has_mark:
            return count
    return None


def _was_never_truncated(engine: Engine, log: DockerLog) -> bool:
    """Return whether the log still begins where it began when Docker opened it."""
    beginning = last_entries(engine, log, None, at_most=1)
    if beginning is None:
        return False
    started = str(engine.inspect(log.container)["State"].get("StartedAt", ""))[:19]
    try:
        latest = datetime.fromisoformat(started) + timedelta(seconds=MAX_FIRST_ENTRY_S)
    except ValueError:
        return False
    return beginning.first[:19] <= latest.isoformat().encode()
