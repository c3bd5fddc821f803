"""What each site suffers: failures and bans by container and jail. A container that is gone takes its series along.

The label `container` is the name of a container, or the path of a log file.
"""

from __future__ import annotations

from sidecar.core.events import Origin
from sidecar.telemetry.metrics.declare import LATER, BoundedPairs, Declaration


class SiteMetrics:
    """Figures by container and jail. Any thread may report."""

    def __init__(self, declare: Declaration) -> None:
        self._failures = declare.counter(
            "site_failures_total",
            "Failures by container or file, whether or not they counted.",
            container=LATER,
            jail=LATER,
        )
        self._bans = declare.counter(
            "site_bans_total",
            "Bans by the container or file of the last failure, enforced or not.",
            container=LATER,
            jail=LATER,
        )
        self._dry_run_bans = declare.counter(
            "site_dry_run_bans_total",
            "Those of them that are not enforced, because the jail or the container only observes, or the ban budget is"
            " exceeded.",
            container=LATER,
            jail=LATER,
        )
        self._pairs = BoundedPairs()
        self._begun: set[Origin] = set()

    def begin(self, origin: Origin) -> None:
        """Let the series of this log begin at 0, one for each jail that it is read for. Repeated with every batch."""
        if origin in self._begun:
            return
        self._begun.add(origin)
        for jail in origin.jails:
            pair = self._pairs.labels(origin.name, jail)
            for counter in (self._failures, self._bans, self._dry_run_bans):
                counter.labels(*pair)

    def failed(self, container: str, jail: str, count: int) -> None:
        self._failures.labels(*self._pairs.labels(container, jail)).inc(count)

    def banned(self, container: str, jail: str, count: int, *, dry_run: bool) -> None:
        """Count bans; those of a `dry_run` are counted among all, and on their own."""
        pair = self._pairs.labels(container, jail)
        self._bans.labels(*pair).inc(count)
        if dry_run:
            self._dry_run_bans.labels(*pair).inc(count)

    def log_removed(self, container: str) -> None:
        """Remove the series of the container."""
        self._begun.difference_update([each for each in list(self._begun) if each.name == container])
        self._pairs.forget(container)
        for counter in (self._failures, self._bans, self._dry_run_bans):
            counter.remove_by_labels({"container": container})
