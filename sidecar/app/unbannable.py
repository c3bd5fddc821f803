"""Failures of allowlisted addresses: they are counted, and where they are many an operator has to know."""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

from sidecar.advice.unbannable import FAILURES, PERIOD_S, unbannable_failures
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.core.allowlist import IGNOREIP, Allowlist
from sidecar.core.events import Turn
from sidecar.core.rate_alarms import RateAlarms
from sidecar.runtime.problems import Problems

UNBANNABLE_PROBLEM: Final = "banning at "


class CurrentAllowlist(Protocol):
    """Has the allowlist in force."""

    @property
    def allowlist(self) -> Allowlist: ...


class AllowlistedFailureMetrics(Protocol):
    """Counts failures of allowlisted addresses."""

    def failed(self, container: str, reason: str, count: int) -> None: ...


class UnbannableFailures:
    """A Sink."""

    name = "unbannable failures"

    def __init__(
        self,
        current: CurrentAllowlist,
        exposed: ExposedContainers,
        metrics: AllowlistedFailureMetrics,
        problems: Problems,
    ) -> None:
        self._current = current
        self._exposed = exposed
        self._metrics = metrics
        self._problems = problems
        # By log and reason.
        self._alarms: RateAlarms[tuple[str, str]] = RateAlarms(FAILURES, PERIOD_S)

    def apply(self, turn: Turn) -> None:
        allowlist = self._current.allowlist
        counts = Counter((hit.origin.name, allowlist.reason(hit.address)) for hit in turn.ignored)
        for (origin, reason), count in counts.items():
            if reason is None:
                continue
            self._metrics.failed(origin, reason, count)
            # The operator asked for `ignoreip`, so it is no surprise.
            if reason != IGNOREIP:
                self._alarms.add((origin, reason), turn.at, count)

    def report(self, now: float) -> None:
        """Report the logs with many such failures, each with its most frequent reason, and those where that is over."""
        counts = sorted(
            (count, origin, reason) for (origin, reason), count in self._alarms.raised(now).items()
        )
        most = {origin: (reason, count) for count, origin, reason in counts}
        sentences = {
            f"{UNBANNABLE_PROBLEM}{origin}": unbannable_failures(
                origin, reason, count, self._exposed.advice(origin)
            )
            for origin, (reason, count) in most.items()
        }
        self._problems.replace(UNBANNABLE_PROBLEM, sentences)
