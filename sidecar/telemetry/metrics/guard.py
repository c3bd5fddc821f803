"""What the engine holds in memory, what it ignores and what it gives up; and the cost of the filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from sidecar.core.events import IgnoredReason
from sidecar.core.jail import configured_name
from sidecar.core.queries import GuardUsage
from sidecar.core.refused_bans import RefusalReason
from sidecar.telemetry.metrics.declare import LATER, Declaration, MirroredSum, MirroredTotals, begin_at_zero


class GuardMetrics:
    """Figures that the loop reports from time to time."""

    def __init__(self, declare: Declaration, *, ignored_reasons: Iterable[str] = ()) -> None:
        """`ignored_reasons`: reasons not to count a failure, beside those of the guard."""
        self._ignored = MirroredTotals(
            declare.counter(
                "ignored_failures_total",
                "Failures that did not count, by the reason.",
                reason=(*IgnoredReason, *RefusalReason, *ignored_reasons),
            )
        )
        self._refused = MirroredTotals(
            declare.counter(
                "refused_bans_total",
                "Bans that were due and not made, by the reason. One that is refused again counts once.",
                reason=tuple(RefusalReason),
            )
        )
        self._tracked = declare.gauge(
            "tracked_addresses", "Addresses with failures that are counted.", jail=LATER
        )
        self._tracked_jails: set[str] = set()
        self._history = declare.gauge("history_addresses", "Addresses with former bans that are remembered.")
        self._dropped = {
            "tracked": MirroredSum(
                declare.counter(
                    "tracked_addresses_dropped_total",
                    "Addresses with failures that were forgotten because too many addresses are tracked;"
                    " the longest silent go first.",
                )
            ),
            "evidence": MirroredSum(
                declare.counter(
                    "evidence_lines_dropped_total",
                    "Log lines kept as evidence that were dropped because they take too much memory."
                    " Bans are not affected.",
                )
            ),
            "history": MirroredSum(
                declare.counter(
                    "history_addresses_dropped_total",
                    "Addresses forgotten with their former bans because too many are remembered; the oldest go first.",
                )
            ),
            "unresolved": MirroredSum(
                declare.counter(
                    "unresolved_failures_total",
                    "Failures of host names that could not be resolved in time (usedns = yes).",
                )
            ),
        }

    def reconfigure(self, jails: Iterable[str]) -> None:
        """Create the series of these jails."""
        begin_at_zero(self._tracked, jail=tuple(jails))

    def refused_bans(self, totals: Mapping[str, float]) -> None:
        """Take how many bans were refused so far, by reason."""
        self._refused.update(totals)

    def update(self, usage: GuardUsage, ignored: Mapping[str, float], unresolved: int) -> None:
        """Take how full the guard is, and the totals of what did not count and was not resolved so far."""
        tracked = Counter[str]()
        for name, count in usage.tracked_addresses.items():
            tracked[configured_name(name)] += count
        for jail in self._tracked_jails - tracked.keys():
            self._tracked.remove(jail)
        self._tracked_jails = set(tracked)
        for jail, count in tracked.items():
            self._tracked.labels(jail).set(count)
        self._history.set(usage.history_addresses)
        self._ignored.update(ignored)
        totals = {
            "tracked": usage.dropped_addresses,
            "evidence": usage.dropped_evidence_lines,
            "history": usage.dropped_history_addresses,
            "unresolved": unresolved,
        }
        for what, total in totals.items():
            self._dropped[what].update(total)


class FilterMetrics:
    """What each filter costs and finds."""

    def __init__(self, declare: Declaration, *, filters: Iterable[str] = ()) -> None:
        filters = tuple(filters)
        self._seconds = MirroredTotals(
            declare.counter(
                "filter_seconds_total",
                "Time spent on the lines that the prefilter let through to a filter. The prefilter itself is one pass"
                " for all filters, and is not included.",
                filter=filters,
            )
        )
        self._matches = MirroredTotals(
            declare.counter("filter_matches_total", "Lines that matched a filter.", filter=filters)
        )
        self._lost = MirroredSum(
            declare.counter(
                "search_lost_lines_total",
                "Lines that match a filter and that the search for lines did not find. A sample of all lines is"
                " checked; failregexes that lost a line are tried on every line from then on.",
            )
        )

    def update(self, totals: Mapping[str, tuple[float, int]], lost_lines: int) -> None:
        """Take the totals so far: of each filter seconds, and lines that matched; lines that the search lost."""
        self._lost.update(lost_lines)
        self._seconds.update({name: seconds for name, (seconds, _) in totals.items()})
        self._matches.update({name: matches for name, (_, matches) in totals.items()})
