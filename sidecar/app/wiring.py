"""The wiring: one function makes all parts of the daemon, in the order in which they depend on each other.

    sources ─▶ intake ─▶ inbox ─▶ loop(guard) ─▶ sinks: firewall, store, metrics, log, alerts, fleet

Nothing is handed out before it is complete. The guard is given to the loop alone; what needs it is given the inbox.
Nothing runs yet: `Daemon.run` starts the threads.
"""

from __future__ import annotations

import math
import secrets
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sidecar.access.logs import AccessLogs
from sidecar.alerts.sink import StoredTurns
from sidecar.app import host, last_run
from sidecar.app.ban_limit_report import BanLimitReport
from sidecar.app.budget_monitor import BudgetMonitor
from sidecar.app.bypasses import Bypasses
from sidecar.app.clock_watch import ClockWatch
from sidecar.app.daemon import Daemon, Resource, Startup
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.app.guard_inputs import GuardInputs
from sidecar.app.health import LoopHealth
from sidecar.app.host_changes import HostChanges
from sidecar.app.host_names import HostNames, WatchedNames
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
from sidecar.app.last_run import PendingHits
from sidecar.app.log_details import LogDetails
from sidecar.app.log_states import LogStates
from sidecar.app.memory_watch import INTERVAL_S as MEMORY_CHECK_INTERVAL_S
from sidecar.app.memory_watch import MemoryWatch
from sidecar.app.public_address import PublicAddresses, cloud_of
from sidecar.app.reading import LogReading
from sidecar.app.refused_bans import RefusedBansReport
from sidecar.app.reload import Reconfiguration
from sidecar.app.reload_service import ReadSettings, ReloadReport, ReloadService
from sidecar.app.repairs import RepairAlerts
from sidecar.app.reporting import Reporting
from sidecar.app.unbannable import UnbannableFailures
from sidecar.app.unread_logs import UnreadLogs
from sidecar.config import log_formats, node_name
from sidecar.config.settings import LogSettings, Settings
from sidecar.control.commands.daemon import Tally
from sidecar.control.commands.table import daemon_commands
from sidecar.control.commands.top import RecentEvents
from sidecar.control.server import ControlApplication, ControlSocket, control_server
from sidecar.core.ban_budget import BanBudget
from sidecar.core.guard import Guard
from sidecar.core.jail import MANUAL_JAIL
from sidecar.core.sites import Sites, with_sites
from sidecar.filters.matcher import Matcher
from sidecar.firewall import Firewall, FirewallClaim, FirewallSink, Monitor, NftTable
from sidecar.firewall.layout import LayoutFile
from sidecar.runtime.clock import Clock, HostClock
from sidecar.runtime.known_hosts import KnownHosts
from sidecar.runtime.loop import Command, Inbox, Loop, Sink
from sidecar.runtime.memory import MemoryCgroup
from sidecar.runtime.problems import Problems
from sidecar.runtime.supervisor import PeriodicTask, Service, Supervisor
from sidecar.sources.base import Outputs
from sidecar.sources.dns import Resolver
from sidecar.sources.factories import SourceInputs
from sidecar.sources.intake import Intake
from sidecar.sources.registry import SourceRegistry
from sidecar.stores.sqlite import SqliteStore
from sidecar.telemetry.decision_log import DecisionLog
from sidecar.telemetry.event_log import EventFormat, EventLog, handler_for
from sidecar.telemetry.http import TelemetryEndpoints, listen, telemetry_server
from sidecar.telemetry.metrics.fleet import FleetMetrics
from sidecar.web.activity import Activity
from sidecar.web.application import StatusPage
from sidecar.web.changes import ChangeForms
from sidecar.web.doctor import Doctor
from sidecar.web.sessions import Sessions

if TYPE_CHECKING:
    from sidecar.fleet import FleetMember

# Between questions whether the firewall is to be checked.
FIREWALL_CHECK_INTERVAL_S: Final = 1.0


# One list in the order of dependency is easier to check than its parts.
def build(  # noqa: PLR0915
    settings: Settings, read: ReadSettings, clock: Clock, arguments: Sequence[str] = ()
) -> Daemon:
    """Make a daemon. `read` reads the settings again for a reload; `clock` is unix time.

    `arguments` have other commands read the same configuration.

    Raises NoSocket, StoreError, SourceUnavailable, FirewallError and OSError, each with a sentence for the operator.
    """
    host_clock = HostClock(clock)
    now = host_clock.reading.at
    jails = [*(jail.name for jail in settings.jails), MANUAL_JAIL.name]

    # First, as everything else may have a problem.
    reporting = Reporting.of(settings)
    metrics, alerts, problems = reporting.metrics, reporting.alerts, reporting.problems

    # Claims: a second daemon on this host ends here, before it touches the store or the firewall.
    host_claim = FirewallClaim()
    control_socket = ControlSocket(settings.paths.socket)
    telemetry_socket = listen(*settings.listen)

    # What the last run left.
    inbox = Inbox()
    store = SqliteStore(settings.paths.state / "state.db", host_clock)
    layout_file = LayoutFile(settings.paths.state)
    sites = Sites.of_layout(layout_file.read().ports)
    # Until the container engine has answered, bans of a site close the ports that led to it.
    firewall = Firewall(NftTable(), with_sites((*settings.jails, MANUAL_JAIL), sites))
    cgroup = MemoryCgroup.find()
    remembered = last_run.load(store, firewall, now, cgroup)
    reporting.outbox.open(None if store.unavailable else remembered.bans)
    pending_hits = PendingHits(remembered.hits, jails)
    repairs = RepairAlerts(alerts, problems.problem("firewall table"))
    firewall_sink = FirewallSink(
        firewall, inbox, problems, metrics.firewall, repairs,
        layout_file=layout_file,
    )  # fmt: skip

    # The guard, and what it goes by.
    watched_names = WatchedNames()
    access_logs = AccessLogs(log_formats.declared(settings.jails, {}, settings.allowlist))
    inputs = GuardInputs(
        settings, host.own_networks(), watched_names, firewall_sink, problems=problems, access_logs=access_logs,
        allowed=remembered.allowed, sites=sites,
    )  # fmt: skip
    exposed = ExposedContainers(metrics.allowlist, problems)
    budget = BanBudget(*settings.budget.rate, settings.budget.share, settings.budget.site_share)
    guard = Guard(
        settings.jails, inputs.allowlist, remembered.bans, remembered.history,
        history_age_s=settings.dbpurgeage, max_bans=settings.max_bans, budget=budget, witness=firewall,
        # Without the store it is unknown how far logs were read, and which clients were unbanned since: if their
        # failures were counted again, they would be banned again. Many logs stamp whole seconds.
        counts_from=math.floor(now) if store.unavailable else -math.inf,
        allowed=remembered.allowed,
    )  # fmt: skip
    guard.set_sites(sites)
    metrics.bans.set_active(guard.view.enforced_bans)

    # Sources: from the logs to the inbox.
    changes = HostChanges(inbox, inputs, exposed, pending_hits, problems)
    names = HostNames(watched_names, changes, problems)
    resolver = Resolver(inbox)
    matcher = Matcher(settings.filters, problems=problems, access_logs=access_logs)
    intake = Intake(matcher, inbox, resolver, clock, problems.problem("filtering"))
    log_states = LogStates(metrics)
    outputs = Outputs(intake, log_states, problems)
    sources = SourceRegistry(SourceInputs(outputs, changes, remembered.cursors, resolver))

    # The loop with its sinks.
    fleet = _join_fleet(settings, inbox, metrics.fleet, problems, clock)
    unbannable = UnbannableFailures(inputs, exposed, metrics.allowlist, problems)
    budget_monitor = BudgetMonitor(settings.budget, budget, metrics.allowlist, problems)
    tally, recent = Tally(now), RecentEvents()
    activity = Activity(firewall_sink, now)
    event_log = _event_log(settings.log, inputs, problems)
    sinks: list[Sink] = [
        # First, so that a ban is in force at once.
        firewall_sink,
        # Before the store, and not sent before `StoredTurns`: a crash between them loses no alert and doubles none.
        alerts,
        # Early, so that a crash after it loses nothing that was decided.
        metrics.loop.timed(store),
        # After the firewall: measures when the bans of the turn are in force.
        metrics.bans,
        # After the store: sends what `alerts` prepared.
        StoredTurns(reporting.outbox),
        # In any order.
        tally, recent, budget_monitor, unbannable, DecisionLog(),
        Bypasses(firewall, inputs, metrics.firewall, alerts, inbox),
        activity,
        *([event_log] if event_log else []),
        *([fleet.publisher] if fleet else []),
        # Last, to measure the whole turn.
        metrics.loop,
    ]  # fmt: skip
    clock_watch = ClockWatch(
        host_clock, (firewall_sink, store), problems.problem("the clock", critical=False)
    )
    loop = Loop(guard, inbox, sinks, clock, problems, backlog=store, turn_clock=clock_watch)
    metrics.loop.observe_inbox(inbox)
    metrics.loop.observe_store(store)

    # What runs beside the loop.
    supervisor = Supervisor(problems)
    reading = LogReading(
        filters=settings.filters, access_logs=access_logs, intake=intake, sources=sources,
        supervisor=supervisor, problems=problems, clock=clock,
    )  # fmt: skip
    first_reading = sources.prepare(settings, now)
    sources.reconfigure(settings, first_reading, now)
    reconfiguration = Reconfiguration(
        inbox=inbox, budget=budget_monitor, inputs=inputs, firewall=firewall_sink,
        metrics=metrics, fleet=fleet, reading=reading, outbox=reporting.outbox,
    )  # fmt: skip
    reload_report = ReloadReport(metrics.process, problems, clock)
    reload = ReloadService(settings, read, reconfiguration, reload_report)
    health = LoopHealth(loop, problems)
    metrics.process.observe_readiness(lambda: health.health().ready)
    unread_logs = UnreadLogs(inputs, access_logs, log_states, intake, problems)
    commands = daemon_commands(
        inbox, health=health, streams=log_states.states, details=LogDetails(log_states, inputs),
        oddities=unread_logs, access_logs=access_logs,
        firewall=firewall_sink, inputs=inputs, reloader=reload, evidence=store, explainer=intake,
        fleet=fleet, tally=tally, recent=recent,
    )  # fmt: skip
    public_addresses = PublicAddresses(
        cloud_of() if settings.cloud_metadata else None, problems.problem("public addresses", critical=False)
    )
    housekeeping = Housekeeping(
        inbox,
        (
            MetricsUpdate(metrics, intake, resolver, reporting.outbox),
            StoreCleanup(store, inputs, pending_hits, problems.problem(store.name)),
            CiliumCheck(firewall_sink, problems.problem("Cilium", critical=False)),
            Reports(unbannable, budget_monitor, repairs),
            BanLimitReport(problems.problem("the number of bans", critical=False)),
            RefusedBansReport(exposed, firewall, metrics.guard, problems),
            OwnNetworksCheck(inputs, public_addresses),
            AllowedExpiry(inputs),
            activity,
            unread_logs,
        ),
    )
    memory_watch = MemoryWatch(inbox, cgroup, problems.problem("memory", critical=False))
    doctor = Doctor([*arguments, "--socket", str(settings.paths.socket)])
    page = StatusPage(commands, activity, ChangeForms(commands, Sessions(inputs), doctor), doctor)
    endpoints = TelemetryEndpoints(reporting.registry, health, KnownHosts(settings.listen_names), page)
    services: list[Service] = [
        reporting.outbox,
        telemetry_server(telemetry_socket, endpoints),
        control_server(control_socket, ControlApplication(commands)),
        reload,
        PeriodicTask("firewall check", firewall_sink.check, FIREWALL_CHECK_INTERVAL_S),
        PeriodicTask("memory watch", memory_watch.check, MEMORY_CHECK_INTERVAL_S),
        PeriodicTask("housekeeping", housekeeping.run, INTERVAL_S),
        Monitor(firewall_sink),
        names,
        public_addresses,
    ]
    if fleet:
        services += [fleet.publisher, fleet.subscriber]
    # An address that the last run banned may be allowlisted by now.
    first_commands: list[Command] = [inputs.apply_allowlist]
    # A source that reports the topology says later which addresses are never banned.
    if not sources.reports_topology:
        first_commands.append(pending_hits.count)
    startup = Startup(
        commands=first_commands,
        services=services,
        names=names,
        sources=first_reading.services,
    )
    resources: list[Resource] = [
        doctor,
        *([fleet] if fleet else []),
        intake,
        # After the sinks' last turn.
        store,
        *([event_log] if event_log else []),
        # Last: the next daemon may start now.
        host_claim,
    ]

    reload_report.started(settings)
    last_run.report_store(store, problems)
    # Last, so that nothing was changed in the kernel if anything above fails. Filters take seconds to compile, so the
    # time is not `now`.
    networks = (*inputs.allowlist.networks(4), *inputs.allowlist.networks(6))
    firewall_sink.start(remembered.bans, networks, clock())
    if event_log:
        event_log.restored(remembered.bans, clock())
    return Daemon(
        loop=loop, inbox=inbox, startup=startup, supervisor=supervisor,
        reload=reload, firewall=firewall_sink, alerts=alerts, resources=resources,
    )  # fmt: skip


def _event_log(settings: LogSettings, inputs: GuardInputs, problems: Problems) -> EventLog | None:
    """Make the event log; None: nobody wants one. One that cannot be opened is a problem, and no reason not to run."""
    problem = problems.problem("the event log", critical=False)
    if not settings.events:
        return None
    try:
        handler = handler_for(settings.events)
    except OSError as err:
        problem.set(f"events are not written: {err}; correct WP_SIDECAR_EVENT_LOG")
        return None
    return EventLog(handler, EventFormat(settings.event_format), inputs, problem)


def _join_fleet(
    settings: Settings,
    inbox: Inbox,
    metrics: FleetMetrics | None,
    problems: Problems,
    clock: Clock,
) -> FleetMember | None:
    """Make this host's part of the fleet; None: it is in none. Redis's client is loaded only here: it takes 8 MB."""
    if settings.fleet.redis is None or metrics is None:
        return None
    from sidecar.fleet import FleetMember, FleetStore, Node, RedisConnection  # noqa: PLC0415

    name = settings.node or node_name.from_hostname(socket.gethostname())
    return FleetMember(
        FleetStore(RedisConnection(settings.fleet.redis), settings.fleet.prefix),
        Node(name, settings.fleet.keys, secrets.token_hex(4)),
        inbox=inbox, jails=settings.jails, listener=metrics, problems=problems, clock=clock,
    )  # fmt: skip
