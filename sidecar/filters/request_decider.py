"""Filters on requests at work: lines of access logs -> hits.

A line that is known (`known_requests.py`) costs a look-up, not a parse and an expression.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.access.reader import Plain, Reading, RequestReader
from sidecar.access.request import MAX_READINGS
from sidecar.core.address import parse_address
from sidecar.core.events import Hit, Origin
from sidecar.filters.attempts import RequestAttempts
from sidecar.filters.decider import Outcome
from sidecar.filters.filter_runner import FilterRunner
from sidecar.filters.known_requests import MAX_KNOWN_CHARS, FailedRequest, KnownLine, KnownLogs, KnownRequest
from sidecar.filters.line_text import PRINTABLE, evidence
from sidecar.runtime.clock import Clock

# A NamedTuple's own constructor takes twice as long.
_new = tuple.__new__


class RequestDecider:
    """Decides the lines of one access log, in the thread that reads it."""

    def __init__(
        self, reader: RequestReader, origin: Origin, clock: Clock, known: KnownLogs, hits: list[Hit]
    ) -> None:
        """What fails is added to `hits`."""
        self._reader, self._origin, self._clock, self._append = reader, origin, clock, hits.append
        self._log, self._plain = reader.log, reader.plain
        self._all_known, self._known = known, known.of(reader)

    def decide(
        self, attempts: RequestAttempts, line: bytes, text: str, at: float | None, undated: float
    ) -> None:
        """Add a hit for each jail in which a line fails, or is a login that worked.

        `text` is the line without its transport's header. A hit's time is the transport's (`at`), the line's own, or
        else `undated`.
        """
        # The hot path: each call takes a fiftieth of all that is done for a failing line.
        if attempts.ignore_address and (plain := self._plain(text)):
            address, own_time, key = plain
            same = self._known.requests.get(key)
            if same is None or same.attempts is not attempts:
                self._decide_plain(attempts, line, text, at, undated, plain=plain)
                return
            for budget in same.budgets:
                if budget.suspended and budget.may_be_suspended(self._origin):
                    # It may find nothing now, or be tried again.
                    self._decide_plain(attempts, line, text, at, undated, plain=plain)
                    return
                budget.matches += 1
            log = self._log
            log.read += 1
            log.understood += 1
            when = own_time if at is None else at
            # A plain line begins with a digit and ends with a quote, and is short.
            shown = text if line.translate(PRINTABLE) == line else evidence(line, text)
            for jail, target, success in same.hits:
                self._append(_new(Hit, (jail, address, when, self._origin, shown, target, success, "")))
            return
        self._decide_any(attempts, line, text, at, undated)

    def _decide_any(
        self, attempts: RequestAttempts, line: bytes, text: str, at: float | None, undated: float
    ) -> None:
        """Do what `decide` does, for a line that is not plain."""
        # A date in brackets right before the first quote, as in `combined` and most formats that are like it. Other
        # formats may have something else there, such as the client: then nothing is remembered.
        quote = text.find('"')
        start = text.rfind("[", 0, quote) if quote > 1 and text[quote - 2] == "]" else -1
        time = self._reader.time(text[start + 1 : quote - 2]) if start >= 0 else None
        if time is None:
            self._add(self._failed(attempts, text, at, undated), at, undated, line, text)
            return
        without_date = text[:start] + text[quote:]
        log, remembered = self._log, self._known.lines.get(without_date)
        if remembered is not None and remembered.attempts is attempts:
            log.count_known()
            for each in remembered.failed:
                each.runner.budget.matches += 1
            self._add(
                remembered.failed, at, undated, line, text, time=time, is_printable=remembered.is_printable
            )
            return
        understood = log.understood
        failed = self._failed(attempts, text, at, undated)
        # Whether a line with several addresses names one of them may depend on the lines before it.
        is_clear = log.understood > understood and "," not in text[:start]
        if len(text) <= MAX_KNOWN_CHARS and is_clear and not _is_suspended(attempts, self._origin):
            self._all_known.make_room(len(without_date))
            self._known.lines[without_date] = KnownLine(attempts, failed, _is_plain(text))
        self._add(failed, at, undated, line, text, time=time)

    def _decide_plain(
        self,
        attempts: RequestAttempts,
        line: bytes,
        text: str,
        at: float | None,
        undated: float,
        *,
        plain: Plain,
    ) -> None:
        """Do what `decide` does for a plain line of which nothing is remembered."""
        address, time, key = plain
        failed = self._failed(attempts, text, at, undated)
        if not _is_suspended(attempts, self._origin) and all(
            each.address == address and not each.peer for each in failed
        ):
            hits = tuple((jail, each.target, each.success) for each in failed for jail in each.jails)
            budgets = tuple(each.runner.budget for each in failed)
            self._all_known.make_room(sum(map(len, key)))
            self._known.requests[key] = KnownRequest(attempts, hits, budgets)
        self._add(failed, at, undated, line, text, time=time)

    def _add(
        self,
        failed: Sequence[FailedRequest],
        at: float | None,
        undated: float,
        line: bytes,
        text: str,
        *,
        time: float | None = None,
        is_printable: bool = False,
    ) -> None:
        """Add the hits of a line. `time` is its own; None: that of its readings. `is_printable`: its text is."""
        if not failed:
            return
        if time is None:
            time = failed[0].time
        when = at if at is not None else undated if time is None else time
        shown = text if is_printable else evidence(line, text)
        for _, jails, address, target, success, peer, _ in failed:
            for jail in jails:
                self._append(_new(Hit, (jail, address, when, self._origin, shown, target, success, peer)))

    def _failed(
        self, attempts: RequestAttempts, text: str, at: float | None, now: float
    ) -> list[FailedRequest]:
        readings = self._reader.readings(text)
        found = []
        for runner, failregexes, jails, _ in attempts if readings else ():
            when = now if at is None else at
            failed = _decide(runner, failregexes, readings[:MAX_READINGS], self._clock, when, self._origin)
            if len(readings) > MAX_READINGS and (failed is None or failed[0][3]):
                failed = _hidden(readings[0])
            if failed:
                (address, target, _, success), reading = failed
                found.append(
                    FailedRequest(runner, jails, address, target, success, reading.peer, reading.time)
                )
        return found


def _is_suspended(attempts: RequestAttempts, origin: Origin) -> bool:
    """Return whether a filter is suspended in this log: it may have looked at no line, so nothing is remembered."""
    return any(runner.budget.may_be_suspended(origin) for runner, *_ in attempts)


def _is_plain(text: str) -> bool:
    """Return whether the text may be shown to people as it is, blanks at its ends included."""
    return text.isascii() and text.isprintable() and text == text.strip()


def _decide(  # noqa: PLR0917  as FilterRunner.run
    runner: FilterRunner,
    failregexes: Sequence[int],
    readings: Sequence[Reading],
    clock: Clock,
    when: float,
    origin: Origin,
) -> tuple[Outcome, Reading] | None:
    """Return the outcome of a line that stands for one of these requests, and which.

    A client may write a line so that it can be read in several ways. It is a failure in any of them, and a login that
    worked only in all of them.
    """
    success, worked = None, True
    for reading in readings:
        outcome = runner.run(runner.filter.line_of(reading), failregexes, None, {}, clock(), when, origin)
        if outcome is None:
            worked = False
        elif outcome[3]:
            success = outcome, reading
        else:
            return outcome, reading
    return success if worked else None


def _hidden(reading: Reading) -> tuple[Outcome, Reading] | None:
    """Return the failure of a line with more readings than are looked at.

    A client wrote it so. What it asked for may stand in one of the others, and nothing that it writes is an excuse.
    """
    address = parse_address(reading.canonical.partition(" ")[0])
    return ((address, "", "", False), reading) if address else None
