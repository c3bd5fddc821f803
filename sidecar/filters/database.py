"""One search over a whole batch, for all failregexes of all filters.

It finds a superset of the lines that match, and for each which failregexes may match it. Only those lines are cut out
of the batch; nothing is done for the lines between them. Failregexes that are not found reliably (`search_check.py`,
`search_audit.py`) are tried on every line.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sidecar.core.text import printable
from sidecar.filters import prefilter, required_words, search_check
from sidecar.filters.loader import Filter, Rule
from sidecar.filters.required_words import Searched
from sidecar.filters.search import ID_BITS, ID_MASK, OnMatch, RefusedError, Search
from sidecar.runtime.problems import Problems

log = logging.getLogger(__name__)

# Expressions of which a search lost a line in this process. A reload has the same library and the same processor.
_distrusted: Final[set[Searched]] = set()
# After this many searches that lose lines no other is tried.
MAX_ROUNDS: Final = 4
# Searches that are kept for the next configuration with the same expressions; all of our filters take 0.7 MB.
MAX_SEARCHES: Final = 4


class FailregexId(NamedTuple):
    """A failregex: the number of its filter, and its place among that filter's failregexes."""

    filter: int
    place: int


class Expressions(NamedTuple):
    """A failregex, and what finds its lines; without any, every line has to be tried."""

    rule: Rule
    weakened: tuple[Searched, ...]


class PatternDatabase:
    """Finds the lines that may match any of these filters' failregexes. Any thread may search.

    `patterns`, here, are bits of an integer: one for each expression that is searched for, and one for the failregexes
    that are tried on every line. When more are tried on every line, that is another bit.
    """

    def __init__(self, filters: Sequence[Filter], problems: Problems | None = None) -> None:
        """`problems` is where it is reported that a search loses lines."""
        self._problem = (problems or Problems()).problem("prefilter", critical=False)
        self._failregexes = [
            FailregexId(i, j) for i, one in enumerate(filters) for j in range(len(one.failregex))
        ]
        self._rules = list(_weakened(filters))
        self._search, meanings = _database(self._rules)
        self._searched, self._meanings = tuple(meanings), list(meanings.values())
        # The bit of each expression that needs a word beside it, and what finds one; and all these bits.
        self._besides = [
            (1 << place, re.compile(b"|".join(map(re.escape, sorted(each.beside)))))
            for place, each in enumerate(self._searched)
            if each.beside
        ]
        self._with_beside = sum(bit for bit, _ in self._besides)
        searched = {number for numbers in self._meanings for number in numbers}
        self._unsearched = [number for number in range(len(self._rules)) if number not in searched]
        self._every_line = len(self._meanings)
        self._lock = threading.Lock()
        distrusted = [number for number in self._unsearched if _is_distrusted(self._rules[number])]
        for number in self._unsearched:
            rule = self._rules[number].rule
            if number not in distrusted:
                log.warning("%s:%d: slow, as every line has to be tried: %s", rule.file, rule.line, rule.text)
        self._report(distrusted)

    @property
    def expressions(self) -> tuple[bytes, ...]:
        """What is searched for; the place of an expression is the number of its bit."""
        return tuple(each.expression for each in self._searched)

    def failregexes(self, patterns: int) -> list[FailregexId]:
        """Return the failregexes that may match a line in which these patterns were found, in their filters' order."""
        numbers = {n for i, meaning in enumerate(self._meanings) if patterns >> i & 1 for n in meaning}
        return [self._failregexes[number] for number in sorted(numbers.union(self._unsearched))]

    def candidates(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield the lines that may match, in order, without their newline, each with the patterns found in it."""
        start, end, patterns, beyond = 0, -1, 0, 0
        with_beside = self._with_beside
        for match in self.matches(data):
            if match >= beyond:
                if end >= 0:
                    line = data[start:end]
                    if patterns & with_beside:
                        patterns = self.confirmed(line, patterns)
                    if patterns:
                        yield line, patterns
                last_byte = (match >> ID_BITS) - 1
                start, end, patterns = data.rfind(b"\n", 0, last_byte) + 1, data.find(b"\n", last_byte), 0
                if end < 0:
                    end = len(data)
                # An expression may take the newline, too.
                beyond = end + 2 << ID_BITS
            patterns |= 1 << (match & ID_MASK)
        if end >= 0:
            line = data[start:end]
            if patterns := self.confirmed(line, patterns):
                yield line, patterns

    def confirmed(self, line: bytes, patterns: int) -> int:
        """Return the patterns that were found in the line without those that miss the word beside them."""
        for bit, words in self._besides:
            if patterns & bit and not words.search(line):
                patterns ^= bit
        return patterns

    def scan(self, data: bytes, on_match: OnMatch) -> None:
        """Search the data and do nothing else: what a search takes at least."""
        if self._search is not None:
            self._search.scan(data, on_match)

    def matches(self, data: bytes) -> list[int]:
        """Return where which pattern was found, in order: `end offset << ID_BITS | its bit's number`."""
        matches = [] if self._search is None else self._search.matches(data)
        if self._unsearched:
            every_line = self._every_line
            matches += [end << ID_BITS | every_line for end in _line_ends(data)]
            matches.sort()
        return matches

    def distrust(self, failregexes: Iterable[FailregexId]) -> None:
        """Try these failregexes on every line from now on, as the search lost a line that they match."""
        with self._lock:
            numbers = [self._failregexes.index(failregex) for failregex in failregexes]
            _distrusted.update(searched for number in numbers for searched in self._rules[number].weakened)
            distrusted = [number for number, rule in enumerate(self._rules) if _is_distrusted(rule)]
            self._unsearched = sorted({*self._unsearched, *distrusted})
            # What is remembered of the patterns in a line is not true any more.
            self._every_line += 1
            self._report(distrusted)

    def _report(self, distrusted: Sequence[int]) -> None:
        """Report the failregexes that are not searched for because a search loses lines."""
        if not distrusted:
            self._problem.clear()
            return
        # It loads the reader of packages' metadata, and this hardly ever happens.
        from importlib.metadata import version  # noqa: PLC0415

        rule = self._rules[distrusted[0]].rule
        self._problem.set(
            f"on this processor the search for lines (hyperscan {version('hyperscan')}) loses lines that"
            f" {len(distrusted)} failregexes match, such as {rule.file}:{rule.line}: {printable(rule.text, 200)}."
            " These are tried on every line instead, which finds all but is slow."
            " Please report it with the processor's model, and try another version of the package hyperscan"
        )


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
            weakened = () if windowed else prefilter.weakened(rule.regex, cuts, whole_line=whole_line)
            yield Expressions(rule, tuple(map(Searched, weakened)))


def _database(rules: Sequence[Expressions]) -> tuple[Search | None, dict[Searched, list[int]]]:
    """Return a search for all rules that it finds reliably, and the rules that each part of it stands for.

    Vectorscan refuses expressions that are too large, or that would match nothing at all.
    """
    numbers: Sequence[int] = range(len(rules))
    for _ in range(MAX_ROUNDS):
        numbers = [number for number in numbers if not _is_distrusted(rules[number])]
        meanings = _meanings(rules, numbers)
        search, lost = _checked(tuple(meanings))
        if search is None:
            accepted = {searched for searched in meanings if _compiled((searched,))}
            numbers = [number for number in numbers if accepted.issuperset(rules[number].weakened)]
            meanings = _meanings(rules, numbers)
            search, lost = _checked(tuple(meanings))
        if not lost:
            # Each may be small enough, and all together too large.
            return search, meanings if search is not None else {}
        _distrusted.update(lost)
    return None, {}


def _meanings(rules: Sequence[Expressions], numbers: Iterable[int]) -> dict[Searched, list[int]]:
    """Return what is searched for with the numbers of the rules that it stands for; rules may share one."""
    meanings: dict[Searched, list[int]] = {}
    for number in numbers:
        for searched in rules[number].weakened:
            meanings.setdefault(searched, []).append(number)
    return meanings


@lru_cache(maxsize=MAX_SEARCHES)
def _checked(searched: tuple[Searched, ...]) -> tuple[Search | None, frozenset[Searched]]:
    """Return a search for these, and those of them that it loses; None if Vectorscan refuses, or there are none.

    What it loses depends on the library and the processor, so within a process one check is enough.
    """
    search = _compiled(searched)
    lost = search_check.lost(search, [each.expression for each in searched]) if search is not None else ()
    return search, frozenset(searched[place] for place in lost)


def _compiled(searched: Sequence[Searched]) -> Search | None:
    if not searched:
        return None
    try:
        return Search([each.expression for each in searched])
    except RefusedError:
        return None


def _is_distrusted(rule: Expressions) -> bool:
    return not _distrusted.isdisjoint(rule.weakened)


def _line_ends(data: bytes) -> Iterator[int]:
    """Yield the offset behind each line's last byte, newlines left out; empty lines have none."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        if end > at:
            yield end
        at = end + 1
