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

from sidecar.sources.docker.api import Engine
from sidecar.sources.docker.cursor import UnreadLines
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.tails import (
    Tail,
    last_entries,
    undamaged_end,
    up_to_later_damage,
    window_with_room,
)
from sidecar.sources.docker.wire import STAMP_BYTES, LogReadError

# Later than every stamp.
UNKNOWN = b"~"


def read_past(engine: Engine, log: DockerLog, newest_seen: bytes) -> None:
    """Hand on what is unread in a log that could not be read, and set the window in which it can be read.

    `newest_seen`: the stamp of a line that is in the log; UNKNOWN if there are lines that do not come, and empty if
    there may be none. Raises OSError and EngineError.
    """
    compares, log.window = log.window is None and log.are_some_gone and log.is_rotated, None
    if engine.is_before_23 and engine.log_driver(log.container) != "local":
        # Here Docker may find a line again somewhere behind the damage, so only the last entries are complete. And
        # the length of a file that was truncated does not mislead it.
        _read_window(engine, log, compares=compares)
        log.verified()
        return
    try:
        found = log.catch_up(engine)
    except LogReadError:
        if engine.is_before_23:
            raise
        _read_window(engine, log)
        return
    log.file_gone = False
    if newest_seen <= log.cursor.stamp or (found and newest_seen == UNKNOWN and not _is_cut_off(engine, log)):
        # It is sound, or it was truncated or rotated.
        log.report.sound()
    elif not engine.is_before_23:
        _read_window(engine, log)


def hidden_stamp(engine: Engine, log: DockerLog) -> bytes:
    """Return the highest stamp of the log's last entry if it is later than what was read; else nothing. Raises OSError.

    Only for a container that was started after that was written: then Docker has opened the file again, and knows its
    true length. Never where asking may end dockerd.
    """
    if engine.is_before_23 and engine.log_driver(log.container) == "local":
        return b""
    started = str(engine.inspect(log.container)["State"].get("StartedAt", "")).encode()
    if started[:19] <= log.cursor.stamp[:19]:
        return b""
    newest = last_entries(engine, log, 1)
    return newest.highest if newest and newest.highest > log.cursor.stamp else b""


def _is_cut_off(engine: Engine, log: DockerLog) -> bool:
    """Return whether lines that are in the log do not come. Raises OSError, EngineError and ReadingEnded."""
    hidden = hidden_stamp(engine, log)
    if hidden:
        # They may have been written just now.
        log.catch_up(engine, gap_counts=False)
    return hidden > log.cursor.stamp


def _read_window(engine: Engine, log: DockerLog, *, compares: bool = False) -> None:
    """Hand on what is unread in the undamaged end of the log, and set its window.

    `compares`: lines may have been left out that are before the one that was read last.
    """
    newest = last_entries(engine, log, 1)
    if newest is None:
        # The damage is the end of the log, or there is none. What is written from now on can be read.
        _report_damage(log)
        _read_before_damage(engine, log)
        log.window = 0
        return
    entries = undamaged_end(engine, log, newest, past_mark=compares)
    if entries.is_whole:
        # Nothing is damaged.
        log.window = None
        log.catch_up(engine)
        log.file_gone = False
        log.report.sound()
        return
    _report_damage(log)
    if not entries.has_mark:
        if before := up_to_later_damage(engine, log, entries):
            _hand_on(engine, log, before, entries.first)
        else:
            _read_before_damage(engine, log, entries.first)
    # Those before the window has its place, so that it has room for lines to come, however close the damage is.
    if entries.body is not None or not entries.has_mark:
        _hand_on(engine, log, entries)
    log.window = window_with_room(engine, log, entries)


def _report_damage(log: DockerLog) -> None:
    log.file_gone = False
    log.report.impaired(
        f"Docker cannot read a part of the log of container {log.report.name}: its file is damaged, as after a crash "
        "or on a full disk. Lines in that part do not count; what follows is read. To end this, create the container "
        "again (docker compose up -d --force-recreate)"
    )


def _read_before_damage(engine: Engine, log: DockerLog, window_begins: bytes = b"") -> None:
    """Hand on what is unread before the damage: up to the first line of the window, if there is one.

    Later Engines were already asked, and stop at the damage.
    """
    if not engine.is_before_23:
        return
    window, log.window = log.window, None
    # The error stands behind the lines before the damage.
    with contextlib.suppress(LogReadError):
        log.catch_up(engine, gap_counts=False, before=window_begins)
    log.window = window


def _hand_on(engine: Engine, log: DockerLog, entries: Tail, before: bytes = b"") -> None:
    """Hand on these entries, up to the first one with this stamp or a later one."""
    if entries.body is None:
        log.window = entries.count
        log.catch_up(engine, gap_counts=False, before=before)
        return
    lines, comparison, late = UnreadLines(log.cursor), log.comparison(), 0
    for data in entries.body:
        whole = lines.whole(data)
        earlier = [line for line in whole if line[1][:STAMP_BYTES] < before] if before else whole
        unread = lines.unread_lines(earlier)
        # What was destroyed before these is reported with the damage.
        if lines.take_gap() and entries.is_short:
            log.report.gap()
        late += log.hand_on_late(comparison.left_out(earlier, unread))
        log.hand_on(lines, lines.batches(unread))
        if len(earlier) < len(whole):
            break
    if late:
        log.report.read_late(late)
