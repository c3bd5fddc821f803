"""What the steps of `wiring.build` return to the later ones: each value is complete when it is handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sidecar.access.logs import AccessLogs
from sidecar.app.budget_monitor import BudgetMonitor
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.app.guard_inputs import GuardInputs
from sidecar.app.host_names import HostNames, WatchedNames
from sidecar.app.host_network import HostNetwork
from sidecar.app.last_run import PendingHits
from sidecar.app.log_states import LogStates
from sidecar.app.repairs import RepairAlerts
from sidecar.app.reporting import Reporting
from sidecar.app.unbannable import UnbannableFailures
from sidecar.config.settings import Settings
from sidecar.control.commands.daemon import Tally
from sidecar.control.commands.top import RecentEvents
from sidecar.control.server import ControlSocket
from sidecar.core.ban_budget import BanBudget
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.sites import Sites
from sidecar.firewall import Firewall, FirewallClaim, FirewallSink
from sidecar.runtime.clock import Clock, HostClock
from sidecar.runtime.loop import Inbox, Loop
from sidecar.runtime.memory import MemoryCgroup
from sidecar.sources.dns import Resolver
from sidecar.sources.intake import Intake
from sidecar.sources.registry import SourceRegistry
from sidecar.stores.base import Remembered
from sidecar.stores.sqlite import SqliteStore
from sidecar.telemetry.event_log import EventLog
from sidecar.web.activity import Activity

if TYPE_CHECKING:
    from sidecar.fleet import FleetMember


class Common(NamedTuple):
    """What every step is given."""

    settings: Settings
    clock: Clock
    host_clock: HostClock
    now: float
    reporting: Reporting
    inbox: Inbox


class Claims(NamedTuple):
    """What one daemon of a host has at a time."""

    host: FirewallClaim
    control: ControlSocket


class LastRun(NamedTuple):
    """What the last run left, in the store and in the kernel."""

    store: SqliteStore
    remembered: Remembered
    pending_hits: PendingHits
    sites: Sites
    # With those of the sites: the jails that the firewall has to know.
    jails: Sequence[Jail]
    firewall: Firewall
    firewall_sink: FirewallSink
    repairs: RepairAlerts
    cgroup: MemoryCgroup | None


class Deciding(NamedTuple):
    """The guard, and what it works with."""

    guard: Guard
    inputs: GuardInputs
    budget: BanBudget
    exposed: ExposedContainers
    network: HostNetwork
    watched_names: WatchedNames
    access_logs: AccessLogs


class FromLogs(NamedTuple):
    """From the logs to the inbox."""

    sources: SourceRegistry
    intake: Intake
    resolver: Resolver
    names: HostNames
    log_states: LogStates


class Acting(NamedTuple):
    """The loop, and those of its sinks that others ask."""

    loop: Loop
    fleet: FleetMember | None
    unbannable: UnbannableFailures
    budget_monitor: BudgetMonitor
    tally: Tally
    recent: RecentEvents
    activity: Activity
    event_log: EventLog | None


class Parts(NamedTuple):
    """What runs, or is asked by what runs."""

    last: LastRun
    deciding: Deciding
    reading: FromLogs
    acting: Acting
