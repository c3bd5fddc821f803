"""What runs beside the loop: those who answer people and programs, and the chores.

`wiring.build` makes what they ask first.
"""

from __future__ import annotations

from typing import Final

from sidecar.app.connection_table import ConnectionTable
from sidecar.app.health import LoopHealth
from sidecar.app.housekeeping import (
    INTERVAL_S,
    AllowedExpiry,
    CiliumCheck,
    Housekeeping,
    MetricsUpdate,
    OwnNetworksCheck,
    Reports,
    StoreCleanup,
)
from sidecar.app.log_details import LogDetails
from sidecar.app.max_bans_report import MaxBansReport
from sidecar.app.memory_watch import INTERVAL_S as MEMORY_CHECK_INTERVAL_S
from sidecar.app.memory_watch import MemoryWatch
from sidecar.app.parts import Claims, Common, Parts
from sidecar.app.public_address import PublicAddresses, cloud_of
from sidecar.app.refused_bans import RefusedBansReport
from sidecar.app.reload_service import ReloadService
from sidecar.app.unread_logs import UnreadLogs
from sidecar.control.commands.table import daemon_commands
from sidecar.control.server import ControlApplication, control_server
from sidecar.firewall import Monitor
from sidecar.runtime.known_hosts import KnownHosts
from sidecar.runtime.supervisor import PeriodicTask, Service
from sidecar.telemetry.http import TelemetryEndpoints, WebPort, telemetry_server
from sidecar.web.application import StatusPage
from sidecar.web.changes import ChangeForms
from sidecar.web.doctor import Doctor
from sidecar.web.sessions import Sessions

# Between questions whether the firewall is to be checked.
FIREWALL_CHECK_INTERVAL_S: Final = 1.0


def make_services(
    common: Common, claims: Claims, parts: Parts, reload: ReloadService, doctor: Doctor
) -> list[Service]:
    """Make what runs beside the loop: who answers people and programs, and the chores."""
    settings, inbox, problems = common.settings, common.inbox, common.reporting.problems
    last, deciding, reading, acting = parts
    inputs, firewall_sink, fleet = deciding.inputs, last.firewall_sink, acting.fleet
    health = LoopHealth(acting.loop, problems)
    common.reporting.metrics.process.observe_readiness(lambda: health.health().ready)
    unread_logs = UnreadLogs(inputs, deciding.access_logs, reading.log_states, reading.intake, problems)
    commands = daemon_commands(
        inbox, health=health, streams=reading.log_states.states, details=LogDetails(reading.log_states, inputs),
        oddities=unread_logs, access_logs=deciding.access_logs,
        firewall=firewall_sink, inputs=inputs, reloader=reload, evidence=last.store, explainer=reading.intake,
        fleet=fleet, tally=acting.tally, recent=acting.recent,
    )  # fmt: skip
    page = StatusPage(commands, acting.activity, ChangeForms(commands, Sessions(inputs), doctor), doctor)
    known_hosts = KnownHosts(settings.listen_names)
    endpoints = TelemetryEndpoints(common.reporting.registry, health, known_hosts, page)
    public_addresses = PublicAddresses(
        cloud_of() if settings.cloud_metadata else None, problems.problem("public addresses", critical=False)
    )
    housekeeping = _make_housekeeping(common, parts, public_addresses, unread_logs)
    memory_watch = MemoryWatch(inbox, last.cgroup, problems.problem("memory", critical=False))
    services: list[Service] = [
        common.reporting.outbox,
        telemetry_server(WebPort(*settings.listen, problems.problem("web port", critical=False)), endpoints),
        control_server(claims.control, ControlApplication(commands)),
        reload,
        PeriodicTask("firewall check", firewall_sink.check, FIREWALL_CHECK_INTERVAL_S),
        PeriodicTask("memory watch", memory_watch.check, MEMORY_CHECK_INTERVAL_S),
        PeriodicTask("housekeeping", housekeeping.run, INTERVAL_S),
        Monitor(firewall_sink),
        reading.names,
        public_addresses,
    ]
    if fleet:
        services += [fleet.publisher, fleet.subscriber]
    return services


def _make_housekeeping(
    common: Common, parts: Parts, public_addresses: PublicAddresses, unread_logs: UnreadLogs
) -> Housekeeping:
    last, deciding, reading, acting = parts
    problems = common.reporting.problems
    return Housekeeping(
        common.inbox,
        (
            MetricsUpdate(
                common.reporting.metrics, reading.intake, reading.resolver, common.reporting.outbox
            ),
            StoreCleanup(last.store, deciding.inputs, last.pending_hits, problems.problem(last.store.name)),
            CiliumCheck(last.firewall_sink, problems.problem("Cilium", critical=False)),
            Reports(
                acting.unbannable,
                acting.budget_monitor,
                last.repairs,
                ConnectionTable(problems.problem("connections", critical=False)),
            ),
            MaxBansReport(problems.problem("the number of bans", critical=False)),
            RefusedBansReport(
                deciding.exposed, deciding.network, last.firewall, common.reporting.metrics.guard, problems
            ),
            OwnNetworksCheck(deciding.inputs, public_addresses),
            AllowedExpiry(deciding.inputs),
            acting.activity,
            unread_logs,
        ),
    )
