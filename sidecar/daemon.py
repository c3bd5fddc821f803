"""The wiring: what is started, in which order, and what each is given.

sources ─▶ intake ─▶ inbox ─▶ loop(guard) ─▶ firewall, store, metrics, log, alerts
"""

from __future__ import annotations

import faulthandler
import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from prometheus_client import CollectorRegistry

from sidecar import __version__, exits, host, journal
from sidecar.alerts import Alerts, started, stopped
from sidecar.alerts.outbox import Outbox
from sidecar.alerts.slack import Slack
from sidecar.answers import Answers
from sidecar.config import Settings
from sidecar.control import Control, NoSocket, only_one
from sidecar.core.events import Decision, Surroundings, Turn
from sidecar.core.guard import MANUAL, Guard
from sidecar.core.jail import Jail
from sidecar.core.trust import CONTAINERS, GATEWAY, IGNOREIP, OWN, RESOLVER, Trust
from sidecar.exits import Failed
from sidecar.filters.matcher import Matcher
from sidecar.firewall import Firewall, FirewallError, Monitor, NoPermission
from sidecar.health import Troubles
from sidecar.intake import Intake
from sidecar.loop import Closed, Inbox, Loop, Sink
from sidecar.metrics import Metrics
from sidecar.resolver import Resolver
from sidecar.services import Every, Service, Services
from sidecar.sources.docker import Docker, NoDocker
from sidecar.sources.files import Files
from sidecar.sources.syslog import Syslog
from sidecar.stores import StoreError
from sidecar.stores.sqlite import Sqlite
from sidecar.web import Health, Web

log = logging.getLogger(__name__)

ALIVE = (
    30.0  # seconds without a turn until the loop counts as dead; the longest true turn is 100,000 bans, 1 s
)
LOOK, SOON = 30.0, 1.0  # seconds between looks at the firewall, and while it is in trouble
STEP = 2.0  # seconds by which the clock and the kernel's timeouts may go apart: theirs are rounded to one


def run(settings: Settings) -> int:
    """Watch until told to stop; the exit code. Raises Failed, with a sentence, where it cannot work at all."""
    journal.set_up(settings.log_level, as_json=settings.log_json)
    try:
        daemon = Daemon(settings)
    except (NoSocket, NoDocker) as err:
        raise Failed(exits.UNAVAILABLE, str(err)) from err
    except NoPermission as err:
        raise Failed(exits.NO_PERMISSION, str(err)) from err
    except (StoreError, FirewallError, OSError) as err:
        raise Failed(exits.CONFIG, str(err)) from err
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # `kill -USR1`: what is every thread doing?
    daemon.run()
    return 0


class Daemon:
    """One run with one configuration."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._clock = settings, clock
        now = clock()
        registry = CollectorRegistry()
        senders = [Slack(settings.slack, socket.gethostname())] if settings.slack else []
        names = [*(jail.name for jail in settings.jails), MANUAL.name]
        self._metrics = Metrics(
            registry, __version__, jails=names, senders=[sender.name for sender in senders]
        )
        self._outboxes = [Outbox(sender, self._metrics) for sender in senders]
        self._alerts = Alerts(self._outboxes)
        self._troubles = Troubles(self._alerts.trouble)
        self._streams = Streams(self._metrics)

        self._only = only_one()  # first, so that a second one ends here
        self._control = Control(settings.socket, self._answer)
        self._store = Sqlite(settings.state / "state.db")
        remembered = self._store.load(now)
        self._around: Surroundings | None = None  # the container engine has not said yet
        self._own = own()
        trust = self._trust()
        self._guard = Guard(settings.jails, trust, bans=remembered.bans)
        self._hits = tuple(hit for hit in remembered.hits if hit.jail in names)  # until `_recall`
        self._firewall = Firewall(self._guard.jails)
        self._metrics.start(self._guard.bans)

        self._inbox, self._alarmed = Inbox(), threading.Event()
        self._looked, self._ahead = -math.inf, clock() - time.monotonic()
        self._metrics.queue(self._inbox.__len__)
        self._answers = Answers(
            self._guard, self._inbox,
            began=now, health=self._health, streams=self._streams.states, firewall=self._firewall_state,
        )  # fmt: skip
        self._matcher = Matcher(settings.filters, trouble=self._troubles.report)
        self._longest = max(jail.findtime for jail in settings.jails)
        sinks: list[Sink] = [
            Timed(self._firewall, self._metrics), self._store, self._metrics, self._answers.tally,
            journal.Journal(), self._alerts,
        ]  # fmt: skip
        self._loop = Loop(self._guard, self._inbox, sinks, clock, self._sank)
        self._services = Services(self._troubles.report)
        self._web = Web(settings.listen, registry, self._health)
        self._sources = self._make_sources(remembered.cursors, now)
        self._firewall.surround((*trust.networks(4), *trust.networks(6)))
        self._firewall.start(self._guard.bans, now)

    def run(self) -> None:
        """Start all, turn until `stop()`, then end in the order that loses nothing."""
        bans = len(self._guard.bans)
        for note in self._settings.notes:
            log.warning("%s", note)
        for mistake in self._settings.mistakes:
            log.error("%s", mistake)
            self._troubles.report(f"{mistake.file}:{mistake.line}", f"a jail is left out: {mistake}")
        if self._store.repaired:
            self._troubles.report("the store", self._store.repaired)
            self._troubles.report("the store", None)
        log.info("wp-sidecar %s: %d jails, %d bans in force", __version__, len(self._settings.jails), bans)
        self._alerts.tell(started(__version__, [jail.name for jail in self._settings.jails], bans))
        self._soon(self._retrust)  # a ban of the last run, and an ignoreip of this one
        if not any(isinstance(source, Docker) for source in self._sources):
            self._soon(self._recall)
        look = Every("look", self._look, lambda: SOON)
        monitor = Monitor(self._alarm)
        services: list[Service] = [*self._outboxes, self._web, self._control, look, monitor, *self._sources]
        for service in services:
            self._services.start(service)
        self._loop.run()
        left = len(self._guard.bans)
        if self._settings.flush_on_exit and self._flushed():
            left = 0
        self._firewall.close()
        self._alerts.tell(stopped(left))
        self._services.close()
        self._matcher.close()
        self._store.close()
        self._only.close()
        log.info("stopped; %d bans stay in force", left)

    def stop(self) -> None:
        """Make `run()` return soon. Safe in a signal handler."""
        self._loop.stop()

    def _flushed(self) -> bool:
        try:
            self._firewall.flush()
        except FirewallError as err:  # that they stay is no reason not to end well
            log.error("the bans stay in force: %s", err)  # noqa: TRY400 - it is the kernel's, and one sentence
            return False
        return True

    def _make_sources(self, cursors: Mapping[str, bytes], now: float) -> list[Service]:
        """A source of each kind that some jail needs. Raises NoDocker."""
        jails, trouble = self._settings.jails, self._troubles.report
        resolver = Resolver(self._inbox)
        intake = Intake(self._matcher, self._inbox, self._clock, resolver.ask)
        sources: list[Service] = []
        if any(rules.resolves for rules in self._settings.filters.values()):
            sources.append(resolver)
        if any(jail.containers or jail.absent or not jail.logpath for jail in jails):
            docker = Docker(
                self._settings.docker, jails, intake, self._surrounded,
                cursors=cursors, since=now - self._longest, listener=self._streams, trouble=trouble,
            )  # fmt: skip
            docker.check()
            sources.append(docker)
        if paths := logpaths(jails):
            sources.append(Files(paths, intake, cursors=cursors, listener=self._streams, trouble=trouble))
        if path := self._settings.syslog:
            everywhere = tuple(jail.name for jail in jails if not jail.containers)
            sources.append(Syslog(path, everywhere, intake, listener=self._streams))
        return sources

    # What other threads have done in the loop's

    def _soon(self, work: Callable[[float], Sequence[Decision]]) -> None:
        """Have this done in the loop's thread, when it gets there."""
        try:
            self._inbox.ask(work).add_done_callback(_logged)
        except Closed:
            log.debug("the loop has stopped")

    def _surrounded(self, around: Surroundings) -> None:
        """The container engine says that networks or ports have changed."""

        def work(now: float) -> Sequence[Decision]:
            self._around = around
            return [*self._retrust(now), *self._recall(now)]

        self._soon(work)

    def _recall(self, now: float) -> Sequence[Decision]:
        """Count the failures of the last run, once it is known who is never banned; a lower maxretry may ban now."""
        hits, self._hits = self._hits, ()
        return self._guard.hits(hits, now)

    def _alarm(self) -> None:
        """Someone else has changed our table. Many alarms before the loop gets there are one."""
        if not self._alarmed.is_set():
            self._alarmed.set()
            self._soon(self._reconcile)

    def _sank(self, name: str, sentence: str | None) -> None:
        """A sink failed, or did not. That the firewall is right again, only a look at the kernel says."""
        if sentence or name != Timed.name:
            self._troubles.report(name, sentence)

    def _look(self) -> None:
        """Each second: is there something to be looked at?"""
        now = time.monotonic()
        due = now - self._looked >= LOOK
        if due or self._troubles.about(Timed.name):
            self._alarm()
        if due:
            self._looked = now
            self._soon(self._tidy)

    def _reconcile(self, now: float) -> Sequence[Decision]:
        self._alarmed.clear()
        ahead = now - time.monotonic()
        stepped = abs(ahead - self._ahead) > STEP
        try:
            repair = self._firewall.reconcile(now, whole=stepped)
        except FirewallError as err:
            self._troubles.report(Timed.name, str(err))
            return ()
        self._ahead = ahead if stepped else self._ahead
        self._troubles.report(Timed.name, None)
        if repair and stepped:
            log.info("the clock was set: the kernel's timeouts follow")
        elif repair:
            self._metrics.repaired(repair.what)
            log.warning(
                "someone changed our firewall table (%s): %d bans restored, %d removed",
                repair.what, repair.restored, repair.removed,
            )  # fmt: skip
            self._alerts.trouble("the firewall table", f"It was changed by someone else ({repair.what}).")
            self._alerts.trouble("the firewall table", None)
        return ()

    def _tidy(self, now: float) -> Sequence[Decision]:
        """Figures for the metrics, old rows out of the store, and this host's addresses as they are now."""
        self._metrics.filters(self._matcher.spent)
        self._metrics.ignored(self._guard.ignored | {"invalid address": self._matcher.invalid})
        try:
            self._store.forget(now - self._longest)
        except StoreError as err:
            self._troubles.report(self._store.name, str(err))
        else:
            self._troubles.report(self._store.name, None)
        try:
            for version, (packets, size) in self._firewall.counters().items():
                self._metrics.dropped(f"ipv{version}", packets, size)
        except FirewallError as err:
            self._troubles.report(Timed.name, str(err))  # _look sees to it
        known, self._own = self._own, own()
        return self._retrust(now) if known != self._own else ()

    def _retrust(self, now: float) -> Sequence[Decision]:
        """Who may never be banned has changed: for the guard, and for the kernel's accept rules."""
        trust = self._trust()
        decisions = self._guard.trusting(trust, now)
        try:
            published = self._around.published if self._around else None
            self._firewall.surround((*trust.networks(4), *trust.networks(6)), published)
        except FirewallError as err:
            self._troubles.report(Timed.name, str(err))  # _look repairs it
        return decisions

    def _trust(self) -> Trust:
        networks = self._around.networks if self._around else ()
        reasons = {**self._own, CONTAINERS: networks, IGNOREIP: self._settings.ignoreip}
        return Trust(reasons, ban_private=self._settings.ban_private)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._answers(request)

    def _firewall_state(self) -> dict[str, Any]:
        return {"ok": not self._troubles.about(Timed.name), "dropped": self._firewall.counters()}

    def _health(self) -> Health:
        silent = self._clock() - self._loop.turned
        why = self._troubles.sentences
        if not -ALIVE < silent < ALIVE:
            return Health(live=False, ready=False, why=(*why, f"the loop has not turned for {silent:.0f} s"))
        return Health(live=True, ready=not self._troubles.grave, why=why)


class Timed:
    """The firewall as a sink: what it did, and how long it took, is told to the metrics."""

    name = "firewall"

    def __init__(self, firewall: Firewall, metrics: Metrics) -> None:
        self._firewall, self._metrics = firewall, metrics

    def apply(self, turn: Turn) -> None:
        if not turn.decisions:
            return
        began, error = time.perf_counter(), True
        try:
            self._firewall.apply(turn)
            error = False
        finally:
            self._metrics.transaction(time.perf_counter() - began, error)


class Streams:
    """What the sources tell, on its way to the metrics; which logs are being read is kept for `status`."""

    def __init__(self, metrics: Metrics) -> None:
        self.states: dict[str, str] = {}
        self._metrics = metrics
        self.read, self.overlong = metrics.read, metrics.overlong

    def following(self, name: str, up: bool) -> None:  # noqa: FBT001 - it is what is told
        self.states[name] = "open" if up else "closed"
        self._metrics.following(name, up)

    def unreadable(self, name: str) -> None:
        self.states[name] = "unreadable"
        self._metrics.following(name, up=False)

    def reconnected(self, name: str, reason: str) -> None:
        if reason == "gap":
            self._metrics.gap(name)
        else:
            self._metrics.reconnected(name, reason)

    def forget(self, name: str) -> None:
        self.states.pop(name, None)
        self._metrics.forget(name)


def logpaths(jails: Sequence[Jail]) -> dict[str, tuple[str, ...]]:
    """Each log file -> the jails that look at it."""
    paths = dict.fromkeys(path for jail in jails for path in jail.logpath)
    return {path: tuple(jail.name for jail in jails if path in jail.logpath) for path in paths}


def own() -> dict[str, tuple[str, ...]]:
    """What of this host itself may never be banned: why -> addresses."""
    return {OWN: host.addresses(), GATEWAY: host.gateways(), RESOLVER: host.resolvers()}


def _logged(done: Future[Sequence[Decision]]) -> None:
    """What nobody waits for, and failed."""
    if (err := done.exception()) and not isinstance(err, Closed):
        log.error("something that was to be done in the loop failed", exc_info=err)
