"""Batches in, hits out: one Hyperscan pass over a whole batch for all jails, then Python's `re` decides.

The pass finds lines that may match, and which failregexes may; only those lines are cut out, decoded, freed of their
date and decided, by the same code that `explain()` runs on one line. Nothing is done for the lines in between.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final, NamedTuple, Protocol

import hyperscan

from sidecar.core.address import Address, parse_address
from sidecar.core.events import Batch, Framing, Hit, Origin
from sidecar.filters import prefilter
from sidecar.filters.cpu_budget import BUDGET, REST, SLOW, Meter
from sidecar.filters.date_cutter import Cutter
from sidecar.filters.framing import unwrapper
from sidecar.filters.loader import WHO, Filter, Rule, equivalent
from sidecar.filters.redos import redos_prone
from sidecar.filters.redos_sandbox import MATCH_TIMEOUT_S, RegexSandbox
from sidecar.filters.sessions import SessionTracker
from sidecar.filters.verdict import Decide, Failure, Verdict, decide, explain, failed

__all__ = ["Matcher", "Verdict", "explain"]

log = logging.getLogger(__name__)

MAX_LINE_BYTES: Final = (
    64 * 1024
)  # bytes; Apache and nginx refuse requests with more than 8 KiB a header line
MAX_EVIDENCE_CHARS: Final = 1_024  # characters of a line that go with a hit
CUT_MARK: Final = "…"  # stands where a line was cut, so that no `$` takes the cut for the line's end
_FLAGS: Final = hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_PREFILTER
SAMPLE: Final = SLOW / 4  # seconds between looks at how much of the processor we had
MOST_KNOWN: Final = 4_096  # sets of patterns whose failregexes are kept in mind
MOST_DECIDED: Final = 1_024  # lines per filter whose verdict is kept in mind: at most a few MB
NOBODY: Final = Address("")  # a failure that names no valid address
# Whose failure a line is, what it was aimed at, the name to look up if it is NOBODY's, was it a login that worked?
Found = tuple[Address, str, str, bool]
# How to search; the numbers of the groups that say who and (0: none does) what was aimed at; is it a successregex?
Plan = tuple[Callable[[str], re.Match[str] | None], list[int], int, bool]
Named = tuple[str, list[Hit]]  # a name, and the hits that are those of whom it stands for
UNKNOWN: Final[Found] = (NOBODY, "", "not decided yet", False)
# Bytes as people may see them; what they should not becomes a blank, so that a line with such a byte changes.
_SHOWN: Final = bytes(code if 32 <= code < 127 else 32 for code in range(256))
Remembering = tuple[tuple[str, str, str], int]  # of an origin: source, name, stream; and a filter's number
_ID_BITS: Final = 16
_ID: Final = (1 << _ID_BITS) - 1


class Look(NamedTuple):
    """What one filter tries on a line, and for whom."""

    number: int  # which filter
    rules: list[int]  # its failregexes that may match, in order
    jails: list[str]
    cutter: Cutter
    like: int = -1  # the filter that says the same of every line (-1: none does)


class FilterProblems(Protocol):
    """Where a filter that is suspended is reported, and with None that it is tried again."""

    def report(self, name: str, sentence: str | None, /) -> None: ...


class RegexTimeoutError(Exception):
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
        problems: FilterProblems | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.invalid = 0
        self.cut = 0
        self._zone, self._problems, self._clock = zone, problems, clock
        self._filters = list(dict.fromkeys(rules.values()))
        self._filter_of = {jail: self._filters.index(one) for jail, one in rules.items()}
        self._rules = [(i, j) for i, one in enumerate(self._filters) for j in range(len(one.failregex))]
        self._plans: dict[tuple[str, ...], dict[int, list[str]]] = {}
        self._database, self._standing_for, self._unfiltered = _database(list(_weakened(self._filters)))
        self._known: dict[tuple[str, ...], dict[int, list[Look]]] = {}
        self._decided: list[dict[str, Found | None]] = [{} for _ in self._filters]
        shared: dict[object, Cutter] = {}
        self._cutters = [
            shared.setdefault(one.dates.templates, Cutter(one.dates, zone)) for one in self._filters
        ]
        self._remembering = {index for index, one in enumerate(self._filters) if one.needs_earlier_lines}
        self._memories: dict[Remembering, SessionTracker] = {}
        self._memories_before: dict[Remembering, SessionTracker] = {}  # of the matcher before, by its numbers
        self._numbers_before: dict[int, int] = {}  # a filter's number -> what it was there
        self._meters = [Meter() for _ in self._filters]
        self._safe = [
            min((redos.safe_length for _, redos in redos_prone(one)), default=None) for one in self._filters
        ]
        risky = {i: one for i, one in enumerate(self._filters) if self._safe[i] is not None}
        self._canary = RegexSandbox(risky)
        self._plain = [_plain(one) and self._safe[index] is None for index, one in enumerate(self._filters)]
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
        """End it; nobody scans any more. Whoever was told that a filter is laid aside is told that it is not."""
        self._canary.close()
        self._deciders.clear()  # they hold us, and what was there at the start is nothing that `gc` looks for
        for one, meter in zip(self._filters, self._meters, strict=True):
            if meter.until:
                self._report(one.name, None)

    def inherit(self, before: Matcher) -> None:
        """What lines have told the matcher before is known here too, as far as a filter finds the same."""
        self._numbers_before = {
            number: other
            for number in self._remembering
            for other in before._remembering
            if equivalent({"": self._filters[number]}, {"": before._filters[other]})
        }
        self._memories_before = before._memories if self._numbers_before else {}

    def scan(self, batch: Batch, now: float, named: list[Named] | None = None) -> list[Hit]:
        """The hits of a batch, in the order of its lines and, within a line, of `batch.origin.jails`.

        A hit's time is the transport's where the line has one, else the one in the line, else `now` (unix seconds).
        Failures of names (`usedns`) go to `named`, as hits of nobody yet; without it they are invalid.
        """
        origin, framing = batch.origin, batch.framing
        hits: list[Hit] = []
        if not self._plan(origin.jails):
            return hits
        opened, clock, zone, syslog = unwrapper(framing), self._clock, self._zone, framing is Framing.SYSLOG
        looks = self._known.setdefault(origin.jails, {})
        sampled, self._own.cpu = clock(), time.thread_time()
        for line, patterns in self.candidates(batch.data):
            whole = _text(line)
            at, text = opened(whole, now, zone)
            headed = syslog and text is not whole
            cutter: Cutter | None = None
            seen, when = text, now if at is None else at
            decided: dict[int, Found | None] = {}
            tries = looks.get(patterns)
            for look in self._looks(patterns, origin.jails, looks) if tries is None else tries:
                began = clock()
                if began - sampled > SAMPLE:
                    sampled, self._own.cpu = began, time.thread_time()
                if look.cutter is not cutter and not headed:
                    cutter = look.cutter
                    seen, told = cutter.cut(text, now)
                    when = at if at is not None else now if told is None else told
                found = self._seen(look, seen, began, decided, when=when, origin=origin)
                if found is None:
                    continue
                whose, target, name, success = found
                shown = (
                    text.strip()[:MAX_EVIDENCE_CHARS] if line.translate(_SHOWN) == line else evidence(text)
                )
                if whose:
                    for jail in look.jails:
                        hits.append(Hit(jail, whose, when, origin, shown, target, success))  # noqa: PERF401  a list costs more
                elif name and named is not None:
                    made = [Hit(jail, whose, when, origin, shown, target, success) for jail in look.jails]
                    named.append((name, made))
                else:
                    self.invalid += 1
        return hits

    def _seen(
        self,
        look: Look,
        text: str,
        began: float,
        decided: dict[int, Found | None],
        *,
        when: float,
        origin: Origin,
    ) -> Found | None:
        """What one filter makes of a line, of which others have `decided` before; how long it took is measured."""
        index = look.number
        meter = self._meters[index]
        if meter.until and self._resting(index, began):
            return None
        stalled, found = 0.0, None
        try:
            if look.like in decided:
                found = decided[look.like]
            elif index in self._remembering:
                found = _found(self._filters[index], self._memory(origin, index).decide(text, when))
            else:
                found = self._deciders[index](text, look.rules)
            decided[index] = found
        except RegexTimeoutError:
            stalled = MATCH_TIMEOUT_S
        spent = self._clock() - began
        meter.seconds += spent
        if stalled or spent > SLOW:
            self._slowed(index, spent, stalled, began)
        if found is not None:
            meter.matches += 1
        return found

    def _resting(self, index: int, at: float) -> bool:
        meter = self._meters[index]
        if at < meter.until:
            return True
        meter.until = 0.0
        self._report(self._filters[index].name, None)
        return False

    def _slowed(self, index: int, spent: float, stalled: float, at: float) -> None:
        """A line took long by the clock on the wall, in which other threads may have had the processor.

        What it can have taken of it is known to SAMPLE. Else each line that had to wait, on a busy machine, would
        pay for those before it, and a sound filter would be laid aside.
        """
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
        self._report(name, sentence)

    def _report(self, name: str, sentence: str | None) -> None:
        if self._problems:
            self._problems.report(f"filter {name}", sentence)

    def _decider(self, index: int) -> Callable[[str, Sequence[int]], Found | None]:
        """What decides a text by these failregexes, as `decide()` does; for a plain filter without its detours.

        A guesser's lines differ in their date alone, so what was decided is kept.
        """
        one, known, decide = self._filters[index], self._decided[index], self._guarded(index)
        plans = [_plan(rule.regex) for rule in one.failregex] if self._plain[index] else []

        def decided(text: str, wanted: Sequence[int]) -> Found | None:
            found = known.get(text, UNKNOWN)
            if found is not UNKNOWN:
                return found
            found = (
                _first(one, plans, text, wanted) if plans else _found(one, failed(one, text, wanted, decide))
            )
            if len(text) <= MAX_EVIDENCE_CHARS:
                if len(known) >= MOST_DECIDED:
                    known.clear()
                known[text] = found
            return found

        return decided

    def _guarded(self, index: int) -> Decide:
        """`decide()`, for texts that may stall one of the expressions only after the canary. Raises StalledError."""
        safe = self._safe[index]
        if safe is None:
            return decide

        def guarded(rules: Filter, text: str, candidates: Sequence[int] | None = None) -> Failure | None:
            if len(text) > safe and not self._canary.finishes_in_time(index, text, candidates):
                raise RegexTimeoutError
            return decide(rules, text, candidates)

        return guarded

    def _memory(self, origin: Origin, index: int) -> SessionTracker:
        key = (origin.source, origin.name, origin.stream), index
        memory = self._memories.get(key)
        if memory is None:
            while len(self._memories) >= MOST_KNOWN:  # origins come and go: the oldest are forgotten first
                self._memories.pop(next(iter(self._memories)), None)
            rules, guarded = self._filters[index], self._guarded(index)
            # whoever scans an origin's lines now has finished those before, so nobody else writes into its memory
            before = self._memories_before.pop((key[0], self._numbers_before.get(index, -1)), None)
            memory = before.under(rules, guarded) if before else SessionTracker(rules, guarded)
            self._memories[key] = memory
        return memory

    def _looks(self, patterns: int, jails: tuple[str, ...], known: dict[int, list[Look]]) -> list[Look]:
        """What to try on a line in which these patterns (bits) were found, filter by filter; it is kept in `known`."""
        found = {
            number for i, numbers in enumerate(self._standing_for) if patterns >> i & 1 for number in numbers
        }
        rules: dict[int, list[int]] = {index: [] for index in self._plan(jails)}
        for number in sorted(found.union(self._unfiltered)):
            index, rule = self._rules[number]
            if index in rules:
                rules[index].append(rule)
        looks: list[Look] = []
        for index, wanted in rules.items():
            if wanted:
                look = Look(index, wanted, self._plan(jails)[index], self._cutters[index])
                like = next((one.number for one in looks if self._alike(one, look)), -1)
                looks.append(look._replace(like=like))
        if len(known) < MOST_KNOWN:
            known[patterns] = looks
        return looks

    def _alike(self, one: Look, other: Look) -> bool:
        """Do these say the same of every line? Options of a filter often leave most of its failregexes as they are."""
        filters = [self._filters[look.number] for look in (one, other)]
        regexes = [
            [rules.failregex[rule].regex for rule in look.rules]
            for rules, look in zip(filters, (one, other), strict=True)
        ]
        return (
            self._plain[one.number]
            and self._plain[other.number]
            and one.cutter is other.cutter
            and filters[0].resolves_names == filters[1].resolves_names
            and regexes[0] == regexes[1]
        )

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
        start, end, patterns, beyond = 0, -1, 0, 0
        for report in self._reports(data):
            if report >= beyond:
                if end >= 0:
                    yield data[start:end], patterns
                last = (report >> _ID_BITS) - 1  # the last byte that was matched
                start, end, patterns = data.rfind(b"\n", 0, last) + 1, data.find(b"\n", last), 0
                if end < 0:
                    end = len(data)
                beyond = end + 1 << _ID_BITS
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


def _plain(rules: Filter) -> bool:
    """Does the first failregex that matches a line decide it, and nothing else?"""
    nofail = any("nofail" in rule.regex.groupindex for rule in rules.failregex)
    return not (nofail or rules.prefregex or rules.ignoreregex or rules.needs_earlier_lines)


def _plan(regex: re.Pattern[str]) -> Plan:
    groups = regex.groupindex
    who_groups = [groups[name] for name in WHO if name in groups]
    return regex.search, who_groups, groups.get("target", 0), "success" in groups


def _first(rules: Filter, plans: Sequence[Plan], text: str, wanted: Iterable[int]) -> Found | None:
    """What the first of a plain filter's failregexes that matches says."""
    text += "\n"
    for rule in wanted:
        search, groups, target, success = plans[rule]
        if match := search(text):
            for group in groups:
                if address := match[group]:
                    if whose := parse_address(address):
                        return whose, (match[target] or "") if target else "", "", success
                    break
            return _found(rules, Failure(rule, match))
    return None


def _found(rules: Filter, failure: Failure | None) -> Found | None:
    """Whom a failure counts against, and for what; NOBODY if what stands there is no address."""
    if failure is None:
        return None
    address = failure.address
    whose = parse_address(address)
    if whose:
        return whose, failure.target, "", failure.success
    return NOBODY, failure.target, address if rules.resolves_names else "", failure.success


def _text(line: bytes) -> str:
    if len(line) > MAX_LINE_BYTES:
        return line[:MAX_LINE_BYTES].decode(errors="replace") + CUT_MARK
    return line.decode(errors="replace").rstrip("\r")


def evidence(text: str) -> str:
    """A line as it may be shown to people: cut, and free of what a terminal or a log would act on."""
    text = text.strip()[:MAX_EVIDENCE_CHARS]
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else _escaped(c) for c in text)[:MAX_EVIDENCE_CHARS]
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
    while len(data) - at > MAX_LINE_BYTES:
        newline = data.rfind(b"\n", at, at + MAX_LINE_BYTES + 1)
        if newline >= 0:
            at = newline + 1
            continue
        yield at
        newline = data.find(b"\n", at)
        if newline < 0:
            return
        at = newline + 1


def _weakened(filters: Sequence[Filter]) -> Iterator[tuple[Rule, tuple[bytes, ...]]]:
    for one in filters:
        cuts = prefilter.cuts(one.dates)
        for rule in one.failregex:
            each = one.maxlines > 1  # then a line counts for what those before it were
            yield rule, () if each else prefilter.weakened(rule.regex, cuts, whole=one.prefregex is None)


def _database(rules: Sequence[tuple[Rule, tuple[bytes, ...]]]) -> tuple[Any, list[list[int]], list[int]]:
    """One database for all; what each of its patterns stands for; and those that `re` has to try on every line.

    Hyperscan refuses what is too large, or would match nothing at all.
    """
    standing_for = _standing_for(rules, range(len(rules)))
    database = _compiled(standing_for)
    if database is None:
        accepted = {weak for weak in standing_for if _compiled([weak])}
        standing_for = _standing_for(
            rules, (number for number, (_, weak) in enumerate(rules) if accepted.issuperset(weak))
        )
        database = _compiled(standing_for)
        if database is None:  # each is small enough, all together are not
            standing_for = {}
    taken = {number for numbers in standing_for.values() for number in numbers}
    refused = [number for number in range(len(rules)) if number not in taken]
    for number in refused:
        rule = rules[number][0]
        log.warning("%s:%d: slow, as every line has to be tried: %s", rule.file, rule.line, rule.text)
    return database, list(standing_for.values()), refused


def _standing_for(
    rules: Sequence[tuple[Rule, tuple[bytes, ...]]], numbers: Iterable[int]
) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for number in numbers:
        for weak in rules[number][1]:
            found.setdefault(weak, []).append(number)
    return found


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
