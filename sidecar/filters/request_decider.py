"""Filters on requests at work: lines of access logs -> what fails.

What a line came to is remembered without its date, because a guesser's lines differ in nothing else. A line that is
known costs a look-up, not a parse and an expression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sidecar.access.reader import LineKey, Reading, RequestReader
from sidecar.core.address import Address, parse_address
from sidecar.core.events import Origin
from sidecar.filters.attempts import RequestAttempts
from sidecar.filters.filter_runner import FilterRunner
from sidecar.runtime.clock import Clock

# Lines that are remembered for each log, and how long one may be: at most some MB for each log.
MAX_KNOWN: Final = 1_024
MAX_KNOWN_CHARS: Final = 1_024
# Logs come and go with their containers.
MAX_LOGS: Final = 1_024


class FailedRequest(NamedTuple):
    """A line that is a failure, or a login that worked, in these jails; `time` is the line's own, `peer` as in Hit."""

    runner: FilterRunner
    jails: list[str]
    address: Address
    target: str
    success: bool
    peer: str
    time: float | None


class SameRequest(NamedTuple):
    """What requests fail that differ in nothing but client and date."""

    runner: FilterRunner
    jails: list[str]
    target: str
    success: bool


class Known(NamedTuple):
    """What is remembered of one log.

    `lines`: a line without its date -> what it fails, and whether its text may be shown to people as it is. `requests`:
    a plain line without client, date, size and referer -> what it fails, where no expression looks at the client.
    """

    lines: dict[str, tuple[Sequence[FailedRequest], bool]]
    requests: dict[LineKey, tuple[SameRequest, ...]]


class RequestDecider:
    """Decides the lines of one access log, in the thread that reads it."""

    def __init__(self, reader: RequestReader, origin: Origin, clock: Clock) -> None:
        self._reader, self._origin, self._clock = reader, origin, clock
        self._log, self._time = reader.log, reader.time
        self._attempts: RequestAttempts | None = None
        self._known = Known({}, {})

    def decide(
        self, attempts: RequestAttempts, text: str, at: float | None, now: float
    ) -> tuple[Sequence[FailedRequest], float, bool]:
        """Return what a line fails, its unix time, and whether its text is known to be printable as it is.

        `text` is the line without its transport's header. The time is the transport's (`at`), its own, or else `now`.
        """
        plain = self._reader.plain(text) if attempts.ignore_address else None
        if plain and (found := self._plain(attempts, text, at, now, plain)):
            return found
        # A date in brackets right before the first quote, as in `combined` and most formats that are like it. Other
        # formats may have something else there, such as the client: then nothing is remembered.
        quote = text.find('"')
        start = text.rfind("[", 0, quote) if quote > 1 and text[quote - 2] == "]" else -1
        time = self._time(text[start + 1 : quote - 2]) if start >= 0 else None
        if time is None:
            failed = self._failed(attempts, text, at, now)
            time = failed[0].time if failed else None
            return failed, at if at is not None else now if time is None else time, False
        when = time if at is None else at
        without_date = text[:start] + text[quote:]
        known, log = self._known_of(attempts).lines, self._log
        if (remembered := known.get(without_date)) is not None:
            log.read += 1
            log.understood += 1
            for each in remembered[0]:
                each.runner.budget.matches += 1
            return remembered[0], when, remembered[1]
        understood = log.understood
        failed = self._failed(attempts, text, at, now)
        # Whether a line with several addresses names one of them may depend on the lines before it.
        is_clear = log.understood > understood and "," not in text[:start]
        if len(text) <= MAX_KNOWN_CHARS and is_clear and not _is_suspended(attempts):
            if len(known) >= MAX_KNOWN:
                known.clear()
            known[without_date] = failed, _is_plain(text)
        return failed, when, False

    def _plain(
        self,
        attempts: RequestAttempts,
        text: str,
        at: float | None,
        now: float,
        plain: tuple[str, str, LineKey],
    ) -> tuple[Sequence[FailedRequest], float, bool] | None:
        """Return what `decide` does for a plain line; None where its client is no address, or its date is none."""
        client, date, key = plain
        address, time = parse_address(client), self._time(date)
        if address is None or time is None:
            return None
        requests = self._known_of(attempts).requests
        same = requests.get(key)
        if same is None:
            failed = self._failed(attempts, text, at, now)
            if not _is_suspended(attempts) and all(
                each.address == address and not each.peer for each in failed
            ):
                if len(requests) >= MAX_KNOWN:
                    requests.clear()
                requests[key] = tuple(
                    SameRequest(each.runner, each.jails, each.target, each.success) for each in failed
                )
            return failed, time if at is None else at, False
        found = []
        for runner, jails, target, success in same:
            budget = runner.budget
            if budget.suspended_until:
                # It may find nothing now, or be tried again.
                return self._failed(attempts, text, at, now), time if at is None else at, False
            budget.matches += 1
            found.append(FailedRequest(runner, jails, address, target, success, "", time))
        self._log.count_known()
        return found, time if at is None else at, False

    def _known_of(self, attempts: RequestAttempts) -> Known:
        """Return what is remembered of this log; consecutive lines nearly always have the same attempts."""
        if attempts is self._attempts:
            return self._known
        known: Known | None = attempts.known.get(self._reader)
        if known is None:
            if len(attempts.known) >= MAX_LOGS:
                attempts.known.clear()
            known = attempts.known[self._reader] = Known({}, {})
        self._attempts, self._known = attempts, known
        return known

    def _failed(
        self, attempts: RequestAttempts, text: str, at: float | None, now: float
    ) -> list[FailedRequest]:
        readings = self._reader.readings(text)
        found = []
        for runner, failregexes, jails, _ in attempts if readings else ():
            when = now if at is None else at
            failed = _decide(runner, failregexes, readings, self._clock(), when, self._origin)
            if failed:
                (address, target, _, success), reading = failed
                found.append(
                    FailedRequest(runner, jails, address, target, success, reading.peer, reading.time)
                )
        return found


def _is_suspended(attempts: RequestAttempts) -> bool:
    """Return whether a filter is suspended, and so may have looked at no line: what it came to is not remembered."""
    return any(runner.budget.suspended_until for runner, *_ in attempts)


def _is_plain(text: str) -> bool:
    """Return whether the text may be shown to people as it is, blanks at its ends included."""
    return text.isascii() and text.isprintable() and text == text.strip()


def _decide(  # noqa: PLR0917  as FilterRunner.run
    runner: FilterRunner,
    failregexes: Sequence[int],
    readings: Sequence[Reading],
    began: float,
    when: float,
    origin: Origin,
) -> tuple[tuple[Address, str, str, bool], Reading] | None:
    """Return the outcome of a line that stands for one of these requests, and which.

    A client may write a line so that it can be read in several ways. It is a failure in any of them, and a login that
    worked only in all of them.
    """
    success, worked = None, True
    for reading in readings:
        outcome = runner.run(runner.filter.line_of(reading), failregexes, None, {}, began, when, origin)
        if outcome is None:
            worked = False
        elif outcome[3]:
            success = outcome, reading
        else:
            return outcome, reading
    return success if worked else None
