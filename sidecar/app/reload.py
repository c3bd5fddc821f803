"""What a reload reconfigures, in which order, and the reason for each place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

from sidecar.alerts.outbox import Outbox
from sidecar.app.budget_monitor import BudgetMonitor
from sidecar.app.guard_inputs import GuardInputs
from sidecar.app.reading import LogReading, PreparedReading
from sidecar.app.reporting import channels
from sidecar.config.settings import Settings
from sidecar.core.events import Decision
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.firewall import FirewallSink
from sidecar.runtime.loop import Inbox
from sidecar.telemetry.metrics import Metrics


class FleetJails(Protocol):
    """Counts failures of these jails together with other nodes, and seals with these keys: the fleet."""

    def reconfigure(self, jails: Iterable[Jail], keys: Sequence[bytes], /) -> None: ...


class Reconfiguration:
    """Puts new settings in force, all of them in one turn of the loop: no line is decided half by each."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        budget: BudgetMonitor,
        inputs: GuardInputs,
        firewall: FirewallSink,
        metrics: Metrics,
        fleet: FleetJails | None,
        reading: LogReading,
        outbox: Outbox,
    ) -> None:
        self._inbox = inbox
        self._budget = budget
        self._inputs = inputs
        self._firewall = firewall
        self._metrics = metrics
        self._fleet = fleet
        self._reading = reading
        self._outbox = outbox

    def apply(self, settings: Settings) -> None:
        """Return once the settings are in force. Raises ConfigErrors, and then nothing has changed; and Closed."""
        prepared = self._reading.prepare(settings)
        self._inbox.decide(partial(self._reconfigure, prepared)).result()

    def _reconfigure(self, prepared: PreparedReading, guard: Guard, now: float) -> Sequence[Decision]:
        """Reconfigure everything that has settings of its own. A command."""
        settings = prepared.settings
        # First, so that the bans that the guard makes now count against the new limits.
        self._budget.reconfigure(settings.budget)
        # The guard has to know a jail before the first hit of it comes.
        decisions = self._inputs.reconfigure(settings, guard, now)
        # After the guard, which keeps the jails that still have bans; before the sinks get these decisions, as each ban
        # closes the ports of its jail.
        self._firewall.reconfigure(guard.view.jails, now)
        # Before the first hit too: a series begins at 0, and failures are counted by the rules of their jail.
        self._metrics.reconfigure(jail.name for jail in settings.jails)
        if self._fleet:
            self._fleet.reconfigure(settings.jails, settings.fleet.keys)
        # From here on there are hits of the new jails.
        self._reading.reconfigure(prepared, now)
        # Independent of all others.
        self._outbox.reconfigure(channels(settings))
        return decisions
