"""Reads past a damaged part of a log's file: zeros or half a record, as a crash or a full disk leave them.

Docker reads a log's file from its beginning and stops at the damage, silently or with an error, depending on its
version (moby#53631, #29511, docker/for-linux#140); what follows is then never read. But the last entries alone can be
asked for (`tail`), as long as the damage is not among them. So the log is read from the line that was read last, up to
the damage; then from behind the damage, which is found by the beginnings of answers; and then it is followed through a
window of entries that are behind the damage. What is read counts at once, in the order of the log.

Two bugs of Docker make this dangerous where it is not needed: `tail` of a file that was truncated never ends (23 and
later), and before 23 a damaged log of the `local` driver ends dockerd (moby#46699). So it is only tried when Docker
has just failed to read the log from its beginning, and never in the second case.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from sidecar.sources.docker.api import Engine
from sidecar.sources.docker.cursor import UnreadLines
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.edges import MIN_ROOM, answer_after, answer_behind, answer_from
from sidecar.sources.docker.holes import EntryList, Holes
from sidecar.sources.docker.tails import Answer, begun_answer, last_entries, window_with_room
from sidecar.sources.docker.wire import STAMP_BYTES, Line, LogReadError, stamp_of

# Later than every stamp.
UNKNOWN = b"~"
# What Docker says of a file that was deleted.
NO_FILE = "no such file"
# So many entries before the damage are known by their stamps, to tell where an answer begins.
MAX_PASSED = 4096
# A crash leaves one; more than these are not read past.
MAX_DAMAGED_PARTS = 64


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


def read_left_out(engine: Engine, log: DockerLog) -> None:
    """Hand on what is unread in the log of a container that was started since, if the log is damaged: before Docker 23.

    There, lines right behind the damage do not come, and no error and no later line shows it; only their number does.
    Raises OSError, EngineError and ReadingEnded.
    """
    if (
        not engine.is_before_23
        or log.window is not None
        or not log.cursor.stamp
        or not _may_hide(engine, log)
    ):
        return
    newest = last_entries(engine, log, 1)
    if newest and newest.highest <= log.cursor.stamp:
        return
    # What is read is to be compared later, if the log is rotated.
    log.file_bytes(engine)
    answer, is_all = answer_from(engine, log, log.cursor.stamp)
    if not answer.begin():
        answer.close()
        return
    sound, is_damaged = _read_counted(engine, log, answer, newest.highest if newest else b"", is_all=is_all)
    if is_damaged:
        _report_damage(log)
        log.window = window_with_room(engine, log, sound if newest else 0)


def hidden_stamp(engine: Engine, log: DockerLog) -> bytes:
    """Return the highest stamp of the log's last entry if it is later than what was read; else nothing. Raises OSError.

    Only for a container that was started after that was written: then Docker has opened the file again, and knows its
    true length. Never where asking may end dockerd.
    """
    if not _may_hide(engine, log):
        return b""
    newest = last_entries(engine, log, 1)
    return newest.highest if newest and newest.highest > log.cursor.stamp else b""


def _may_hide(engine: Engine, log: DockerLog) -> bool:
    """Return whether the container was started since, and the last entries of its log may be asked for."""
    if engine.is_before_23 and engine.log_driver(log.container) == "local":
        return False
    started = str(engine.inspect(log.container)["State"].get("StartedAt", "")).encode()
    return started[:19] > log.cursor.stamp[:19]


def _is_cut_off(engine: Engine, log: DockerLog) -> bool:
    """Return whether lines that are in the log do not come. Raises OSError, EngineError and ReadingEnded."""
    hidden = hidden_stamp(engine, log)
    if hidden:
        # They may have been written just now.
        log.catch_up(engine, gap_counts=False)
    return hidden > log.cursor.stamp


def _read_window(engine: Engine, log: DockerLog, *, compares: bool = False) -> None:
    """Hand on what is unread in a log that Docker does not read to its end, and set its window.

    `compares`: lines may have been left out that are before the one that was read last.
    """
    log.file_bytes(engine)
    newest = _newest(engine, log)
    since = log.compared_since if compares else log.cursor
    answer, is_all = answer_from(engine, log, since.stamp or stamp_of(since.since))
    if engine.is_before_23:
        sound, is_damaged = _read_counted(engine, log, answer, newest, is_all=is_all)
        sound = sound if newest else 0
    else:
        sound, is_damaged = _read_on(engine, log, answer, newest or UNKNOWN)
    if is_all and not is_damaged:
        log.window = None
        log.catch_up(engine)
        log.file_gone = False
        log.report.sound()
    else:
        _report_damage(log)
        # Where the damage is the end of the log, what is written from now on can be read.
        log.window = window_with_room(engine, log, sound)


def _newest(engine: Engine, log: DockerLog) -> bytes:
    """Return the stamp of the log's last entry; nothing where Docker fails to read it.

    Raises OSError, and LogReadError if the log's file was deleted: then no way of asking brings a line.
    """
    with contextlib.closing(Answer(engine, log, 1)) as answer:
        for _ in answer.parts():
            pass
        if NO_FILE in answer.failure:
            raise LogReadError(answer.failure)
        return b"" if answer.has_failed else answer.highest


def _read_on(engine: Engine, log: DockerLog, answer: Answer, newest: bytes) -> tuple[int, bool]:
    """Hand on this answer, and what follows each damaged part: for Docker from 23 on, which stops there.

    Return how many entries are behind the last damaged part, and whether there is one. `newest`: the last one's stamp.
    Each entry is read once, and each damaged part costs the beginnings of some answers (`edges`).
    """
    passed: deque[bytes] = deque(maxlen=MAX_PASSED)
    parts, is_known = 0, True
    is_damaged = False
    while parts < MAX_DAMAGED_PARTS:
        part = _UpToDamage(answer, newest, passed)
        with contextlib.closing(answer):
            _hand_on(log, part.bodies(), gap_counts=not is_known)
        if part.is_complete:
            return part.came, is_damaged
        asked = answer.asked or 0
        if not passed and not is_damaged:
            # It began in the damage. The entries before are to be known.
            is_damaged, answer = True, begun_answer(engine, log, asked + MIN_ROOM)
            continue
        is_damaged, is_known, left = True, True, asked - part.came
        if part.came:
            # It may have failed before it came to the damage.
            answer, is_known = answer_after(engine, log, left, _test_of(passed))
            if answer.first:
                continue
            answer.close()
            left = answer.asked or 0
        parts += 1
        found, is_edge_known = answer_behind(engine, log, left, _test_of(passed))
        is_known = is_known and is_edge_known
        if found is None:
            return 0, True
        answer = found
    raise LogReadError(f"it is damaged in more than {MAX_DAMAGED_PARTS} places")


class _UpToDamage:
    """What comes of an answer before the damage, or all of it."""

    def __init__(self, answer: Answer, newest: bytes, passed: deque[bytes]) -> None:
        """`newest`: the stamp of the log's last entry before. `passed`: takes the stamps of the entries that come."""
        self._answer, self._newest, self._passed = answer, newest, passed
        # How many entries come, and whether that is all of the answer.
        self.came, self.is_complete = 0, False

    def bodies(self) -> Iterator[bytes]:
        """Yield the bytes of the entries. Raises OSError and RequestRefusedError."""
        # From the first that is later than the newest on, as long as that did not come: that may be behind the damage.
        held: list[Line] = []
        for entries in self._answer.parts():
            held += entries
            stamps = [text[:STAMP_BYTES] for _, text in held]
            self.is_complete = self.is_complete or self._newest in stamps
            sure = len(held)
            if not self.is_complete:
                sure = next((n for n, stamp in enumerate(stamps) if stamp > self._newest), sure)
            if sure:
                yield self._taken(held[:sure])
            del held[:sure]
        if not self._answer.is_short:
            self.is_complete = True
            yield self._taken(held)

    def _taken(self, entries: list[Line]) -> bytes:
        self.came += len(entries)
        self._passed.extend(text[:STAMP_BYTES] for _, text in entries)
        return self._answer.body(entries)


def _test_of(passed: Iterable[bytes]) -> Callable[[bytes], bool]:
    """Return what says whether an entry is one of these, which are in a row, or before them."""
    known = frozenset(passed)
    first = min(known, default=b"")
    return lambda stamp: stamp in known or stamp < first


def _read_counted(
    engine: Engine, log: DockerLog, answer: Answer, newest: bytes, *, is_all: bool
) -> tuple[int, bool]:
    """Hand on this answer, and what was left out of it: before 23, Docker goes on somewhere behind the damage.

    `newest`, and what is returned: as of `_read_on`. Each entry is read once, and kept until it is known what was left
    out (`holes`).
    """
    with contextlib.closing(answer):
        listed = EntryList(answer)
    if not listed.count:
        return 0, True
    holes = Holes(engine, log, listed, newest=newest, is_all=is_all)
    left_out = holes.find() if is_all or listed.asked > listed.count else {}
    if is_all and not left_out:
        # Nothing is damaged: it is read as any log is.
        return listed.count, False
    begins = sound = 0
    for at in sorted(left_out):
        _hand_on(log, listed.bodies(begins, at))
        begins, sound = at, 0
        if part := left_out[at]:
            _hand_on(log, part.bodies(0, part.count), gap_counts=not holes.is_exact)
            sound = part.count
    _hand_on(log, listed.bodies(begins, listed.count), gap_counts=not holes.is_exact)
    return sound + listed.count - begins, bool(left_out)


def _report_damage(log: DockerLog) -> None:
    log.file_gone = False
    log.report.impaired(
        f"Docker cannot read a part of the log of container {log.report.name}: its file is damaged, as after a crash "
        "or on a full disk. Lines in that part do not count; what follows is read. To end this, create the container "
        "again (docker compose up -d --force-recreate)"
    )


def _hand_on(log: DockerLog, bodies: Iterable[bytes], *, gap_counts: bool = False) -> None:
    """Hand on what is unread of these bytes of an answer. `gap_counts`: lines before these may be lost.

    What was destroyed before them is reported with the damage.
    """
    lines, comparison, late = UnreadLines(log.cursor), log.comparison(), 0
    oldest = b"" if log.cursor.stamp else stamp_of(log.cursor.since)
    for data in bodies:
        # No bytes: a line that must not be seen.
        whole = [line for line in lines.whole(data) if not line[1] or line[1] >= oldest]
        unread = lines.unread_lines(whole)
        if lines.take_gap() and gap_counts:
            log.report.gap()
        late += log.hand_on_late(comparison.left_out(whole, unread))
        log.hand_on(lines, lines.batches(unread))
    if late:
        log.report.read_late(late)
