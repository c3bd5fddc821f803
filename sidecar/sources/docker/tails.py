"""The last entries of a log, and how many of them are undamaged.

A log may grow by hundreds of lines between two questions. So what was found is kept as Docker answered it, and it is
compared by the stamps of the entries, not by their number.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace

from sidecar.sources.docker.api import Engine, RequestRefusedError
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.line_joiner import is_terminals
from sidecar.sources.docker.wire import (
    STAMP_BYTES,
    STDERR,
    STDOUT,
    EngineError,
    FrameDecoder,
    Line,
    ProtocolError,
)

# A number of entries takes Docker some milliseconds; this is for the case that it never ends.
TAIL_TIMEOUT_S = 10.0
# An answer is kept up to this size.
MAX_BODY_BYTES = 16 * 1024 * 1024
GROWTH = 8
MAX_WINDOW = GROWTH**6
# This many entries more are asked for than are needed, since the log grows.
MIN_ROOM = 16
# How many answers are read to find one that begins a little before the line that was read last: their beginnings, and
# all of them.
MAX_BEGINNINGS, MAX_SOUND_TRIES = 64, 5
# A window of this many entries has room for what a busy site writes until its log is open.
MIN_WINDOW = GROWTH**5
# How often entries are asked for in vain because the log grew meanwhile.
MAX_MISSES = 32


@dataclass(frozen=True, slots=True)
class Tail:
    """The last entries of a log."""

    count: int
    # The stamp of the first one, and the highest.
    first: bytes
    highest: bytes
    # Whether the line that was read last is among them.
    has_mark: bool
    # The answer that had them; None: it was too large.
    body: tuple[bytes, ...] | None = None
    # Whether more were asked for: the log has no more.
    is_whole: bool = False
    # The positions of the entry with the highest stamp, and of the one that was asked about (0: it is not among them).
    highest_at: int = 1
    asked_at: int = 0
    # Whether there may be more between these and the damage: the log grew too fast to find its edge.
    is_short: bool = False


def undamaged_end(engine: Engine, log: DockerLog, newest: Tail, *, past_mark: bool = False) -> Tail:
    """Return entries at the end of the log without damage. Raises OSError.

    The line that was read last is among them, or they are as many as there are. `newest`: the last one alone.
    `past_mark`: as many as there are in any case.
    """
    found = newest
    if not found.has_mark:
        found = _from_the_mark(engine, log, found) or found
    step = found.count * (GROWTH - 1)
    while (past_mark or not found.has_mark) and not found.is_whole and found.count < MAX_WINDOW:
        larger = _sound_tail(engine, log, found.count + step, found)
        if larger is None:
            # It reaches into the damage.
            return _up_to_the_damage(engine, log, found, step // 2, past_mark=past_mark)
        found, step = larger, larger.count * (GROWTH - 1)
    return found


def _from_the_mark(engine: Engine, log: DockerLog, newest: Tail) -> Tail | None:
    """Return undamaged entries that begin a little before the line that was read last; None where they are not found.

    The damage may be close before that line, and a busy site writes thousands of lines while an answer is read to its
    end. So only the beginnings of answers are read until one begins where it should.
    """
    mark, room, tries = log.cursor.stamp, 0, MAX_SOUND_TRIES
    # The answer begins between these numbers of entries; it is read when they differ by no more than `slack`.
    too_few, too_many, slack = newest.count, 0, 0
    for _ in range(MAX_BEGINNINGS):
        if not mark or not tries or too_few >= MAX_WINDOW:
            return None
        if not too_many or too_many - too_few > max(1, slack):
            count = (too_few + too_many) // 2 if too_many else too_few * GROWTH
            begins = last_entries(engine, log, count, at_most=1)
            if begins and begins.first > mark:
                too_few = count
            else:
                too_many, slack = count, slack or max(MIN_ROOM, count // GROWTH)
            continue
        found, tries = _sound_tail(engine, log, too_many + room, newest), tries - 1
        if found and (found.has_mark or found.is_whole):
            return found
        if found:
            # The log grew meanwhile.
            too_few, too_many, room = too_many, 0, MIN_ROOM
        elif too_many - too_few <= 1:
            return None
        else:
            # It reaches into the damage.
            slack = (too_many - too_few) // 2
    return None


def _up_to_the_damage(
    engine: Engine, log: DockerLog, found: Tail, step: int, *, past_mark: bool = False
) -> Tail:
    """Return these entries and those before them, up to the damage, which is less than twice this many entries away.

    Entries that are written between two questions move the beginning of the answer on by their number.
    """
    # How many were written since the answer that is kept.
    grown = misses = 0
    while step and misses < MAX_MISSES and (past_mark or not found.has_mark):
        larger = _sound_tail(engine, log, found.count + grown + step, found)
        if larger is None:
            if step == 1:
                # The entry before the first one is damaged.
                break
            step, misses = step // 2, misses + 1
        elif larger.is_whole or larger.asked_at > found.highest_at:
            found, grown, misses = larger, 0, 0
        else:
            # It began too late. The next one begins earlier by what was written meanwhile.
            before, grown = grown, larger.count - larger.asked_at - (found.count - found.highest_at)
            step, misses = max(1, grown - before - step * (misses % 2)), misses + 1
    return replace(found, is_short=misses >= MAX_MISSES)


def window_with_room(engine: Engine, log: DockerLog, found: Tail) -> int:
    """Return a number of last entries that has the line that was read last, with room for lines to come.

    `found`: undamaged entries that were read. Raises OSError.
    """
    count = found.count
    while count * GROWTH <= MIN_WINDOW and _sound_tail(engine, log, count * GROWTH, found):
        count *= GROWTH
    return count


def _sound_tail(engine: Engine, log: DockerLog, count: int, newest: Tail) -> Tail | None:
    """Return the last `count` entries, if there is no damage in them."""
    found = last_entries(engine, log, count, asked=newest.highest)
    if found is None or found.highest < newest.highest:
        return None
    if not found.is_whole:
        return found
    if not found.asked_at:
        # It has what is before the damage, and what was written while Docker answered.
        return None
    # Either the log has no more, or Docker has left some out. Then this many are less, or the log begins earlier:
    # Docker before 23 may have left out all but the last.
    again = last_entries(engine, log, found.count)
    if again is None or again.count < found.count:
        return None
    return found if beginning(engine, log) == found.first else None


def up_to_later_damage(engine: Engine, log: DockerLog, behind: Tail) -> Tail | None:
    """Return entries from the line that was read last on, or from before, up to the damage. Raises OSError.

    None where they are not found. The file may have been damaged before that line as well, and Docker reads from where
    it is asked to, up to the next damage. `behind`: all entries behind the last damage.
    """
    too_few, too_many, count = behind.count, 0, behind.count * GROWTH
    while count > too_few and count <= MAX_WINDOW * GROWTH:
        found = last_entries(engine, log, count, partial=True)
        if found and found.has_mark:
            return found
        if found and (found.is_whole or found.highest < log.cursor.stamp):
            too_many = count
        else:
            too_few = count
        count = (too_few + too_many) // 2 if too_many else count * GROWTH
    return None


def last_entries(
    engine: Engine,
    log: DockerLog,
    count: int | None,
    *,
    at_most: float = math.inf,
    asked: bytes = b"",
    partial: bool = False,
) -> Tail | None:
    """Return the last `count` entries of the log; None where Docker fails to read them. Raises OSError.

    Also RequestRefusedError, as where the container was removed.

    `count`: None for all. `at_most`: of these, no more than the first this many, give or take what comes at once.
    `asked`: find the entry with this stamp. `partial`: those before the place where Docker fails will do.
    """
    seen = _SeenEntries(log.cursor.stamp, asked)
    try:
        with contextlib.closing(
            engine.logs(log.container, 0, follow=False, tail=count, timeout_s=TAIL_TIMEOUT_S)
        ) as stream:
            decoder: TerminalEntries | FrameDecoder | None = None
            while seen.count < at_most and (data := stream.read()):
                decoder = decoder or (TerminalEntries() if is_terminals(data) else FrameDecoder())
                if not seen.add(data, decoder.feed(data)) and not partial:
                    return None
            if seen.count < at_most and not stream.complete:
                # A connection that was cut says nothing about the log.
                raise ConnectionError("an answer about the end of a log was cut")
    except TimeoutError:
        if engine.is_before_23:
            # There it does not mean that it never ends.
            raise ConnectionError("no answer about the end of a log") from None
        return None
    except RequestRefusedError:
        raise
    except EngineError:
        return None
    return seen.tail(count) if seen.count else None


def beginning(engine: Engine, log: DockerLog) -> bytes:
    """Return the stamp of the log's first entry; nothing where there is none. Raises OSError and EngineError."""
    found = last_entries(engine, log, None, at_most=1)
    return found.first if found else b""


class _SeenEntries:
    """What is to be known about the entries of an answer."""

    def __init__(self, mark: bytes, asked: bytes) -> None:
        self.count = 0
        self._mark, self._asked = mark, asked
        self._first = self._highest = b""
        self._has_mark = self._has_failed = False
        # Positions of the highest one and of the one that is asked about.
        self._at = [0, 0]
        # The answer, as long as it is not too large.
        self._body: list[bytes] | None = []
        self._bytes = 0

    def add(self, data: bytes, entries: list[Line]) -> bool:
        """Take what came; return False where Docker has failed to read on."""
        self._bytes += len(data)
        if self._bytes > MAX_BODY_BYTES:
            self._body = None
        elif self._body is not None:
            self._body.append(data)
        for kind, entry in entries:
            if kind not in (STDOUT, STDERR):
                self._has_failed = True
                return False
            stamp = entry[:STAMP_BYTES]
            self.count += 1
            self._first = self._first or stamp
            self._has_mark = self._has_mark or stamp == self._mark
            if stamp > self._highest:
                self._highest, self._at[0] = stamp, self.count
            if stamp == self._asked:
                self._at[1] = self.count
        return True

    def tail(self, asked_for: int | None) -> Tail:
        """Return all of them."""
        body = None if self._body is None else tuple(self._body)
        is_whole = asked_for is not None and self.count < asked_for and not self._has_failed
        highest_at, asked_at = self._at
        return Tail(
            self.count, self._first, self._highest, self._has_mark, body, is_whole, highest_at, asked_at
        )


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
