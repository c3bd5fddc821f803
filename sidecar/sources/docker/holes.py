"""Finds what Docker before 23 leaves out of an answer: entries right behind a damaged part, without an error.

Where some are left out, the beginnings of shorter answers say: one with the last `count` entries begins at the entry
that is `count` before the end, if none is left out in between, and later if some are. Entries that were written
meanwhile have it begin later as well; how many, an answer of a few entries says.

What it costs: one answer is read whole and kept, packed; each damaged part costs the beginnings of some 20 answers and
of those of `edges`, and what was left out is read up to MAX_DAMAGED_LINES + 1 times.
"""

from __future__ import annotations

import contextlib
import zlib
from array import array
from collections.abc import Callable, Iterator

from sidecar.sources.docker.api import Engine
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.edges import MAX_DAMAGED_LINES, answer_behind, answers_around, close
from sidecar.sources.docker.tails import MAX_WINDOW, Answer
from sidecar.sources.docker.wire import STAMP_BYTES, ProtocolError

# So many entries at the end of an answer tell how many were written since; more if more were.
FEW_ENTRIES = 16
# How often a beginning is asked for until nothing is written meanwhile.
MAX_TRIES = 32
MAX_HOLES = 64
# How often what was left out is looked for until nothing is written meanwhile.
MAX_SEARCHES = 16
# So many answers are compared to find one from which none is missing.
USUAL_ANSWERS = 2


class EntryList:
    """An answer that was read, and kept."""

    def __init__(self, answer: Answer, until: bytes = b"") -> None:
        """Read this answer to its end, or to the entry with this stamp. Raises OSError and RequestRefusedError."""
        self._stamps = bytearray()
        self._sizes = array("L")
        # What came, packed.
        self._bodies: list[bytes] = []
        for entries in answer.parts():
            body = answer.body(entries)
            self._bodies.append(zlib.compress(body, 1))
            self._stamps += b"".join(text[:STAMP_BYTES] for _, text in entries)
            extra = (len(body) - sum(len(text) for _, text in entries)) // max(1, len(entries))
            self._sizes.extend(len(text) + extra for _, text in entries)
            if until and self.indexes(until):
                break
        self.asked, self.highest = answer.asked or 0, answer.highest
        found = self.indexes(until)
        self.count = found[0] if found else answer.came

    def stamp(self, index: int) -> bytes:
        return bytes(self._stamps[index * STAMP_BYTES : (index + 1) * STAMP_BYTES])

    def indexes(self, stamp: bytes) -> range:
        """Return which entries have this stamp; the parts of a long line have the same."""
        at = self._stamps.find(stamp) if stamp else -1
        while at >= 0 and at % STAMP_BYTES:
            at = self._stamps.find(stamp, at + 1)
        first = end = max(0, at // STAMP_BYTES)
        while at >= 0 and self.stamp(end) == stamp:
            end += 1
        return range(first, end)

    def bodies(self, first: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of the entries from `first` to before `end`."""
        skip, left = self._bytes(0, first), self._bytes(first, end)
        for packed in self._bodies:
            data = zlib.decompress(packed)
            wanted = data[skip : skip + left]
            skip, left = max(0, skip - len(data)), left - len(wanted)
            if wanted:
                yield wanted

    def _bytes(self, first: int, end: int) -> int:
        return sum(self._sizes[first:end])


class Holes:
    """Where entries were left out of a list, from its end to its beginning."""

    def __init__(
        self, engine: Engine, log: DockerLog, listed: EntryList, *, newest: bytes, is_all: bool
    ) -> None:
        """`newest`: an entry that was in the log before. `is_all`: the list begins with the log's first entry."""
        self._engine, self._log, self._listed, self._is_all = engine, log, listed, is_all
        self._reaches_end = listed.highest >= newest
        # Entries up to the end of the log, none left out.
        self._end = listed
        # How many lines of the file were left out behind the last hole that was found.
        self._left_out = 0
        self._goes_on = True
        # Whether nothing was written in the moments that decided.
        self.is_exact = True

    def find(self) -> dict[int, EntryList | None]:
        """Return before which entries there is damage, and what was left out there. Raises OSError and EngineError."""
        found: dict[int, EntryList | None] = {}
        high = self._listed.count
        if not self._reaches_end:
            found[high] = self._left_out_before(high)
        high -= 1
        while high >= 0 and self._goes_on and len(found) < MAX_HOLES:
            high = self._first_sound(high)
            if not high and not self._is_beginning_missing():
                break
            found[high] = self._left_out_before(high)
            high -= 1
        return found

    def _first_sound(self, high: int) -> int:
        """Return the first entry behind which no more are left out than behind entry `high`."""
        if self._is_sound(0):
            return 0
        low = 0
        while high - low > 1:
            index = (low + high) // 2
            if self._is_sound(index):
                high = index
            else:
                low = index
        return high

    def _is_sound(self, index: int) -> bool:
        for _ in range(MAX_TRIES):
            grown = self._grown()
            at = self._listed.indexes(self._begins(self._from_end(index) + grown))
            if at and at[0] <= index:
                return True
            # It was left out, or it begins later by more than was written.
            if not at or at[0] - index > self._grown() - grown:
                return False
        self.is_exact = False
        return False

    def _is_beginning_missing(self) -> bool:
        """Return whether some were left out before the list's first entry."""
        listed = self._listed
        if not self._is_all:
            return listed.asked > listed.count + self._left_out
        for _ in range(MAX_TRIES):
            grown = self._grown()
            begins = self._begins(self._from_end(0) + grown + 1)
            if not listed.indexes(begins):
                return True
            if self._grown() == grown:
                return False
        self.is_exact = False
        return False

    def _left_out_before(self, high: int) -> EntryList | None:
        """Return the entries that were left out before this one, and count them with the damaged lines of the file."""
        listed, is_end = self._listed, high == self._listed.count
        if 0 < high < listed.count:
            return self._left_out_inside(high)

        def is_before(stamp: bytes) -> bool:
            at = listed.indexes(stamp)
            return not stamp or (at[0] <= high if at else high > 0 and stamp < listed.stamp(0))

        more, count = 1, 0 if is_end else self._from_end(high) + self._grown()
        while more < MAX_WINDOW and not is_before(self._begins(count + more)):
            more *= 2
        part, is_known = None, False
        for tries in range(MAX_SEARCHES):
            # The damage most often takes one line of the file, and the fewer are begun, the less is written meanwhile.
            around = MAX_DAMAGED_LINES if tries == MAX_SEARCHES - 1 else USUAL_ANSWERS
            part, is_known = self._entries_behind(count + more, is_before, high, around)
            if is_known:
                break
        self.is_exact = self.is_exact and is_known
        if is_end and part:
            self._end = part
        if high:
            self._count_hole(high, part.count if part else 0)
        return part

    def _left_out_inside(self, high: int) -> EntryList | None:
        """Return the entries between the damage and this one, where the entry before the damage is in the list as well.

        So it is known how many lines of the file are between these two, and which answer has all of them.
        """
        best: EntryList | None = None
        lines = self._lines_before(high)
        for damaged in range(1, min(lines, MAX_DAMAGED_LINES) + 1):
            for _ in range(MAX_TRIES if lines > damaged else 0):
                grown = self._grown()
                count = self._from_end(high) + grown + lines - damaged
                with contextlib.closing(Answer(self._engine, self._log, count)) as answer:
                    is_late = bool(self._listed.indexes(answer.begin()))
                    part = None if is_late else EntryList(answer, self._listed.stamp(high))
                if part and (best is None or part.count > best.count):
                    best = part
                if self._grown() == grown:
                    break
                if best and best.count == lines - damaged:
                    break
            if (best.count if best else 0) == lines - damaged:
                self._left_out += lines
                return best
        # Another damaged part is close before it, or the log grew too fast.
        self._left_out += lines
        self.is_exact = False
        self._goes_on = bool(lines)
        return best

    def _lines_before(self, high: int) -> int:
        """Return how many lines of the file are between this entry and the one before it; 0: not known."""
        # An answer with so many more entries begins behind the entry before, and one with so many does not.
        listed, too_few, enough, more = self._listed, 1, 0, 2
        for _ in range(2 * MAX_TRIES):
            grown = self._grown()
            at = listed.indexes(self._begins(self._from_end(high) + grown + more))
            if self._grown() != grown:
                continue
            if at and at[0] < high:
                enough = more
            else:
                too_few = more
            if enough == too_few + 1:
                return enough - 1
            more = (too_few + enough) // 2 if enough else min(2 * more, MAX_WINDOW)
        return 0

    def _entries_behind(
        self, too_many: int, is_before: Callable[[bytes], bool], high: int, around: int
    ) -> tuple[EntryList | None, bool]:
        """Return the entries between the damage and this one, and whether they are known to be all.

        `around`: how many answers are compared. The first two as of `answer_behind`.
        """
        is_end = high == self._listed.count
        grown = 0 if is_end else self._grown()
        too_few = 0 if is_end else self._from_end(high) + grown
        found, is_known = answer_behind(self._engine, self._log, too_many, is_before, too_few)
        at = self._listed.indexes(found.first) if found else range(0)
        if found is None or (at and at[0] >= high):
            close([found])
            return None, is_known and (is_end or self._grown() == grown)
        answers, is_quiet = answers_around(self._engine, self._log, found, is_before, around)
        until = b"" if is_end else self._listed.stamp(high)
        try:
            part, is_sure = self._most_complete(answers, until)
        finally:
            close(answers)
        return part, is_known and is_quiet and is_sure

    def _most_complete(self, answers: list[Answer], until: bytes) -> tuple[EntryList | None, bool]:
        """Return the entries before this one, of the first answer that lacks none, and whether that is known.

        One that begins in the damage lacks some.
        """
        best: EntryList | None = None
        for answer in answers:
            if best and until and answer.begin() >= until:
                return best, True
            part = EntryList(answer, until)
            if best and part.asked - part.count >= best.asked - best.count:
                return best, True
            best = part
        # There are no fewer entries to compare with.
        return best, bool(best and best.asked == 1)

    def _count_hole(self, high: int, entries: int) -> None:
        """Note how many lines of the file are in the hole before this entry: these and the damage."""
        for _ in range(MAX_TRIES):
            grown = self._grown()
            for damaged in range(1, MAX_DAMAGED_LINES + 2):
                count = self._from_end(high) + grown + entries + damaged
                at = self._listed.indexes(self._begins(count))
                if at and at[0] < high and self._grown() == grown:
                    self._left_out = count - grown - (self._listed.count - at[0])
                    return
        # Another damaged part is close before it.
        self.is_exact = self._goes_on = False

    def _from_end(self, index: int) -> int:
        return self._listed.count - index + self._left_out

    def _grown(self) -> int:
        """Return how many entries were written since the end of the log was read."""
        too_few, too_many, count = 0, 0, min(FEW_ENTRIES, self._end.count)
        for _ in range(MAX_TRIES):
            begins = self._begins(count)
            if at := self._end.indexes(begins):
                return count - (self._end.count - at[0])
            if begins > self._end.highest:
                too_few = count
            else:
                too_many = count
            count = (too_few + too_many) // 2 if too_many else 2 * count
        raise ProtocolError("the log changed while it was searched")

    def _begins(self, count: int) -> bytes:
        with contextlib.closing(Answer(self._engine, self._log, count)) as answer:
            return answer.begin()
