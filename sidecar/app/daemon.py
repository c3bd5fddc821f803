"""The wiring: what is started, in which order, and what each is given.

sources ─▶ intake ─▶ inbox ─▶ loop(guard) ─▶ firewall, store, metrics, log, alerts
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import logging
import math
import re
import resource
import secrets
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from sidecar import __version__
from sidecar.advice import kubernetes
from sidecar.alerts import registry as sender_registry
from sidecar.alerts.compose import started, stopped
from sidecar.alerts.outbox import Outbox
from sidecar.alerts.sink import AlertSink
from sidecar.app import host
from sidecar.app.allowlist import AllowlistKeeper, SightingVerifier
from sidecar.app.bypasses import Bypasses
from sidecar.app.metric_labels import INVALID_ADDRESS, known_labels
from sidecar.app.reload import Reload
from sidecar.app.repairs import RepairAlerts
from sidecar.config import labels
from sidecar.config.changes import ReloadOutcome
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.config.settings import Settings
from sidecar.control.commands.daemon import Tally
from sidecar.control.commands.table import daemon_commands
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.control.server import ControlApplication, ControlSocket, NoSocket, control_server, only_one
from sidecar.core.allowlist import CONTAINERS, GATEWAY, OWN, RESOLVER
from sidecar.core.events import Ban, Decision, Topology, Turn
from sidecar.core.guard import Guard
from sidecar.core.jail import MANUAL_JAIL
from sidecar.filters.loader import equivalent
from sidecar.filters.matcher import Matcher
from sidecar.firewall import (
    Firewall,
    FirewallError,
    FirewallSink,
    Monitor,
    NftTable,
    NoPermission,
)
from sidecar.runtime.loop import Inbox, Loop, Sink
from sidecar.runtime.problems import Problems
from sidecar.runtime.supervisor import PeriodicTask, Service, Supervisor
from sidecar.sources.base import Outputs, ReopenReason, SourceUnavailable
from sidecar.sources.dns import Resolver
from sidecar.sources.factories import SourceInputs
from sidecar.sources.intake import Intake
from sidecar.sources.registry import SourceRegistry
from sidecar.stores.base import StoreError
from sidecar.stores.sqlite import SqliteStore
from sidecar.telemetry.decision_log import DecisionLog
from sidecar.telemetry.http import Health, TelemetryEndpoints, listen, telemetry_server
from sidecar.telemetry.logging import configure_logging, records_dropped
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.metrics.declare import Declaration

if TYPE_CHECKING:
    from sidecar.fleet import FleetMember

log = logging.getLogger(__name__)

ALIVE = (
    30.0  # seconds without a turn until the loop counts as dead; the longest true turn is 100,000 bans, 1 s
)
TIDY, LOOK = 30.0, 1.0  # seconds between tidying up, and between asking whether something is to be looked at
FILES = 65_536  # open at once: each log is one, and each connection
CONFIGURATION = "the configuration"  # what is in trouble when a new one has mistakes


def run(
    settings: Settings, clock: Callable[[], float] = time.time, read: Callable[[], Settings] | None = None
) -> int:
    """Watch until told to stop; the exit code. Raises Failed, with a sentence, where it cannot work at all.

    `read()` reads the settings anew when a reload is asked for, and raises Mistakes.
    """
    configure_logging(settings.log.level, as_json=settings.log.as_json)
    _many_files()
    gc.disable()  # what is made now stays; with 100,000 bans looking through it again and again takes a second
    try:
        daemon = Daemon(settings, clock, read or (lambda: settings))
    except (NoSocket, SourceUnavailable) as err:
        raise Failed(ExitCode.UNAVAILABLE, str(err)) from err
    except NoPermission as err:
        raise Failed(ExitCode.NO_PERMISSION, str(err)) from err
    except (StoreError, FirewallError, OSError) as err:
        raise Failed(ExitCode.CONFIG, str(err)) from err
    gc.freeze()
    gc.enable()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    signal.signal(signal.SIGHUP, lambda *_: daemon.reload())
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # `kill -USR1`: what is every thread doing?
    daemon.run()
    return 0


class Daemon:
    """One run. `_settings` are those in force; the loop's thread swaps them whole."""

    def __init__(self, settings: Settings, clock: Callable[[], float], read: Callable[[], Settings]) -> None:
        self._settings, self._clock = settings, clock
        now = clock()
        prometheus = CollectorRegistry()
        self._senders = sender_registry.make_senders(settings.alerts, socket.gethostname())
        names = [*(jail.name for jail in settings.jails), MANUAL_JAIL.name]
        in_fleet = settings.fleet.redis is not None
        known = known_labels(settings, self._senders)
        self._metrics = Metrics.declared(Declaration(prometheus), __version__, known, fleet=in_fleet)
        self._outboxes = [Outbox(sender, self._metrics.alerts) for sender in self._senders]
        self._alerts = AlertSink(self._outboxes)
        self._troubles = Problems(self._alerts)
        self._streams = Streams(self._metrics)

        self._only = only_one()  # first, so that a second one ends here
        self._control = ControlSocket(settings.paths.socket)
        self._store = SqliteStore(settings.paths.state / "state.db")
        remembered = self._store.load(now)
        self._inbox, self._looked = Inbox(), -math.inf
        self._firewall = Firewall(NftTable(), (*settings.jails, MANUAL_JAIL))
        self._enforcing = FirewallSink(
            self._firewall, self._inbox, self._troubles,
            self._metrics.firewall, RepairAlerts(self._alerts),
        )  # fmt: skip
        if self._store.is_new:
            remembered = replace(remembered, bans=self._adopted(now))
        self._trusting = AllowlistKeeper(
            settings, own(), self._metrics.allowlist, self._troubles.report, self._renamed
        )
        self._mislabelled: frozenset[str] = frozenset()  # containers with labels that are wrong
        allowlist = self._trusting.allowlist()
        self._guard = Guard(
            settings.jails, allowlist, remembered.bans, remembered.history, history_age_s=settings.dbpurgeage,
            budget=self._trusting.budget, verifier=SightingVerifier(self._trusting, self._firewall),
        )  # fmt: skip
        self._hits = tuple(hit for hit in remembered.hits if hit.jail in names)  # until `_recall`
        self._store.recover_from(self._guard.view)
        self._metrics.bans.set_active(self._guard.view.enforced_bans)
        self._metrics.process.reloaded(now, succeeded=True)

        self._metrics.process.observe_inbox(self._inbox)
        self._reload = Reload(settings, read, self._take_over, self._reloaded)
        self._fleet = self._make_fleet()
        tally = Tally(now)
        self._commands = daemon_commands(
            self._inbox, health=self, streams=self._streams.states, firewall=self._enforcing,
            reloader=self._reload, evidence=self._store, fleet=self._fleet, tally=tally,
        )  # fmt: skip
        self._resolver = Resolver(self._inbox)
        matcher = Matcher(settings.filters, problems=self._troubles)
        self._intake = Intake(
            matcher, self._inbox, self._resolver, clock, self._troubles.problem("filtering")
        )
        outputs = Outputs(self._intake, self._streams, self._troubles)
        self._registry = SourceRegistry(SourceInputs(outputs, self, remembered.cursors, self._resolver))
        sinks: list[Sink] = [
            self._enforcing, self._store, self._metrics.bans, tally,
            self._trusting, DecisionLog(), self._alerts,
            Bypasses(self._firewall, self._trusting, self._metrics.firewall, self._alerts, self._inbox),
        ]  # fmt: skip
        if self._fleet:
            sinks.append(self._fleet.publisher)
        self._loop = Loop(self._guard, self._inbox, sinks, clock, self._troubles, backlog=self._store)
        self._services = Supervisor(self._troubles)
        self._web = telemetry_server(listen(*settings.listen), TelemetryEndpoints(prometheus, self))
        self._sources = self._registry.prepare(settings, now)
        self._registry.reconfigure(settings, self._sources, now)
        never = (*allowlist.networks(4), *allowlist.networks(6))
        self._enforcing.start(
            self._guard.view.bans, never, clock()
        )  # not `now`: filters take seconds to compile

    def run(self) -> None:
        """Start all, turn until `stop()`, then end in the order that loses nothing."""
        bans = len(self._guard.view.bans)
        for note in self._settings.notes:
            log.warning("%s", note)
        for error in self._settings.errors:
            log.error("%s", error)
            self._troubles.report(place(error), f"a jail is left out: {error}")
        self._tell_of_store()
        log.info("wp-sidecar %s: %d jails, %d bans in force", __version__, len(self._settings.jails), bans)
        self._alerts.publish(started(__version__, [jail.name for jail in self._settings.jails], bans))
        self._soon(self._retrust)  # a ban of the last run, and an ignoreip of this one
        if not self._registry.reports_topology:
            self._soon(self._recall)
        look = PeriodicTask("look", self._look, LOOK)
        monitor = Monitor(self._enforcing)
        control = control_server(self._control, ControlApplication(self._commands))
        services: list[Service] = [
            *self._outboxes, self._web, control, self._reload, look, monitor, self._trusting.names,
        ]  # fmt: skip
        if self._fleet:
            services += [self._fleet.publisher, self._fleet.subscriber]
        for service in services:
            self._services.start(service)
        self._trusting.names.first()  # before anyone is banned, if they are quick
        for source in self._sources.services:
            self._services.start(source)
        self._loop.run()
        left = len(self._guard.view.bans)
        if self._settings.flush_on_exit and self._enforcing.flush():
            left = 0
        self._enforcing.close()
        self._alerts.publish(stopped(left))
        self._services.close()
        if self._fleet:
            self._fleet.close()
        self._intake.close()
        self._store.close()
        self._only.close()
        log.info("stopped; %d bans stay in force", left)

    def _tell_of_store(self) -> None:
        """That nothing is remembered for now, or that what was is lost."""
        if self._store.unavailable:
            log.error("bans are not remembered: %s", self._store.unavailable)
            self._troubles.report(self._store.name, self._store.unavailable)
        if self._store.repaired:
            log.warning("%s", self._store.repaired)
            self._troubles.report("the store", self._store.repaired)
            self._troubles.report("the store", None)

    def stop(self) -> None:
        """Make `run()` return soon. Safe in a signal handler."""
        self._loop.stop()

    def reload(self) -> None:
        """Read the configuration anew, soon. Safe in a signal handler."""
        self._reload.soon()

    def _make_fleet(self) -> FleetMember | None:
        """Our part in the fleet, where there is one. Redis's client is loaded only then: it weighs 8 MB."""
        settings = self._settings
        if settings.fleet.redis is None or self._metrics.fleet is None:
            return None
        from sidecar.fleet import FleetMember, FleetStore, Node, RedisConnection  # noqa: PLC0415

        node = Node(settings.node or named(socket.gethostname()), settings.fleet.key, secrets.token_hex(4))
        return FleetMember(
            FleetStore(RedisConnection(settings.fleet.redis), settings.fleet.prefix), node,
            inbox=self._inbox, jails=settings.jails, listener=self._metrics.fleet,
            problems=self._troubles, clock=self._clock,
        )  # fmt: skip

    def _take_over(self, settings: Settings) -> None:
        """Make these the settings in force; returns when they are. Raises Mistakes, and then nothing has changed."""
        try:
            new = self._registry.prepare(settings, self._clock())
        except (SourceUnavailable, OSError) as err:
            raise ConfigErrors([ConfigError("environment", "", "", str(err))]) from err
        same = equivalent(
            self._settings.filters, settings.filters
        )  # then what they remember of other lines stays
        matcher = None if same else Matcher(settings.filters, problems=self._troubles)

        def work(now: float) -> Sequence[Decision]:
            """In one turn of the loop, so that no line is half decided by each."""
            before, self._settings = self._settings, settings
            self._trusting.take(settings)
            self._label()
            jails, age = self._trusting.jails(), settings.dbpurgeage
            decisions = [*self._guard.reconfigure(jails, now, age), *self._retrust(now)]
            self._enforcing.reconfigure(self._guard.view.jails, now)
            self._metrics.reconfigure(jail.name for jail in settings.jails)
            if self._fleet:
                self._fleet.reconfigure(settings.jails)
            if matcher:  # from here on there are hits of the new jails, and the guard knows those
                self._intake.reconfigure(matcher)
            self._registry.reconfigure(settings, new, now)
            for service in new.services:
                self._services.start(service)
            sender_registry.reconfigure(self._senders, settings.alerts)
            for error in before.errors:
                self._troubles.report(place(error), None)
            return decisions

        self._inbox.ask(work).result()

    # What other threads have done in the loop's

    def _soon(self, work: Callable[[float], Sequence[Decision]]) -> None:
        """Have this done in the loop's thread, when it gets there."""
        self._inbox.submit(lambda _, now: work(now))

    def on_topology_changed(self, around: Topology) -> None:
        """The container engine says that networks or ports have changed."""

        def work(now: float) -> Sequence[Decision]:
            self._trusting.surrounded(around)
            self._label()
            return [*self._retrust(now), *self._recall(now)]

        self._soon(work)

    def _renamed(self) -> None:
        """A name in some ignoreip stands for others now."""

        def work(now: float) -> Sequence[Decision]:
            self._label()
            return [*self._guard.reconfigure(self._trusting.jails(), now), *self._retrust(now)]

        self._soon(work)

    def _label(self) -> None:
        """What the containers' labels say over the jails, for the guard; what is wrong with them, for people."""
        names, around = [jail.name for jail in self._settings.jails], self._trusting.around
        policies, wrong = labels.read(around.containers if around else (), names)
        self._guard.set_overrides(self._trusting.policies(policies))
        for name in self._mislabelled - wrong.keys():
            self._troubles.report(f"labels of {name}", None)
        for name, sentence in wrong.items():
            self._troubles.report(f"labels of {name}", sentence, critical=False)
        self._mislabelled = frozenset(wrong)

    def _recall(self, now: float) -> Sequence[Decision]:
        """Count the failures of the last run, once it is known who is never banned; a lower maxretry may ban now."""
        hits, self._hits = self._hits, ()
        return self._guard.hits(hits, now)

    def _look(self) -> None:
        """Each second: is there something to be looked at?"""
        self._enforcing.check()
        if time.monotonic() - self._looked >= TIDY:
            self._looked = time.monotonic()
            self._soon(self._tidy)

    def _adopted(self, now: float) -> tuple[Ban, ...]:
        """Whom the kernel keeps out where the store begins with nothing: they go on, and are stored."""
        bans = tuple(self._firewall.adoptable(now))
        if bans:
            log.warning("the store knows of no ban: the %d in the kernel go on", len(bans))
            with contextlib.suppress(StoreError):  # it was told, and these are owed
                self._store.apply(Turn(now, bans))
        return bans

    def _tidy(self, now: float) -> Sequence[Decision]:
        """Figures for the metrics, old rows out of the store, and this host's addresses as they are now."""
        self._metrics.filters.update(self._intake.usage)
        ignored = self._guard.view.ignored | {INVALID_ADDRESS: self._intake.invalid}
        self._metrics.guard.update(self._guard.view.usage, ignored, self._resolver.dropped)
        self._metrics.process.log_records_dropped(records_dropped())
        if not self._hits:  # else it is not known yet for how long they count: containers' labels say
            self._forget(now)
        if (dropped := self._enforcing.count_drops()) is not None:
            self._troubles.report(
                "Cilium", kubernetes.cilium_bypass(host.interfaces(), dropped), critical=False
            )
        self._trusting.look(now)
        known, self._trusting.own = self._trusting.own, own()
        return self._retrust(now) if known != self._trusting.own else ()

    def _forget(self, now: float) -> None:
        try:
            self._store.forget(now - self._guard.view.longest_findtime, now - self._settings.dbpurgeage)
        except StoreError as err:
            if not self._troubles.about(self._store.name):
                log.error("%s", err)  # noqa: TRY400 - it is one sentence
            self._troubles.report(self._store.name, str(err))
        else:
            self._troubles.report(self._store.name, None)

    def _retrust(self, now: float) -> Sequence[Decision]:
        """Who may never be banned has changed: for the guard, and for the kernel's accept rules."""
        allowlist, around = self._trusting.allowlist(), self._trusting.around
        decisions = self._guard.set_allowlist(allowlist, now)
        never = (*allowlist.networks(4), *allowlist.networks(6))
        self._enforcing.set_topology(never, now, around.published if around else None)
        return decisions

    def _reloaded(self, outcome: ReloadOutcome) -> None:
        """Tell what became of a wish for a new configuration. Not in the loop's thread."""
        self._metrics.process.reloaded(self._clock(), succeeded=outcome.ok)
        for error in outcome.errors:
            log.error("%s", error)
        if not outcome.ok:
            log.error("nothing was changed, the old configuration stays in force")
            more = len(outcome.errors) - 1
            others = f" (and {more} more: check-config has all)" if more else ""
            sentence = f"the old configuration stays, the new one has mistakes: {outcome.errors[0]}{others}"
            self._troubles.report(CONFIGURATION, sentence, critical=False)
            return
        self._troubles.report(CONFIGURATION, None)
        for note in outcome.settings.notes:
            log.warning("%s", note)
        if outcome.restart:
            log.warning("needs a restart to be taken over: %s", ", ".join(outcome.restart))
        log.info("the new configuration is in force: %d jails", len(outcome.settings.jails))

    def health(self) -> Health:
        silent = self._clock() - self._loop.last_turn_at
        why = self._troubles.sentences
        if not -ALIVE < silent < ALIVE:
            return Health(live=False, ready=False, why=(*why, f"the loop has not turned for {silent:.0f} s"))
        return Health(live=True, ready=not self._troubles.critical, why=why)


def place(error: ConfigError) -> str:
    """By what name a jail that is left out is in trouble."""
    return f"{error.file}:{error.line}"


class Streams:
    """What the sources tell, on its way to the metrics; which logs are being read is kept for `status`."""

    def __init__(self, metrics: Metrics) -> None:
        self.states: dict[str, str] = {}
        self._metrics = metrics
        self.batch_read, self.lines_truncated = metrics.sources.batch_read, metrics.sources.lines_truncated

    def log_opened(self, name: str) -> None:
        self.states[name] = "open"
        self._metrics.sources.log_opened(name)

    def log_closed(self, name: str) -> None:
        self.states[name] = "closed"
        self._metrics.sources.log_closed(name)

    def log_unreadable(self, name: str) -> None:
        self.states[name] = "unreadable"
        self._metrics.sources.log_unreadable(name)

    def log_reopened(self, name: str, reason: ReopenReason) -> None:
        self._metrics.sources.log_reopened(name, reason)

    def log_gap(self, name: str) -> None:
        self._metrics.sources.log_gap(name)

    def log_removed(self, name: str) -> None:
        self.states.pop(name, None)
        self._metrics.sources.log_removed(name)
        self._metrics.allowlist.log_removed(name)


def own() -> dict[str, tuple[str, ...]]:
    """What of this host itself may never be banned: why -> addresses."""
    return {
        CONTAINERS: host.container_networks(),  # first: their gateways are our own addresses, but that says more
        OWN: host.addresses(),
        GATEWAY: host.gateways(),
        RESOLVER: host.resolvers(),
    }


def named(host: str) -> str:
    """A host's name as a node's: what is no letter, digit, `.`, `-` or `_` becomes `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", host).lstrip("_.-")[:253] or "node"


def _many_files() -> None:
    """Open as many as we may: 1,024 is what a shell lets one have, and with more logs nobody else here gets any."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(FILES, hard) if hard != resource.RLIM_INFINITY else FILES
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
