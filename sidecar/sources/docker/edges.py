"""Finds where a damaged log can be read on: by the beginnings of answers, while the log grows.

An answer with the last `count` entries has those that the log had when it was asked for, and it may be closed after its
first entry. That one shows where it begins:

    ... p p p X b b b b b ...      p: before the damage X, b: behind it

Each entry that is written moves the beginning of the next answer on by one. So an answer that begins where it should is
kept and read, and not asked for again.

What it costs: the beginnings of at most MAX_BEGINNINGS answers, for each of these searches, however long the log is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from sidecar.sources.docker.api import Engine
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.tails import GROWTH, MAX_WINDOW, Answer, beginning, begun_answer

# How many answers are begun in one search.
MAX_BEGINNINGS = 128
# An answer begins at most this many entries early, or by this part of it.
MIN_ROOM = 16
# How many lines of a log's file a damaged part takes at most: zeros and half a record have no newline.
MAX_DAMAGED_LINES = 8


def answer_from(engine: Engine, log: DockerLog, stamp: bytes) -> tuple[Answer, bool]:
    """Return an answer that begins with the entry of this stamp, or with one before, and whether it has the whole log.

    At most an eighth of it, or MIN_ROOM entries, are before that entry. Where the log is larger than MAX_WINDOW, or
    grows too fast, it may begin later. Raises OSError and EngineError.
    """
    first = beginning(engine, log)
    # It begins between these numbers of entries; 0: not known.
    too_few, enough, count, room = 0, 0, MIN_ROOM, MIN_ROOM
    for tries in range(MAX_BEGINNINGS):
        answer = begun_answer(engine, log, count)
        begins = answer.first
        is_all = bool(begins) and begins == first
        # In a damaged part: what is before that may be wanted.
        is_enough = bool(begins) and (begins <= stamp or is_all)
        is_last = count >= MAX_WINDOW or tries == MAX_BEGINNINGS - 1
        if (is_enough and count - too_few <= max(MIN_ROOM, count // GROWTH)) or (not is_enough and is_last):
            return answer, is_all
        answer.close()
        if is_enough:
            enough = count
        else:
            too_few = count
        if not enough:
            count = min(count * GROWTH, MAX_WINDOW)
        elif enough - too_few > max(MIN_ROOM, enough // GROWTH):
            count = (too_few + enough) // 2
        elif too_few < enough:
            count = enough
        else:
            # The log grew meanwhile.
            enough = count = too_few + room
            room *= 2
    raise AssertionError("unreachable")  # pragma: no cover


class _BeginningsBehind:
    """The beginnings of answers around a damaged part."""

    def __init__(
        self, engine: Engine, log: DockerLog, is_before: Callable[[bytes], bool], *, with_damage: bool = False
    ) -> None:
        """`with_damage`: what begins in the damage counts as behind it."""
        self._engine, self._log, self._is_before, self._with_damage = engine, log, is_before, with_damage
        self.left = MAX_BEGINNINGS
        # The last answer that began behind the damage, and of all of these the one with the earliest entry.
        self.last: Answer | None = None
        self.earliest: Answer | None = None

    def is_behind(self, count: int) -> bool:
        """Return whether an answer with this many entries begins behind the damage."""
        self.left -= 1
        begin = begun_answer if self._with_damage else Answer
        answer = begin(self._engine, self._log, count)
        begins = answer.begin()
        if self._is_before(begins) if begins else not self._with_damage:
            answer.close()
            return False
        known, self.last = {self.last, self.earliest}, answer
        if self.earliest is None or not self.earliest.first or b"" < begins < self.earliest.first:
            self.earliest = answer
        close(known - {self.last, self.earliest})
        return True

    def take(self, answer: Answer | None) -> Answer | None:
        """Return this answer, and close the others."""
        close({self.last, self.earliest} - {answer})
        self.last = self.earliest = None
        return answer


def close(answers: Iterable[Answer | None]) -> None:
    """Close those that there are."""
    for answer in answers:
        if answer:
            answer.close()


def answer_after(
    engine: Engine, log: DockerLog, count: int, is_passed: Callable[[bytes], bool]
) -> tuple[Answer, bool]:
    """Return an answer that begins right after the entries that were passed, and whether it is known to.

    It has no beginning if the damage is there. `count`: an answer with this many entries began there, if nothing was
    written meanwhile. For Docker from 23 on. Raises OSError and EngineError.
    """
    begun = _BeginningsBehind(engine, log, is_passed, with_damage=True)
    try:
        is_known = _find(begun, 0, count + 1)
        found = begun.take(begun.last if is_known else begun.earliest)
        return found or begun_answer(engine, log, count), is_known
    finally:
        begun.take(None)


def answer_behind(
    engine: Engine, log: DockerLog, too_many: int, is_before: Callable[[bytes], bool], too_few: int = 0
) -> tuple[Answer | None, bool]:
    """Return an answer that begins with the first entry behind the damage, and whether it is known to be the first.

    `too_many`: an answer with this many entries began in the damage or before it. `is_before`: whether the entry of a
    stamp is before the damage. `too_few`: more than these are wanted. None where no more are behind it. Raises OSError
    and EngineError.

    Before Docker 23, the answer may begin in the damage; then the first entries behind it are left out.
    """
    begun = _BeginningsBehind(engine, log, is_before)
    try:
        is_known = _find(begun, too_few, max(too_many, too_few + 1))
        return begun.take(begun.last if is_known else begun.earliest), is_known
    finally:
        begun.take(None)


def _find(begun: _BeginningsBehind, too_few: int, too_many: int) -> bool:
    """Begin answers until the last one behind the damage begins right there; return False where that is not known.

    A number of entries that begins behind the damage does so later as well, since the log grows. If one more, asked for
    afterwards, still begins in the damage, nothing was written in between.
    """
    step = 1
    # The damage most often takes one line of the file.
    count = max(too_few + 1, too_many - 1)
    while begun.left > 0:
        if begun.is_behind(count):
            too_few = count
        elif count == too_few + 1:
            # Right behind it, or nothing is behind the damage.
            return True
        else:
            too_many = count
        if too_few >= too_many:
            # The log grew meanwhile.
            count = too_many = too_few + step
            step *= 2
        else:
            count = max((too_few + too_many) // 2, too_few + 1)
    return False


def answers_around(
    engine: Engine, log: DockerLog, found: Answer, is_before: Callable[[bytes], bool], more: int
) -> tuple[list[Answer], bool]:
    """Return answers that begin from the damage on, one entry later each, and whether nothing was written meanwhile.

    For Docker before 23. `found`: as `answer_behind` returns it, the first of them; `more` are behind it. Raises
    OSError and EngineError.
    """
    asked, answers = found.asked or 0, [found]
    try:
        fewer = range(asked - 1, max(0, asked - 1 - more), -1)
        answers.extend(Answer(engine, log, count) for count in fewer)
        check = Answer(engine, log, asked + 1)
        with contextlib.closing(check):
            begins = check.begin()
        return answers, not begins or is_before(begins)
    except BaseException:
        close(answers)
        raise
