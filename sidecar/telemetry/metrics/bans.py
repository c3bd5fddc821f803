"""What is decided: failures, bans and unbans by jail, and how fast a ban takes effect."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Counter

from sidecar.core.address import Address, ip_version
from sidecar.core.events import BanCause, Turn, Unban, UnbanCause
from sidecar.core.jail import configured_name
from sidecar.runtime.clock import Clock
from sidecar.telemetry.metrics.declare import FAMILIES, LATER, Declaration, begin_at_zero
from sidecar.telemetry.metrics.firewall import FirewallMetrics
from sidecar.telemetry.metrics.sites import SiteMetrics

# Seconds. A line should become a drop within 5 ms; a backlog that is read after an outage is much later.
LOG_TO_DROP_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


# Looked up once: a storm has thousands of bans in one turn.
FAILURES: Final = BanCause.FAILURES
# Bans that a log led to.
COUNTED: Final = frozenset({BanCause.FAILURES, BanCause.GROUP})


class BanMetrics:
    """A sink. It comes after the firewall, so that a ban of the turn is in force when it is measured."""

    name = "metrics"

    def __init__(
        self, declare: Declaration, firewall: FirewallMetrics, sites: SiteMetrics, *, clock: Clock = time.time
    ) -> None:
        self._firewall, self._sites, self._clock = firewall, sites, clock
        self._failures = declare.counter(
            "failures_total",
            "Log lines that matched the filter of a jail, whether or not they counted.",
            jail=LATER,
        )
        self._bans = declare.counter(
            "bans_total", "Bans decided, enforced or not.", jail=LATER, family=FAMILIES, cause=BanCause
        )
        self._unbans = declare.counter(
            "unbans_total", "Bans ended.", jail=LATER, family=FAMILIES, cause=UnbanCause
        )
        self._dry_run_bans = declare.counter(
            "dry_run_bans_total",
            "Bans decided but not enforced, because the jail only observes or the ban budget is exceeded.",
            jail=LATER,
            cause=BanCause,
        )
        self._active = declare.gauge("bans_active", "Bans in force.", jail=LATER, family=FAMILIES)
        self._log_to_drop = declare.histogram(
            "log_to_drop_seconds",
            "Time from the timestamp of the log line that completed a ban until the ban is in force. "
            "A timestamp of whole seconds is taken for the end of its second.",
            LOG_TO_DROP_BUCKETS_S,
        )

    def reconfigure(self, jails: Iterable[str]) -> None:
        """Create the series of these jails. Series of jails that are gone stay, as counters must."""
        jails = tuple(jails)
        begin_at_zero(self._failures, jail=jails)
        begin_at_zero(self._dry_run_bans, jail=jails, cause=BanCause)
        begin_at_zero(self._bans, jail=jails, family=FAMILIES, cause=BanCause)
        begin_at_zero(self._unbans, jail=jails, family=FAMILIES, cause=UnbanCause)
        begin_at_zero(self._active, jail=jails, family=FAMILIES)

    def apply(self, turn: Turn) -> None:
        failures = Tally([(hit.origin.name, hit.jail) for hit in (*turn.hits, *turn.ignored)])
        for (container, name), count in failures.items():
            jail = configured_name(name)
            self._failures.labels(jail).inc(count)
            self._sites.failed(container, jail, count)
        if not turn.decisions:
            return
        counts: Tally[tuple[Counter, str, str, str]] = Tally()
        bans: Tally[tuple[str, str, bool]] = Tally()
        now, in_step = self._clock(), self._firewall.in_step
        for each in turn.decisions:
            # A series for each site would be one for each container there ever was.
            jail = configured_name(each.jail)
            if isinstance(each, Unban):
                counts[self._unbans, jail, family(each.address), each.cause] += 1
                continue
            counts[self._bans, jail, family(each.address), each.cause] += 1
            if each.cause in COUNTED:
                bans[each.origin_name, jail, each.dry_run] += 1
            if each.dry_run:
                self._dry_run_bans.labels(jail, each.cause).inc()
            elif in_step and each.cause == FAILURES:
                self._log_to_drop.observe(delay(each.at, now))
        for (counter, *labels), count in counts.items():
            counter.labels(*labels).inc(count)
        for (container, name, dry_run), count in bans.items():
            self._sites.banned(container, name, count, dry_run=dry_run)
        self.set_active(turn.enforced_bans)

    def set_active(self, counts: Mapping[tuple[str, int], int]) -> None:
        """Take the number of bans in force, by jail and IP version."""
        active = Tally[tuple[str, int]]()
        for (jail, version), count in counts.items():
            active[configured_name(jail), version] += count
        for (jail, version), count in active.items():
            self._active.labels(jail, f"ipv{version}").set(count)


def delay(at: float, now: float) -> float:
    """Return the seconds that surely passed since a timestamp. One of whole seconds is up to a second too early."""
    return max(0.0, now - at - (1.0 if at.is_integer() else 0.0))


def family(address: Address) -> str:
    """Return the value of the label `family`."""
    return f"ipv{ip_version(address)}"
