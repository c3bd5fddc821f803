"""What Prometheus sees: one small class for each subject, in a module of its own.

A new metric is declared in the class of its subject, together with the method that reports it. Its help text
is also its row in docs/metrics.md, which `python -m sidecar.telemetry.metrics` prints. `declare.py` has the
rules for names and labels, `documentation.py` the table.

    bans, guard, allowlist     what is decided, and what is not
    sources, sites             what is read, and what each site suffers
    firewall, alerts, fleet    what is dropped, sent and shared
    loop, process              how the daemon does
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.runtime.clock import Clock
from sidecar.telemetry.metrics.alerts import AlertMetrics
from sidecar.telemetry.metrics.allowlist import AllowlistMetrics
from sidecar.telemetry.metrics.bans import BanMetrics
from sidecar.telemetry.metrics.declare import Declaration
from sidecar.telemetry.metrics.firewall import FirewallMetrics
from sidecar.telemetry.metrics.fleet import FleetMetrics
from sidecar.telemetry.metrics.guard import FilterMetrics, GuardMetrics
from sidecar.telemetry.metrics.loop import LoopMetrics
from sidecar.telemetry.metrics.process import ProcessMetrics
from sidecar.telemetry.metrics.sites import SiteMetrics
from sidecar.telemetry.metrics.sources import SourceMetrics


@dataclass(frozen=True, slots=True)
class KnownLabels:
    """The values of labels that are known at the start, from the packages that use them."""

    jails: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    ignored_reasons: tuple[str, ...] = ()
    reopen_reasons: tuple[str, ...] = ()
    bypass_kinds: tuple[str, ...] = ()
    fleet_rejections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one run, by subject."""

    bans: BanMetrics
    sites: SiteMetrics
    guard: GuardMetrics
    filters: FilterMetrics
    allowlist: AllowlistMetrics
    sources: SourceMetrics
    firewall: FirewallMetrics
    alerts: AlertMetrics
    loop: LoopMetrics
    process: ProcessMetrics
    # None: this host is in no fleet.
    fleet: FleetMetrics | None

    @classmethod
    def declared(
        cls,
        declare: Declaration,
        version: str,
        known: KnownLabels,
        *,
        fleet: bool = False,
        clock: Clock = time.time,
    ) -> Metrics:
        """Declare every metric; those of the fleet only where there is one."""
        firewall = FirewallMetrics(declare, bypass_kinds=known.bypass_kinds)
        sites = SiteMetrics(declare)
        metrics = cls(
            BanMetrics(declare, firewall, sites, clock=clock),
            sites,
            GuardMetrics(declare, ignored_reasons=known.ignored_reasons),
            FilterMetrics(declare, filters=known.filters),
            AllowlistMetrics(declare),
            SourceMetrics(declare, reopen_reasons=known.reopen_reasons, clock=clock),
            firewall,
            AlertMetrics(declare, senders=known.senders),
            LoopMetrics(declare, clock=clock),
            ProcessMetrics(declare, version),
            FleetMetrics(declare, rejections=known.fleet_rejections) if fleet else None,
        )
        metrics.reconfigure(known.jails)
        return metrics

    def reconfigure(self, jails: Iterable[str]) -> None:
        """Create the series of these jails."""
        jails = tuple(jails)
        self.bans.reconfigure(jails)
        self.guard.reconfigure(jails)
