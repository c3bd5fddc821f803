"""The running daemon: in which order its parts start, and in which order they end."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecar import __version__
from sidecar.alerts.sink import AlertSink
from sidecar.app.host_names import HostNames
from sidecar.app.reload_service import ReloadService
from sidecar.firewall import FirewallSink
from sidecar.runtime.loop import Command, Inbox, Loop
from sidecar.runtime.supervisor import Service, Supervisor

log = logging.getLogger(__name__)


class Resource(Protocol):
    """Something that is closed at the end."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Startup:
    """What is started, and in this order."""

    # For the first turn of the loop. First, so that every command of a person sees what comes of them.
    commands: Sequence[Command]
    services: Sequence[Service]
    # One of the services. Its first answers are waited for, so that no allowlisted client is banned meanwhile.
    names: HostNames
    sources: Sequence[Service]


class Daemon:
    """One run."""

    def __init__(
        self,
        *,
        loop: Loop,
        inbox: Inbox,
        startup: Startup,
        supervisor: Supervisor,
        reload: ReloadService,
        firewall: FirewallSink,
        alerts: AlertSink,
        resources: Sequence[Resource],
    ) -> None:
        """`resources` are closed in this order, when no thread uses them any more."""
        self._loop = loop
        self._inbox = inbox
        self._startup = startup
        self._supervisor = supervisor
        self._reload = reload
        self._firewall = firewall
        self._alerts = alerts
        self._resources = resources

    def run(self) -> None:
        """Start everything, turn until `stop()`, then end in the order that loses nothing."""
        self._start()
        self._loop.run()
        self._end()

    def stop(self) -> None:
        """Make `run()` return shortly. Safe in a signal handler."""
        self._loop.stop()

    def request_reload(self) -> None:
        """Have the configuration read again. Safe in a signal handler."""
        self._reload.request()

    def _start(self) -> None:
        jails, bans = self._reload.settings.jails, self._loop.ban_count
        log.info("wp-sidecar %s: %d jails, %d bans in force", __version__, len(jails), bans)
        self._alerts.started(__version__, [jail.name for jail in jails], bans, time.time())
        startup = self._startup
        for command in startup.commands:
            self._inbox.submit(command)
        for service in startup.services:
            self._supervisor.start(service)
        startup.names.wait_for_first_round()
        for source in startup.sources:
            self._supervisor.start(source)

    def _end(self) -> None:
        # The loop has stopped, and its last turn has stored the cursors: what the sources still read is read again by
        # the next run.
        bans = self._loop.ban_count
        if self._reload.settings.flush_on_exit and self._firewall.flush():
            bans = 0
        # Nobody else uses the connection to the kernel. The table stays: bans end by their timeouts.
        self._firewall.close()
        # Before the services end: the outbox sends this with the last alerts.
        self._alerts.stopped([jail.name for jail in self._reload.settings.jails], bans, time.time())
        self._supervisor.close()
        for resource in self._resources:
            resource.close()
        log.info("stopped; %d bans stay in force", bans)
