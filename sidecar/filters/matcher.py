"""Batches in, hits out: one Hyperscan pass over a whole batch for all jails, then Python's `re` decides.

The pass finds lines that may match, and which failregexes may; only those lines are cut out, decoded, freed of their
date and decided, by the same code that `explain()` runs on one line. Nothing is done for the lines in between.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final

import hyperscan

from sidecar.core import who
from sidecar.core.events import Batch, Framing, Hit, Origin, Who
from sidecar.filters import prefilter
from sidecar.filters.budget import BUDGET, REST, SLOW, Meter
from sidecar.filters.canary import PATIENCE, Canary
from sidecar.filters.following import Following
from sidecar.filters.framing import opener
from sidecar.filters.loader import WHO, Filter, Rule
from sidecar.filters.stalls import stalls
from sidecar.filters.verdict import Decide, Failure, Verdict, decide, explain, failed, parted

__all__ = ["Matcher", "Verdict", "explain"]

log = logging.getLogger(__name__)

MAX_LINE: Final = 64 * 1024  # bytes; Apache and nginx refuse requests with more than 8 KiB a header line
EVIDENCE: Final = 1_024  # characters of a line that go with a hit
CUT_MARK: Final = "…"  # stands where a line was cut, so that no `$` takes the cut for the line's end
_FLAGS: Final = hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_PREFILTER
MOST_KNOWN: Final = 4_096  # sets of patterns whose failregexes are kept in mind
MOST_DECIDED: Final = 1_024  # lines per filter whose verdict is kept in mind: at most a few MB
NOBODY: Final = Who("")  # a failure that names no valid address
Found = tuple[
    Who, str, str
]  # whose failure a line is, what it was aimed at, and the name to look up if it is NOBODY's
Named = tuple[str, list[Hit]]  # a name, and the hits that are those of whom it stands for
_ID_BITS: Final = 16
_ID: Final = (1 << _ID_BITS) - 1


class StalledError(Exception):
    """A line that would have stalled an expression; it is not decided."""


class Matcher:
    """All jails' filters as one. Any thread may scan: each has its own scratch space.

    `rules` is jail name -> filter; jails that share a Filter object are decided once. `zone` is where dates without a
    zone are from (None: the system's). What was not a hit though a failregex matched is counted in `invalid` (no valid
    address); `cut` counts lines over MAX_LINE, of which only the beginning is looked at.
    """

    def __init__(
        self,
        rules: Mapping[str, Filter],
        zone: tzinfo | None = None,
        trouble: Callable[[str, str | None], None] = lambda *_: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`trouble(name, sentence)` is told of a filter that is laid aside, and with None that it is tried again."""
        self.invalid = 0
        self.cut = 0
        self._zone, self._trouble, self._clock = zone, trouble, clock
        self._filters = list(dict.fromkeys(rules.values()))
        self._filter_of = {jail: self._filters.index(one) for jail, one in rules.items()}
        self._rules = [(i, j) for i, one in enumerate(self._filters) for j in range(len(one.failregex))]
        self._plans: dict[tuple[str, ...], dict[int, list[str]]] = {}
        self._database, self._standing_for, self._unfiltered = _database(list(_weakened(self._filters)))
        self._worth: dict[tuple[int, tuple[str, ...]], list[tuple[int, list[int]]]] = {}
        self._decided: list[dict[str, Found | None]] = [{} for _ in self._filters]
        self._remembering = {index for index, one in enumerate(self._filters) if one.remembers}
        self._memories: dict[tuple[Origin, int], Following] = {}
        self._meters = [Meter() for _ in self._filters]
        self._safe = [min((stall.safe for _, stall in stalls(one)), default=None) for one in self._filters]
        risky = {i: one for i, one in enumerate(self._filters) if self._safe[i] is not None}
        self._canary = Canary(risky)
        self._deciders = [self._decider(index) for index in range(len(self._filters))]
        self._own = threading.local()

    @property
    def spent(self) -> dict[str, tuple[float, int]]:
        """By filter: seconds that lines were decided for, and how many lines were failures."""
        totals: dict[str, tuple[float, int]] = {}
        for one, meter in zip(self._filters, self._meters, strict=True):
            seconds, matches = totals.get(one.name, (0.0, 0))
            totals[one.name] = seconds + meter.seconds, matches + meter.matches
        return totals

    def close(self) -> None:
        self._canary.close()

    def scan(self, batch: Batch, now: float, named: list[Named] | None = None) -> list[Hit]:
        """The hits of a batch, in the order of its lines and, within a line, of `batch.origin.jails`.

        A hit's time is the transport's where the line has one, else the one in the line, else `now` (unix seconds).
        Failures of names (`usedns`) go to `named`, as hits of nobody yet; without it they are invalid.
        """
        origin, framing = batch.origin, batch.framing
        plan = self._plan(origin.jails)
        hits: list[Hit] = []
        if not plan:
            return hits
        opened = opener(framing)
        self._own.cpu = time.thread_time()
        for line, patterns in self.candidates(batch.data):
            whole = _text(line)
            at, text = opened(whole, now, self._zone)
            headed = framing is Framing.SYSLOG and text is not whole
            for index, wanted in self._wanted(patterns, origin.jails):
                seen = self._seen(index, wanted, text, at, now=now, origin=origin, headed=headed)
                if seen is None:
                    continue
                (whose, target, name), when = seen
                shown = evidence(text)
                made = [Hit(jail, whose, when, origin, shown, target) for jail in plan[index]]
                if whose:
                    hits += made
                elif name and named is not None:
                    named.append((name, made))
                else:
                    self.invalid += 1
        return hits

    def _seen(
        self,
        index: int,
        wanted: Sequence[int],
        text: str,
        at: float | None,
        *,
        now: float,
        origin: Origin,
        headed: bool,
    ) -> tuple[Found, float] | None:
        """What one filter makes of a line, and when that was; how long it took is measured."""
        meter, began = self._meters[index], self._clock()
        if meter.until and self._resting(index, began):
            return None
        one = self._filters[index]
        seen, date = (text, None) if headed else parted(one, text)
        when = at if at is not None or date is None else one.dates.seconds(date, now, self._zone)
        when = now if when is None else when
        stalled, found = 0.0, None
        try:
            if index in self._remembering:
                found = _found(one, self._memory(origin, index).decide(seen, when))
            else:
                found = self._known_or_decided(index, seen, wanted)
        except StalledError:
            stalled = PATIENCE
        spent = self._clock() - began
        meter.seconds += spent
        if stalled or spent > SLOW:
            self._slowed(index, spent, stalled, began)
        if found is None:
            return None
        meter.matches += 1
        return found, when

    def _resting(self, index: int, at: float) -> bool:
        meter = self._meters[index]
        if at < meter.until:
            return True
        meter.until = 0.0
        self._trouble(f"filter {self._filters[index].name}", None)
        log.warning("filter %s is tried again", self._filters[index].name)
        return False

    def _slowed(self, index: int, spent: float, stalled: float, at: float) -> None:
        """A line took long by the clock on the wall, in which other threads may have had the processor."""
        cpu, before = time.thread_time(), self._own.cpu
        self._own.cpu = cpu
        seconds = stalled or min(spent, cpu - before)
        if seconds <= SLOW or not self._meters[index].slowed(seconds, at):
            return
        name = self._filters[index].name
        sentence = (
            f"filter {name} took more than {BUDGET:.0f} s of a minute for single lines and is laid aside for"
            f" {REST / 60:.0f} minutes: its jails see nothing until then."
            " Mend its slow expressions; check-config names them"
        )
        log.error("%s", sentence)
        self._trouble(f"filter {name}", sentence)

    def _known_or_decided(self, index: int, seen: str, wanted: Sequence[int]) -> Found | None:
        """Whose failure this text is. A guesser's lines differ in their date alone, so what was decided is kept."""
        known = self._decided[index]
        try:
            return known[seen]
        except KeyError:
            found = self._deciders[index](seen, wanted)
            if len(seen) <= EVIDENCE:
                if len(known) >= MOST_DECIDED:
                    known.clear()
                known[seen] = found
            return found

    def _decider(self, index: int) -> Callable[[str, Sequence[int]], Found | None]:
        """What decides a text by these failregexes, as `decide()` does; for a plain filter without its detours."""
        one = self._filters[index]
        plain = not one.prefregex and not one.ignoreregex and self._safe[index] is None
        if not plain or any("nofail" in rule.regex.groupindex for rule in one.failregex):
            decide = self._guarded(index)
            return lambda text, wanted: _found(one, failed(one, text, wanted, decide))
        plans = [
            (
                rule.regex.search,
                [name for name in WHO if name in rule.regex.groupindex],
                "target" in rule.regex.groupindex,
            )
            for rule in one.failregex
        ]

        def quickly(text: str, wanted: Sequence[int]) -> Found | None:
            text += "\n"
            for rule in wanted:
                search, names, targeted = plans[rule]
                if not (match := search(text)):
                    continue
                address = next(filter(None, map(match.group, names)), "")
                if whose := who.who(address):
                    return whose, (match["target"] or "") if targeted else "", ""
                return _found(one, Failure(rule, match))
            return None

        return quickly

    def _guarded(self, index: int) -> Decide:
        """`decide()`, for texts that may stall one of the expressions only after the canary. Raises StalledError."""
        safe = self._safe[index]
        if safe is None:
            return decide

        def guarded(rules: Filter, text: str, candidates: Sequence[int] | None = None) -> Failure | None:
            if len(text) > safe and not self._canary.survives(index, text, candidates):
                raise StalledError
            return decide(rules, text, candidates)

        return guarded

    def _memory(self, origin: Origin, index: int) -> Following:
        memory = self._memories.get((origin, index))
        if memory is None:
            while len(self._memories) >= MOST_KNOWN:  # origins come and go: the oldest are forgotten first
                self._memories.pop(next(iter(self._memories)), None)
            memory = self._memories[origin, index] = Following(self._filters[index], self._guarded(index))
        return memory

    def _wanted(self, patterns: int, jails: tuple[str, ...]) -> list[tuple[int, list[int]]]:
        """For these jails, after these patterns (bits) were found: filters, and which failregexes to try, in order."""
        known = self._worth.get((patterns, jails))
        if known is None:
            found = {
                number
                for i, numbers in enumerate(self._standing_for)
                if patterns >> i & 1
                for number in numbers
            }
            rules: dict[int, list[int]] = {index: [] for index in self._plan(jails)}
            for number in sorted(found.union(self._unfiltered)):
                index, rule = self._rules[number]
                if index in rules:
                    rules[index].append(rule)
            known = [(index, wanted) for index, wanted in rules.items() if wanted]
            if len(self._worth) < MOST_KNOWN:
                self._worth[patterns, jails] = known
        return known

    def _plan(self, jails: tuple[str, ...]) -> dict[int, list[str]]:
        """Filter -> the jails that this origin's lines are looked at for, of those that use it."""
        plan = self._plans.get(jails)
        if plan is None:
            plan = {}
            for jail in jails:
                if jail in self._filter_of:
                    plan.setdefault(self._filter_of[jail], []).append(jail)
            self._plans[jails] = plan
        return plan

    def candidates(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        """The lines that may match, in order, each with the patterns that were found in it, as bits."""
        start, end, patterns = 0, -1, 0
        for report in self._reports(data):
            last = (report >> _ID_BITS) - 1  # the last byte that was matched
            if last >= end:
                if end >= 0:
                    yield data[start:end], patterns
                start, end, patterns = data.rfind(b"\n", 0, last) + 1, data.find(b"\n", last), 0
                if end < 0:
                    end = len(data)
            patterns |= 1 << (report & _ID)
        if end >= 0:
            yield data[start:end], patterns

    def _reports(self, data: bytes) -> list[int]:
        """Where which failregex may have matched: `end offset << _ID_BITS | number`, in order."""
        self.cut += sum(1 for _ in _too_long(data))
        reports: list[int] = []
        if self._database is not None:
            found = reports.append

            def report(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
                found(end << _ID_BITS | number)

            self._database.scan(data, match_event_handler=report, scratch=self._scratch())
        if self._unfiltered:
            reports += [end << _ID_BITS | len(self._standing_for) for end in _line_ends(data)]
        reports.sort()
        return reports

    def _scratch(self) -> Any:  # noqa: ANN401  # hyperscan carries no types
        scratch = getattr(self._own, "scratch", None)
        if scratch is None:
            scratch = self._own.scratch = hyperscan.Scratch(self._database)
        return scratch


def _found(rules: Filter, failure: Failure | None) -> Found | None:
    """Whom a failure counts against, and for what; NOBODY if what stands there is no address."""
    if failure is None:
        return None
    address = failure.address
    whose = who.who(address)
    if whose:
        return whose, failure.target, ""
    return NOBODY, failure.target, address if rules.resolves else ""


def _text(line: bytes) -> str:
    if len(line) > MAX_LINE:
        return line[:MAX_LINE].decode(errors="replace") + CUT_MARK
    return line.decode(errors="replace").rstrip("\r")


def evidence(text: str) -> str:
    """A line as it may be shown to people: cut, and free of what a terminal or a log would act on."""
    text = text.strip()[:EVIDENCE]
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else _escaped(c) for c in text)[:EVIDENCE]
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _line_ends(data: bytes) -> Iterator[int]:
    """The offset of each line's last byte, plus one, its newline left out; empty lines have none."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        if end > at:
            yield end
        at = end + 1


def _too_long(data: bytes) -> Iterator[int]:
    """Where lines over MAX_LINE begin, found in strides, not line by line."""
    at = 0
    while len(data) - at > MAX_LINE:
        newline = data.rfind(b"\n", at, at + MAX_LINE + 1)
        if newline >= 0:
            at = newline + 1
            continue
        yield at
        newline = data.find(b"\n", at)
        if newline < 0:
            return
        at = newline + 1


def _weakened(filters: Sequence[Filter]) -> Iterator[tuple[Rule, bytes | None]]:
    for one in filters:
        cuts = prefilter.cuts(one.dates)
        for rule in one.failregex:
            each = one.maxlines > 1  # then a line counts for what those before it were
            yield rule, None if each else prefilter.weakened(rule.regex, cuts, whole=one.prefregex is None)


def _database(rules: Sequence[tuple[Rule, bytes | None]]) -> tuple[Any, list[list[int]], list[int]]:
    """One database for all; what each of its patterns stands for; and those that `re` has to try on every line.

    Hyperscan refuses what is too large, or would match nothing at all.
    """
    standing_for: dict[bytes, list[int]] = {}
    for number, (_, weak) in enumerate(rules):
        if weak is not None:
            standing_for.setdefault(weak, []).append(number)
    database = _compiled(standing_for)
    if database is None:
        standing_for = {weak: numbers for weak, numbers in standing_for.items() if _compiled([weak])}
        database = _compiled(standing_for)
        if database is None:  # each is small enough, all together are not
            standing_for = {}
    taken = {number for numbers in standing_for.values() for number in numbers}
    refused = [number for number in range(len(rules)) if number not in taken]
    for number in refused:
        rule = rules[number][0]
        log.warning("%s:%d: slow, as every line has to be tried: %s", rule.file, rule.line, rule.text)
    return database, list(standing_for.values()), refused


def _compiled(expressions: Collection[bytes]) -> Any:  # noqa: ANN401  # hyperscan carries no types
    """A database of these, numbered in order; None if Hyperscan refuses, or there are none."""
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
