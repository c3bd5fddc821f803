"""Batches in, hits out.

A batch goes through Hyperscan once, for all filters of all jails (`database.py`). That finds the lines that may match,
and for each line which failregexes may. Only those lines are cut out, decoded, freed of their date (`date_cutter.py`)
and decided by Python's `re`, by the same code that `explain()` runs on one line (`verdict.py`).

Around that decision stand the verdicts that are remembered (`decider.py`), the sessions that need earlier lines
(`sessions.py`), the sandbox for expressions that are prone to ReDoS (`redos_sandbox.py`) and each filter's CPU budget
(`cpu_budget.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import tzinfo
from typing import Final, NamedTuple

from sidecar.access.logs import AccessLogs
from sidecar.access.sample import LogSample
from sidecar.core.events import Batch, Framing, Hit, Written
from sidecar.filters.attempts import Attempts
from sidecar.filters.cpu_budget import SLOW_LINE_S, CpuBudget, Stopwatch
from sidecar.filters.database import PatternDatabase
from sidecar.filters.date_cutter import DateCutter
from sidecar.filters.decider import Outcome
from sidecar.filters.filter_runner import FilterRunner
from sidecar.filters.framing import Unwrap, unwrapper
from sidecar.filters.known_requests import KnownLogs
from sidecar.filters.line_explainer import LineExplanation, explain_line
from sidecar.filters.line_text import decoded, evidence
from sidecar.filters.loader import Filter
from sidecar.filters.log_times import UNDATED, LogClocks, dated
from sidecar.filters.redos import redos_prone
from sidecar.filters.redos_sandbox import GuardedFilter, RegexSandbox
from sidecar.filters.request_decider import RequestDecider
from sidecar.filters.search_audit import AuditedFilter, SearchAudit
from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problems

# How often this thread's processor time is read.
_CPU_SAMPLE_S: Final = SLOW_LINE_S / 4


class NamedHits(NamedTuple):
    """A host name that failed (`usedns`), and the hits for each address it stands for; they have no address yet."""

    name: str
    hits: list[Hit]


class Scan(NamedTuple):
    """What a batch has: hits in the order of its lines, and hits of names that have to be looked up."""

    hits: list[Hit]
    named: list[NamedHits]


class Matcher:
    """All jails' filters as one. Any thread may scan, each log in one thread at a time.

    Jails that share a Filter object are decided once. `invalid` counts failures that name no valid address, and no
    name to look up.
    """

    def __init__(
        self,
        filters: Mapping[str, Filter],
        zone: tzinfo | None = None,
        problems: Problems | None = None,
        clock: Clock = time.perf_counter,
        access_logs: AccessLogs | None = None,
    ) -> None:
        """`filters` is jail name -> filter.

        Dates without a zone are in that of the filter, else in `zone` (None: the system's). `access_logs` knows the
        formats of logs for filters on requests; it outlives the matcher.
        """
        self.invalid = 0
        problems = problems or Problems()
        distinct = list(dict.fromkeys(filters.values()))
        self.database = PatternDatabase(distinct, problems)
        self._numbers = {jail: distinct.index(one) for jail, one in filters.items()}
        self._zone, self._stopwatch = zone, Stopwatch(clock)
        self._log_clocks = LogClocks(problems)
        self._access_logs = access_logs or AccessLogs(zone=zone)
        self._attempts: dict[tuple[str, ...], Attempts] = {}
        self._known = KnownLogs()
        safe_lengths = [
            min((redos.safe_length for _, redos in redos_prone(one)), default=None) for one in distinct
        ]
        self._sandbox = RegexSandbox(
            {i: one for i, one in enumerate(distinct) if safe_lengths[i] is not None}
        )
        cutters: dict[object, DateCutter] = {}
        self._runners = [
            FilterRunner(
                one,
                GuardedFilter(one, i, self._sandbox, safe_lengths[i]),
                cutters.setdefault((one.dates.templates, one.zone), DateCutter(one.dates, one.zone or zone)),
                CpuBudget(one.name, problems),
                self._stopwatch,
            )
            for i, one in enumerate(distinct)
        ]

        self._audit = SearchAudit(
            self.database,
            [
                AuditedFilter(runner.filter, runner.cutter, safe)
                for runner, safe in zip(self._runners, safe_lengths, strict=True)
            ],
        )

    @property
    def lost_lines(self) -> int:
        """How many lines that match a filter the search for lines was found to have lost."""
        return self._audit.lost

    @property
    def usage(self) -> dict[str, tuple[float, int]]:
        """By filter: seconds that lines were decided for, and how many lines were failures."""
        totals: dict[str, tuple[float, int]] = {}
        for runner in self._runners:
            seconds, matches = totals.get(runner.filter.name, (0.0, 0))
            budget = runner.budget
            totals[runner.filter.name] = seconds + budget.seconds, matches + budget.matches
        return totals

    @property
    def misses(self) -> dict[str, int]:
        """By jail: lines that looked like a failure of its filter, where none was one so far."""
        return {
            jail: budget.misses
            for jail, number in self._numbers.items()
            if not (budget := self._runners[number].budget).matches
        }

    @property
    def sandbox_pid(self) -> int | None:
        """The process that tries risky lines; None while there is none."""
        return self._sandbox.pid

    def close(self) -> None:
        """End the sandbox and all suspensions. No thread may scan after this."""
        self._sandbox.close()
        for runner in self._runners:
            runner.budget.lift()

    def explain(self, jail: str, line: str, now: float) -> LineExplanation | None:
        """Return which expression of the jail's filter a line of evidence matches; None: none, or a slow one."""
        runner = self._runners[self._numbers[jail]] if jail in self._numbers else None
        # Outside of the sandbox nothing would end a slow one.
        if runner is None or runner.is_risky:
            return None
        return explain_line(runner.filter, line, now, self._zone)

    def continue_from(self, before: Matcher) -> None:
        """Take over what the matcher before knows of logs, and of sessions for each filter that is the same."""
        self._log_clocks.continue_from(before._log_clocks)
        for runner in self._runners:
            for other in before._runners:
                if runner.trackers and other.trackers and runner.filter.same_as(other.filter):
                    runner.trackers.continue_from(other.trackers)

    def scan(self, batch: Batch, now: float) -> Scan:  # noqa: C901, PLR0912, PLR0915  the hot path
        """Return the batch's hits, in the order of its lines and, within a line, of `batch.origin.jails`.

        A hit's time is the transport's if the line has one, else the one in the line, else `now` (unix seconds). Lines
        that were written before the log was followed are hits only if they have a time of their own.
        """
        # This is one long function because it is the hot path: the loop runs for each line that may be a failure, and
        # each call in it costs about one percent of its time.
        origin, framing = batch.origin, batch.framing
        hits: list[Hit] = []
        scan = Scan(hits, [])
        attempts = self._attempts_in(origin.jails)
        if attempts is None:
            return scan
        undated, zone, is_detected = now, attempts.zone, False
        # A transport's timestamp is in UTC, and is the time of the line.
        if framing is Framing.NONE:
            undated, zone, is_detected = self._log_clocks.times(batch, now, zone, attempts.dates)
        elif batch.written is Written.EARLIER:
            undated = UNDATED
        unwrap, syslog, is_bare = unwrapper(framing), framing is Framing.SYSLOG, framing is Framing.NONE
        stopwatch, clock = self._stopwatch, self._stopwatch.clock
        sampled = clock()
        stopwatch.restart()
        reader = self._access_logs.of(origin)
        reader.log.zone = zone
        if attempts.read_requests and now >= reader.sample.due:
            _sample(batch.data, reader.sample, unwrap, now, zone)
        decide = RequestDecider(reader, origin, clock, self._known, hits).decide
        for line, patterns in self.database.candidates(batch.data):
            whole = decoded(line)
            at, text = (None, whole) if is_bare else unwrap(whole, now, zone)
            on_lines, on_requests = attempts[patterns]
            if on_requests:
                decide(on_requests, line, text, at, undated)
            if not on_lines:
                continue
            # A syslog header's date is the line's only one, and is cut off already.
            dated_header = syslog and text is not whole
            cutter: DateCutter | None = None
            seen, when = text, undated if at is None else at
            outcomes: dict[FilterRunner, Outcome | None] = {}
            for runner, failregexes, jails, same_as in on_lines:
                began = clock()
                if began - sampled > _CPU_SAMPLE_S:
                    sampled = began
                    stopwatch.restart()
                if runner.cutter is not cutter and not dated_header:
                    cutter = runner.cutter
                    reads = cutter.in_zone(zone) if is_detected and zone else cutter
                    seen, date = reads.cut(text, now)
                    when = at if at is not None else undated if date is None else date
                outcome = runner.run(seen, failregexes, same_as, outcomes, began, when, origin)
                if outcome is None:
                    continue
                address, target, name, success = outcome
                shown = evidence(line, text)
                if address:
                    for jail in jails:
                        # A loop, because a list for each line costs more.
                        hits.append(Hit(jail, address, when, origin, shown, target, success))  # noqa: PERF401
                elif name:
                    named = [Hit(jail, address, when, origin, shown, target, success) for jail in jails]
                    scan.named.append(NamedHits(name, named))
                else:
                    self.invalid += 1
        if hits or scan.named:
            reader.sample.has_matched = True
        return self._dated(batch, scan, now) if batch.written is Written.EARLIER else scan

    def audit(self, batch: Batch, now: float) -> None:
        """Check some lines of a batch that was scanned, in the thread that scanned it; see `search_audit.py`."""
        if self._attempts_in(batch.origin.jails) is not None:
            self._audit.check(batch, self._access_logs.of(batch.origin), now)

    def _dated(self, batch: Batch, scan: Scan, now: float) -> Scan:
        """Return the hits with a time of their own."""
        hits = dated(scan.hits, now)
        named = [NamedHits(name, kept) for name, each in scan.named if (kept := dated(each, now))]
        if (len(hits), len(named)) != (len(scan.hits), len(scan.named)):
            self._log_clocks.report_undated(batch.origin)
        return Scan(hits, named)

    def _attempts_in(self, jails: tuple[str, ...]) -> Attempts | None:
        """Return what to try in logs that these jails look at; None if none of them has a filter here."""
        attempts = self._attempts.get(jails)
        if attempts is None:
            users: dict[int, list[str]] = {}
            for jail in jails:
                if jail in self._numbers:
                    users.setdefault(self._numbers[jail], []).append(jail)
            if not users:
                return None
            attempts = self._attempts[jails] = Attempts(self.database, self._runners, users, self._zone)
        return attempts


def _sample(data: bytes, sample: LogSample, unwrap: Unwrap, now: float, zone: tzinfo | None) -> None:
    """Take lines of a batch into the sample of its log."""
    if sample.wanted == 1:
        middle = data.rfind(b"\n", 0, len(data) // 2) + 1
        lines = [data[middle : data.find(b"\n", middle) + 1 or len(data)].rstrip(b"\n")]
    else:
        lines = data.split(b"\n")[:-1][-sample.wanted :]
    sample.add([unwrap(decoded(line), now, zone)[1] for line in lines], now)
