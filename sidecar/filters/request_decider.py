"""Filters on requests at work: lines of access logs -> what fails.

What a line came to is remembered without its date, because a guesser's lines differ in nothing else. A line that is
known costs a look-up, not a parse and an expression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from sidecar.access.reader import Reading, RequestReader
from sidecar.core.address import Address
from sidecar.core.events import Origin
from sidecar.filters.attempts import RequestAttempts
from sidecar.filters.filter_runner import FilterRunner

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


class RequestDecider:
    """Decides the lines of one access log, in the thread that reads it."""

    def __init__(self, reader: RequestReader, origin: Origin, clock: Callable[[], float]) -> None:
        self._reader, self._origin, self._clock = reader, origin, clock

    def decide(
        self, attempts: RequestAttempts, text: str, at: float | None, now: float
    ) -> tuple[Sequence[FailedRequest], float]:
        """Return what a line fails, and its unix time: the transport's (`at`), its own, or else `now`.

        `text` is the line without its transport's header.
        """
        # A date in brackets right before the first quote, as in `combined` and most formats that are like it. Other
        # formats may have something else there, such as the client: then nothing is remembered.
        quote = text.find('"')
        start = text.rfind("[", 0, quote) if quote > 1 and text[quote - 2] == "]" else -1
        time = self._reader.time(text[start + 1 : quote - 2]) if start >= 0 else None
        if time is None:
            failed = self._failed(attempts, text, at, now)
            time = failed[0].time if failed else None
            return failed, at if at is not None else now if time is None else time
        when = time if at is None else at
        without_date = text[:start] + text[quote:]
        known = attempts.known.get(self._reader)
        if known is None:
            known = self._of_log(attempts)
        remembered = known.get(without_date)
        if remembered is not None:
            self._reader.log.read += 1
            self._reader.log.understood += 1
            for each in remembered:
                each.runner.budget.matches += 1
            return remembered, when
        understood = self._reader.log.understood
        failed = self._failed(attempts, text, at, now)
        if len(text) <= MAX_KNOWN_CHARS and self._reader.log.understood > understood:
            if len(known) >= MAX_KNOWN:
                known.clear()
            known[without_date] = failed
        return failed, when

    def _of_log(self, attempts: RequestAttempts) -> dict[str, Sequence[FailedRequest]]:
        if len(attempts.known) >= MAX_LOGS:
            attempts.known.clear()
        known: dict[str, Sequence[FailedRequest]] = {}
        attempts.known[self._reader] = known
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
        outcome = runner.run(reading.canonical, failregexes, None, {}, began, when, origin)
        if outcome is None:
            worked = False
        elif outcome[3]:
            success = outcome, reading
        else:
            return outcome, reading
    return success if worked else None
