"""What is not banned although it fails, and what limits bans."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.telemetry.metrics.declare import LATER, Declaration


class AllowlistMetrics:
    """Figures about the allowlist and the ban budget. Any thread may report."""

    def __init__(self, declare: Declaration) -> None:
        # Without zeros from the start: containers times reasons would be thousands of series. So a new series is 0
        # until the next `update()`, and Prometheus sees its first failures as well.
        self._failures = declare.counter(
            "allowlisted_failures_total",
            "Failures of addresses that must not be banned, or behind a proxy that sends their packets, by the reason."
            " A series begins with its first failures, which are added within 30 seconds.",
            container=LATER,
            reason=LATER,
        )
        self._first: dict[tuple[str, str], int] = {}
        self._seen: set[tuple[str, str]] = set()
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
        series = self._failures.labels(container, reason)
        if (container, reason) in self._seen:
            series.inc(count)
        else:
            self._first[container, reason] = self._first.get((container, reason), 0) + count

    def update(self) -> None:
        """Add the first failures of new series. To be called from time to time, by the thread that calls `failed`."""
        for container, reason in list(self._first):
            count = self._first.pop((container, reason), 0)
            self._seen.add((container, reason))
            self._failures.labels(container, reason).inc(count)

    def exposed(self, containers: int) -> None:
        self._exposed.set(containers)

    def budget(self, *, exceeded: bool) -> None:
        self._budget.set(exceeded)

    def log_removed(self, container: str) -> None:
        """Remove the series of the container."""
        for labels in [each for each in (*list(self._first), *list(self._seen)) if each[0] == container]:
            self._first.pop(labels, None)
            self._seen.discard(labels)
        self._failures.remove_by_labels({"container": container})
