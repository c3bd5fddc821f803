"""What is not banned although it fails, and what limits bans."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.telemetry.metrics.declare import LATER, Declaration


class AllowlistMetrics:
    """Figures about the allowlist and the ban budget. Any thread may report."""

    def __init__(self, declare: Declaration) -> None:
        # The one counter without zeros from the start: containers times reasons would be thousands of series.
        self._failures = declare.counter(
            "allowlisted_failures_total",
            "Failures of addresses that must not be banned, or behind a proxy that sends their packets, by the reason."
            " The series begins with the first failure.",
            container=LATER,
            reason=LATER,
        )
        self._exposed = declare.gauge(
            "exposed_containers",
            "Watched containers with a log that may name a wrong client, because IPv6 clients reach them through"
            " Docker's proxy.",
        )
        self._share = declare.gauge(
            "allowlist_share",
            "The part, from 0 to 1, of all public addresses that is never banned for this reason.",
            family=LATER,
            reason=LATER,
        )
        self._covered: set[tuple[str, str]] = set()
        self._budget = declare.gauge(
            "ban_budget_exceeded",
            "Whether so many bans are due that new ones are not enforced (1) or not (0).",
        )

    def covered(self, shares: Mapping[int, Mapping[str, float]]) -> None:
        """Take the allowlisted part of all public addresses: IP version -> reason -> share from 0 to 1."""
        now = {
            (f"ipv{version}", reason): share
            for version, some in shares.items()
            for reason, share in some.items()
        }
        for gone in self._covered - now.keys():
            self._share.remove(*gone)
        self._covered = set(now)
        for labels, share in now.items():
            self._share.labels(*labels).set(share)

    def failed(self, container: str, reason: str, count: int) -> None:
        """Count failures that must not lead to a ban for this reason."""
        self._failures.labels(container, reason).inc(count)

    def exposed(self, containers: int) -> None:
        self._exposed.set(containers)

    def budget(self, *, exceeded: bool) -> None:
        self._budget.set(exceeded)

    def log_removed(self, container: str) -> None:
        """Remove the series of the container."""
        self._failures.remove_by_labels({"container": container})
