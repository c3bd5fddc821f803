"""Failures that no ban can answer, as the address is on the allowlist or a proxy sends the client's packets.

They are counted, and where they are many an operator has to know.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

from sidecar.advice.refused_bans import behind_proxy
from sidecar.advice.unbannable import FAILURES, PERIOD_S, unbannable_failures
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.core.allowlist import IGNOREIP
from sidecar.core.events import Hit, IgnoredReason, Turn
from sidecar.core.rate_alarms import RateAlarms
from sidecar.runtime.problems import Problems

UNBANNABLE_PROBLEM: Final = "banning at "


class CurrentAllowlist(Protocol):
    """Knows the allowlist in force."""

    def allowlist_reason(self, hit: Hit, /) -> str | None:
        """Return why no ban can answer this failure; None: one can."""


class AllowlistedFailureMetrics(Protocol):
    """Counts failures that cannot lead to a ban."""

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
        # By log, the peer of the last client behind a proxy.
        self._peers: dict[str, str] = {}

    def apply(self, turn: Turn) -> None:
        counts = Counter((hit.origin.name, self._reason(hit)) for hit in turn.ignored)
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
            f"{UNBANNABLE_PROBLEM}{origin}": self._sentence(origin, reason, count)
            for origin, (reason, count) in most.items()
        }
        self._problems.replace(UNBANNABLE_PROBLEM, sentences)
        self._peers = {origin: peer for origin, peer in self._peers.items() if origin in most}

    def _reason(self, hit: Hit) -> str | None:
        """Return why no ban can answer this failure; None: it was ignored for another reason."""
        if reason := self._current.allowlist_reason(hit):
            return reason
        if not hit.peer:
            return None
        self._peers[hit.origin.name] = hit.peer
        return IgnoredReason.BEHIND_PROXY

    def _sentence(self, origin: str, reason: str, failures: int) -> str:
        if reason == IgnoredReason.BEHIND_PROXY:
            return behind_proxy(origin, self._peers.get(origin, ""), failures)
        return unbannable_failures(origin, reason, failures, self._exposed.advice(origin))
