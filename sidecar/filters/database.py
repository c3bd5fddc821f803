"""The Hyperscan database: one search over a whole batch, for all failregexes of all filters.

It finds a superset of the lines that match, and for each which failregexes may match it. Only those lines are cut out
of the batch; nothing is done for the lines between them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import hyperscan

from sidecar.filters import prefilter, required_words
from sidecar.filters.loader import Filter, Rule

log = logging.getLogger(__name__)

_FLAGS: Final = hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_PREFILTER
# A match is one number, so that sorting matches is quick: its end in the batch, and in the low bits its expression.
_ID_BITS: Final = 16
_ID_MASK: Final = (1 << _ID_BITS) - 1


class FailregexId(NamedTuple):
    """A failregex: the number of its filter, and its place among that filter's failregexes."""

    filter: int
    place: int


class Expressions(NamedTuple):
    """A failregex, and the Hyperscan expressions that find its lines; without any, every line has to be tried."""

    rule: Rule
    weakened: tuple[bytes, ...]


class PatternDatabase:
    """Finds the lines that may match any of these filters' failregexes. Any thread may search.

    `patterns`, here, are bits of an integer: one for each expression that Hyperscan searches for, and one for the
    failregexes that it cannot search for.
    """

    def __init__(self, filters: Sequence[Filter]) -> None:
        self._failregexes = [
            FailregexId(i, j) for i, one in enumerate(filters) for j in range(len(one.failregex))
        ]
        rules = list(_weakened(filters))
        self._hyperscan, self._meanings = _database(rules)
        searched = {number for numbers in self._meanings for number in numbers}
        self._unsearched = [number for number in range(len(rules)) if number not in searched]
        for number in self._unsearched:
            rule = rules[number].rule
            log.warning("%s:%d: slow, as every line has to be tried: %s", rule.file, rule.line, rule.text)
        self._threads = threading.local()

    def failregexes(self, patterns: int) -> list[FailregexId]:
        """Return the failregexes that may match a line in which these patterns were found, in their filters' order."""
        numbers = {n for i, meaning in enumerate(self._meanings) if patterns >> i & 1 for n in meaning}
        return [self._failregexes[number] for number in sorted(numbers.union(self._unsearched))]

    def candidates(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield the lines that may match, in order, without their newline, each with the patterns found in it."""
        start, end, patterns, beyond = 0, -1, 0, 0
        for match in self._matches(data):
            if match >= beyond:
                if end >= 0:
                    yield data[start:end], patterns
                last_byte = (match >> _ID_BITS) - 1
                start, end, patterns = data.rfind(b"\n", 0, last_byte) + 1, data.find(b"\n", last_byte), 0
                if end < 0:
                    end = len(data)
                beyond = end + 1 << _ID_BITS
            patterns |= 1 << (match & _ID_MASK)
        if end >= 0:
            yield data[start:end], patterns

    def scan(self, data: bytes, on_match: Callable[..., object]) -> None:
        """Have Hyperscan call `on_match(id, start, end, flags, context)` for each match."""
        if self._hyperscan is not None:
            self._hyperscan.scan(data, match_event_handler=on_match, scratch=self._scratch())

    def _matches(self, data: bytes) -> list[int]:
        """Return where which expression may have matched, in order: `end offset << _ID_BITS | id`."""
        matches: list[int] = []
        append = matches.append

        def on_match(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            append(end << _ID_BITS | number)

        self.scan(data, on_match)
        if self._unsearched:
            matches += [end << _ID_BITS | len(self._meanings) for end in _line_ends(data)]
        matches.sort()
        return matches

    def _scratch(self) -> Any:  # noqa: ANN401  hyperscan carries no types
        """Return this thread's scratch space, which a search needs for itself (Hyperscan's manual, "Scratch space")."""
        scratch = getattr(self._threads, "scratch", None)
        if scratch is None:
            scratch = self._threads.scratch = hyperscan.Scratch(self._hyperscan)
        return scratch


def _weakened(filters: Sequence[Filter]) -> Iterator[Expressions]:
    for one in filters:
        if one.reads_requests:
            for rule in one.failregex:
                yield Expressions(rule, required_words.expressions(rule.regex))
            continue
        cuts = prefilter.date_cuts(one.dates)
        for rule in one.failregex:
            # With a window of lines, a line may count for those before it: each has to be looked at.
            windowed = one.maxlines > 1
            whole_line = one.prefregex is None
            yield Expressions(
                rule, () if windowed else prefilter.weakened(rule.regex, cuts, whole_line=whole_line)
            )


def _database(rules: Sequence[Expressions]) -> tuple[Any, list[list[int]]]:
    """Return a database for all rules that Hyperscan accepts, and the rules that each of its expressions stands for.

    Hyperscan refuses expressions that are too large, or that would match nothing at all.
    """
    meanings = _meanings(rules, range(len(rules)))
    database = _compiled(meanings)
    if database is None:
        accepted = {expression for expression in meanings if _compiled([expression])}
        searched = (number for number, rule in enumerate(rules) if accepted.issuperset(rule.weakened))
        meanings = _meanings(rules, searched)
        database = _compiled(meanings)
    # Each may be small enough, and all together too large.
    return database, list(meanings.values()) if database is not None else []


def _meanings(rules: Sequence[Expressions], numbers: Iterable[int]) -> dict[bytes, list[int]]:
    """Return each expression with the numbers of the rules that it stands for; rules may share one."""
    meanings: dict[bytes, list[int]] = {}
    for number in numbers:
        for expression in rules[number].weakened:
            meanings.setdefault(expression, []).append(number)
    return meanings


def _compiled(expressions: Collection[bytes]) -> Any:  # noqa: ANN401  hyperscan carries no types
    """Return a database of these, numbered in order; None if Hyperscan refuses, or there are none."""
    if not expressions:
        return None
    database = hyperscan.Database()
    try:
        database.compile(
            expressions=list(expressions),
            ids=list(range(len(expressions))),
            elements=len(expressions),
            flags=[_FLAGS] * len(expressions),
        )
    except hyperscan.error:
        return None
    return database


def _line_ends(data: bytes) -> Iterator[int]:
    """Yield the offset behind each line's last byte, newlines left out; empty lines have none."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        if end > at:
            yield end
        at = end + 1
