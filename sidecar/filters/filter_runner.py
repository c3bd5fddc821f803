"""One filter at work: how it cuts dates, how it decides lines, and how much processor time it may take."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.events import Origin
from sidecar.filters.cpu_budget import SLOW_LINE_S, CpuBudget, Stopwatch
from sidecar.filters.date_cutter import DateCutter
from sidecar.filters.decider import LineDecider, Outcome, is_plain, outcome
from sidecar.filters.loader import Filter
from sidecar.filters.redos_sandbox import MATCH_TIMEOUT_S, GuardedFilter, RegexTimeoutError
from sidecar.filters.sessions import SessionTrackers


class FilterRunner:
    """Runs one filter on lines, within its CPU budget. Any thread may run it; a log's lines stay in one thread.

    `plain`: the first failregex that matches a line decides it, and nothing else does.
    """

    def __init__(
        self,
        log_filter: Filter,
        guarded: GuardedFilter,
        cutter: DateCutter,
        budget: CpuBudget,
        stopwatch: Stopwatch,
    ) -> None:
        self.filter, self.cutter, self.budget = log_filter, cutter, budget
        self.is_risky = guarded.is_risky
        self.plain = is_plain(log_filter) and not self.is_risky
        # Requests that differ in nothing but the client come to the same.
        self.ignores_address = self.plain and log_filter.ignores_address
        self.trackers = SessionTrackers(log_filter, guarded) if log_filter.needs_earlier_lines else None
        self._decide = LineDecider(log_filter, guarded, plain=self.plain).decide
        self._stopwatch, self._clock = stopwatch, stopwatch.clock

    def run(  # noqa: PLR0917
        self,
        text: str,
        failregexes: Sequence[int],
        same_as: FilterRunner | None,
        others: dict[FilterRunner, Outcome | None],
        began: float,
        when: float,
        origin: Origin,
    ) -> Outcome | None:
        """Return the filter's outcome for a line; None if it is not a failure, or the filter is suspended in its log.

        `text` is the line without its date, `when` its unix time, `began` the clock's time now. `others` holds the
        outcomes of the filters that were tried on this line before; `same_as` may be one of them.
        """
        # This is the hot path. Positional arguments cost less than keywords, or than an object for each line.
        budget = self.budget
        if budget.suspended and budget.is_suspended(origin, began):
            return None
        timed_out, found = False, None
        try:
            if same_as in others:
                found = others[same_as]
            elif self.trackers:
                found = outcome(self.filter, self.trackers.of(origin).decide(text, when))
            else:
                found = self._decide(text, failregexes)
            others[self] = found
        except RegexTimeoutError:
            timed_out = True
        spent = self._clock() - began
        budget.seconds += spent
        if timed_out or spent > SLOW_LINE_S:
            self._charge(origin, spent, began, timed_out=timed_out)
        if found is not None:
            budget.matches += 1
        elif not budget.matches:
            budget.misses += 1
        return found

    def _charge(self, origin: Origin, spent: float, at: float, *, timed_out: bool) -> None:
        """Charge a line that took long by the clock, but no more than the processor time of this thread lately.

        On a busy machine a line waits while other threads have the processor. Without that limit such waits would
        suspend a sound filter.
        """
        taken = self._stopwatch.cpu_seconds()
        seconds = MATCH_TIMEOUT_S if timed_out else min(spent, taken)
        if seconds > SLOW_LINE_S:
            self.budget.charge_slow_line(origin, seconds, at)
