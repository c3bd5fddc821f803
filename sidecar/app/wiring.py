"""The wiring: `build` makes all parts of the daemon, in the order in which they depend on each other.

    sources ─▶ intake ─▶ inbox ─▶ loop(guard) ─▶ sinks: firewall, store, metrics, log, alerts, fleet

Each step returns what the later ones need, and nothing is handed out before it is complete. The guard is given to the
loop alone; what needs it is given the inbox. Nothing runs yet: `Daemon.run` starts the threads.
"""

from __future__ import annotations

import logging
import math
import secrets
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sidecar.access.logs import AccessLogs
from sidecar.alerts.sink import StoredTurns
from sidecar.app import host, last_run
from sidecar.app.budget_monitor import BudgetMonitor
from sidecar.app.bypasses import Bypasses
from sidecar.app.clock_watch import ClockWatch, RemembersTimes
from sidecar.app.daemon import Daemon, Resource, Startup
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.app.guard_inputs import GuardInputs
from sidecar.app.host_changes import HostChanges
from sidecar.app.host_names import HostNames, WatchedNames
from sidecar.app.host_network import HostNetwork
from sidecar.app.last_run import PendingHits
from sidecar.app.log_states import LogStates
from sidecar.app.parts import Acting, Claims, Common, Deciding, FromLogs, LastRun, Parts
from sidecar.app.reading import LogReading
from sidecar.app.reload import Reconfiguration
from sidecar.app.reload_service import ReadSettings, ReloadReport, ReloadService
from sidecar.app.repairs import RepairAlerts
from sidecar.app.reporting import Reporting
from sidecar.app.restore import RestoredBans
from sidecar.app.run_mark import RunMark
from sidecar.app.services import make_services
from sidecar.app.unbannable import UnbannableFailures
from sidecar.config import log_formats, node_name
from sidecar.config.settings import LogSettings, Settings
from sidecar.control.commands.daemon import Tally
from sidecar.control.commands.top import RecentEvents
from sidecar.control.server import ControlSocket
from sidecar.core.ban_budget import BanBudget
from sidecar.core.guard import Guard
from sidecar.core.jail import MANUAL_JAIL
from sidecar.core.sites import Sites, with_sites
from sidecar.filters.matcher import Matcher
from sidecar.firewall import Firewall, FirewallClaim, FirewallSink, NftTable
from sidecar.firewall.layout import LayoutFile
from sidecar.runtime.clock import Clock, HostClock
from sidecar.runtime.loop import Command, Inbox, Loop, Sink
from sidecar.runtime.memory import MemoryCgroup
from sidecar.runtime.problems import Problems
from sidecar.runtime.supervisor import Supervisor
from sidecar.sources.base import Outputs
from sidecar.sources.dns import Resolver
from sidecar.sources.factories import SourceInputs
from sidecar.sources.intake import Intake
from sidecar.sources.registry import SourceRegistry
from sidecar.stores.sqlite import SqliteStore
from sidecar.telemetry.decision_log import DecisionLog
from sidecar.telemetry.event_log import EventFormat, EventLog, handler_for
from sidecar.telemetry.metrics.fleet import FleetMetrics
from sidecar.web.activity import Activity
from sidecar.web.doctor import Doctor

if TYPE_CHECKING:
    from sidecar.fleet import FleetMember

log = logging.getLogger(__name__)


def build(
    settings: Settings,
    read: ReadSettings,
    clock: Clock,
    arguments: Sequence[str] = (),
    restored: RestoredBans | None = None,
) -> Daemon:
    """Make a daemon. `read` reads the settings again for a reload; `clock` is unix time.

    `arguments` have other commands read the same configuration. `restored` are the bans that are in force already.

    Raises NoSocket, StoreError, SourceUnavailable, FirewallError and OSError, each with a sentence for the operator.
    """
    host_clock = HostClock(clock)
    # First, as everything else may have a problem.
    reporting = Reporting.of(settings)
    common = Common(settings, clock, host_clock, host_clock.reading.at, reporting, Inbox())
    problems = common.reporting.problems
    # A second daemon on this host ends here, before it touches the store or the firewall.
    host_claim = restored.claim if restored else FirewallClaim()
    if host_claim.warning:
        log.warning("%s", host_claim.warning)
    claims = Claims(host_claim, ControlSocket(settings.paths.socket))
    run_mark = RunMark(settings.paths.state)
    last = _load_last_run(common, restored)
    deciding = _make_guard(common, last)
    reading = _make_sources(common, last, deciding)
    acting = _make_loop(common, last, deciding)

    supervisor = Supervisor(problems)
    log_reading = LogReading(
        filters=settings.filters, access_logs=deciding.access_logs, intake=reading.intake, sources=reading.sources,
        supervisor=supervisor, problems=problems, clock=clock,
    )  # fmt: skip
    first_reading = reading.sources.prepare(settings, common.now)
    reading.sources.reconfigure(settings, first_reading, common.now)
    reconfiguration = Reconfiguration(
        inbox=common.inbox, budget=acting.budget_monitor, inputs=deciding.inputs, firewall=last.firewall_sink,
        metrics=common.reporting.metrics, fleet=acting.fleet, reading=log_reading, outbox=common.reporting.outbox,
    )  # fmt: skip
    reload_report = ReloadReport(common.reporting.metrics.process, problems, clock)
    reload = ReloadService(settings, read, reconfiguration, reload_report)
    doctor = Doctor([*arguments, "--socket", str(settings.paths.socket)])
    parts = Parts(last, deciding, reading, acting)
    services = make_services(common, claims, parts, reload, doctor)
    startup = Startup(
        commands=_first_commands(last, deciding, reading),
        services=services,
        names=reading.names,
        sources=first_reading.services,
    )
    resources: list[Resource] = [
        doctor,
        *([acting.fleet] if acting.fleet else []),
        reading.intake,
        # After the sinks' last turn.
        last.store,
        *([acting.event_log] if acting.event_log else []),
        run_mark,
        # Last: the next daemon may start now.
        claims.host,
    ]

    reload_report.started(settings)
    last_run.report_store(last.store, problems)
    # Last, so that nothing was changed in the kernel if anything above fails. Filters take seconds to compile, so the
    # time is not `now`.
    networks = (*deciding.inputs.allowlist.networks(4), *deciding.inputs.allowlist.networks(6))
    _enforce(last, restored, networks, clock())
    if acting.event_log:
        acting.event_log.restored(last.remembered.bans, clock())
    run_mark.set()
    return Daemon(
        loop=acting.loop, inbox=common.inbox, startup=startup, supervisor=supervisor,
        reload=reload, firewall=last.firewall_sink, alerts=common.reporting.alerts, resources=resources,
    )  # fmt: skip


def _load_last_run(common: Common, restored: RestoredBans | None) -> LastRun:
    """Open the store and read the table in the kernel, which is not changed."""
    settings, reporting, problems = common.settings, common.reporting, common.reporting.problems
    store = SqliteStore(settings.paths.state / "state.db", common.host_clock)
    layout_file = LayoutFile(settings.paths.state)
    sites = Sites.of_layout(layout_file.read().ports)
    # Until the container engine has answered, bans of a site close the ports that led to it.
    jails = tuple(with_sites((*settings.jails, MANUAL_JAIL), sites))
    firewall = restored.firewall if restored else Firewall(NftTable(), jails)
    cgroup = MemoryCgroup.find()
    remembered = last_run.load(store, firewall, common.now, cgroup, restored)
    reporting.outbox.open(None if store.unavailable else remembered.bans)
    pending_hits = PendingHits(remembered.hits, [*(jail.name for jail in settings.jails), MANUAL_JAIL.name])
    repairs = RepairAlerts(reporting.alerts, problems.problem("firewall table"))
    firewall_sink = FirewallSink(
        firewall, common.inbox, problems, common.reporting.metrics.firewall, repairs,
        layout_file=layout_file,
    )  # fmt: skip
    return LastRun(store, remembered, pending_hits, sites, jails, firewall, firewall_sink, repairs, cgroup)


def _enforce(last: LastRun, restored: RestoredBans | None, allowlist: Sequence[str], now: float) -> None:
    """Have the bans of the last run in force. A restored firewall has them already, for the jails as they were."""
    bans = last.remembered.bans
    if restored:
        last.firewall.reconfigure(last.jails, now)
    is_in_force = restored is not None and bans is restored.read.bans
    last.firewall_sink.start(None if is_in_force else bans, allowlist, now)


def _make_guard(common: Common, last: LastRun) -> Deciding:
    settings, remembered = common.settings, last.remembered
    watched_names = WatchedNames()
    access_logs = AccessLogs(log_formats.declared(settings.jails, {}, settings.allowlist))
    inputs = GuardInputs(
        settings, host.own_networks(), watched_names, last.firewall_sink, problems=common.reporting.problems,
        access_logs=access_logs, allowed=remembered.allowed, sites=last.sites,
    )  # fmt: skip
    exposed = ExposedContainers(common.reporting.metrics.allowlist, common.reporting.problems)
    network = HostNetwork(host.addresses, common.reporting.problems)
    budget = BanBudget(*settings.budget.rate, settings.budget.share, settings.budget.site_share)
    guard = Guard(
        settings.jails, inputs.allowlist, remembered.bans, remembered.history,
        history_age_s=settings.dbpurgeage, max_bans=settings.max_bans, budget=budget, witness=last.firewall,
        # Without the store it is unknown how far logs were read, and which clients were unbanned since: if their
        # failures were counted again, they would be banned again. Many logs stamp whole seconds.
        counts_from=math.floor(common.now) if last.store.unavailable else -math.inf,
        allowed=remembered.allowed,
    )  # fmt: skip
    guard.set_sites(last.sites)
    common.reporting.metrics.bans.set_active(guard.view.enforced_bans)
    return Deciding(guard, inputs, budget, exposed, network, watched_names, access_logs)


def _make_sources(common: Common, last: LastRun, deciding: Deciding) -> FromLogs:
    inbox, problems = common.inbox, common.reporting.problems
    changes = HostChanges(
        inbox, deciding.inputs, deciding.exposed, deciding.network, last.pending_hits, problems=problems
    )
    names = HostNames(deciding.watched_names, changes, problems)
    resolver = Resolver(inbox)
    matcher = Matcher(common.settings.filters, problems=problems, access_logs=deciding.access_logs)
    intake = Intake(matcher, inbox, resolver, common.clock, problems.problem("filtering"))
    log_states = LogStates(common.reporting.metrics)
    outputs = Outputs(intake, log_states, problems)
    sources = SourceRegistry(SourceInputs(outputs, changes, last.remembered.cursors, resolver))
    return FromLogs(sources, intake, resolver, names, log_states)


def _make_loop(common: Common, last: LastRun, deciding: Deciding) -> Acting:
    settings, metrics, problems = common.settings, common.reporting.metrics, common.reporting.problems
    fleet = _join_fleet(settings, common.inbox, metrics.fleet, problems, common.clock)
    unbannable = UnbannableFailures(deciding.inputs, deciding.exposed, metrics.allowlist, problems)
    budget_monitor = BudgetMonitor(settings.budget, deciding.budget, metrics.allowlist, problems)
    tally, recent = Tally(common.now), RecentEvents()
    activity = Activity(last.firewall_sink, common.now)
    event_log = _event_log(settings.log, deciding.inputs, problems)
    alerts = common.reporting.alerts
    sinks: list[Sink] = [
        # First, so that a ban is in force at once.
        last.firewall_sink,
        # Before the store, and not sent before `StoredTurns`: a crash between them loses no alert and doubles none.
        alerts,
        # Early, so that a crash after it loses nothing that was decided.
        metrics.loop.timed(last.store),
        # After the firewall: measures when the bans of the turn are in force.
        metrics.bans,
        # After the store: sends what `alerts` prepared.
        StoredTurns(common.reporting.outbox),
        # In any order.
        tally, recent, budget_monitor, unbannable, DecisionLog(),
        Bypasses(last.firewall, deciding.inputs, deciding.network, metrics.firewall, alerts, inbox=common.inbox),
        activity,
        *([event_log] if event_log else []),
        *([fleet.publisher] if fleet else []),
        # Last, to measure the whole turn.
        metrics.loop,
    ]  # fmt: skip
    keepers: list[RemembersTimes] = [last.firewall_sink, last.store, *([fleet] if fleet else [])]
    clock_watch = ClockWatch(common.host_clock, keepers, problems.problem("the clock", critical=False))
    loop = Loop(
        deciding.guard,
        common.inbox,
        sinks,
        common.clock,
        problems,
        backlog=last.store,
        turn_clock=clock_watch,
    )
    metrics.loop.observe_inbox(common.inbox)
    metrics.loop.observe_store(last.store)
    return Acting(loop, fleet, unbannable, budget_monitor, tally, recent, activity, event_log)


def _first_commands(last: LastRun, deciding: Deciding, reading: FromLogs) -> list[Command]:
    # An address that the last run banned may be allowlisted by now.
    commands: list[Command] = [deciding.inputs.apply_allowlist]
    # A source that reports the topology says later which addresses are never banned.
    if not reading.sources.reports_topology:
        commands.append(last.pending_hits.count)
    return commands


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
