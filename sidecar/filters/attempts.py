"""Which filters to try on a line: those that the log's jails use, if one of their failregexes may match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Final, NamedTuple

from sidecar.filters.database import PatternDatabase
from sidecar.filters.filter_runner import FilterRunner

# Sets of patterns that are remembered, for each set of jails.
MAX_PATTERN_SETS: Final = 4_096


class Attempt(NamedTuple):
    """One filter to try on a line.

    `failregexes` are those that may match, in order; `jails` are those that its outcome is for. `same_as` is the
    runner of an earlier attempt that has the same outcome for every line: options of a filter often leave most of its
    failregexes as they are.
    """

    runner: FilterRunner
    failregexes: list[int]
    jails: list[str]
    same_as: FilterRunner | None = None


class RequestAttempts(list[Attempt]):
    """Filters to try on a request."""

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        super().__init__(attempts)
        # Whether requests that differ in nothing but the client come to the same.
        self.ignore_address = all(runner.ignores_address for runner, *_ in self)


class LineAttempts(NamedTuple):
    """What to try on a line: filters on the line itself, and filters on the request that it stands for."""

    on_lines: list[Attempt]
    on_requests: RequestAttempts


class Attempts(dict[int, LineAttempts]):
    """The patterns found in a line -> what to try on it, filter by filter, in logs that certain jails look at.

    It fills itself when it is asked. `zone` is the configured time zone of these logs, and `dates` are the dates that
    their filters look for.
    """

    def __init__(
        self,
        database: PatternDatabase,
        runners: Sequence[FilterRunner],
        jails: Mapping[int, list[str]],
        zone: tzinfo | None = None,
    ) -> None:
        """`jails`: the number of each filter that is used in these logs, and the jails that use it there.

        `zone` is that of filters without one of their own.
        """
        super().__init__()
        filters = [runners[number].filter for number in jails]
        # Whether requests are looked for in these logs.
        self.read_requests = any(one.reads_requests for one in filters)
        self.zone = next((one.zone for one in filters if one.zone), zone)
        self.dates = tuple({one.dates.templates: one.dates for one in filters}.values())
        self._database, self._runners, self._jails = database, runners, jails

    def __missing__(self, patterns: int) -> LineAttempts:
        failregexes: dict[int, list[int]] = {number: [] for number in self._jails}
        for number, index in self._database.failregexes(patterns):
            if number in failregexes:
                failregexes[number].append(index)
        attempts: list[Attempt] = []
        for number, indexes in failregexes.items():
            if indexes:
                attempt = Attempt(self._runners[number], indexes, self._jails[number])
                same = next((one.runner for one in attempts if _same_outcome(one, attempt)), None)
                attempts.append(attempt._replace(same_as=same))
        found = LineAttempts(
            [attempt for attempt in attempts if not attempt.runner.filter.reads_requests],
            RequestAttempts(attempt for attempt in attempts if attempt.runner.filter.reads_requests),
        )
        if len(self) < MAX_PATTERN_SETS:
            self[patterns] = found
        return found


def _same_outcome(one: Attempt, other: Attempt) -> bool:
    """Return whether both have the same outcome for every line."""
    expressions = [
        [attempt.runner.filter.failregex[index].regex for index in attempt.failregexes]
        for attempt in (one, other)
    ]
    return (
        one.runner.plain
        and other.runner.plain
        and one.runner.cutter is other.runner.cutter
        and one.runner.filter.resolves_names == other.runner.filter.resolves_names
        and expressions[0] == expressions[1]
    )
