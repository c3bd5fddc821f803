"""What all other parts report to: metrics, alerts and problems."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from prometheus_client import CollectorRegistry

from sidecar import __version__
from sidecar.alerts.channels import Channel
from sidecar.alerts.journal import Journal
from sidecar.alerts.outbox import Outbox
from sidecar.alerts.registry import make_channels
from sidecar.alerts.sink import AlertSink
from sidecar.app.metric_labels import known_labels
from sidecar.config.settings import Settings
from sidecar.core.jail import MANUAL_JAIL
from sidecar.runtime.problems import Problems
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.metrics.declare import Declaration

# The folder of what is still to be sent, in the state directory.
JOURNAL_FOLDER: Final = "alerts"


@dataclass(frozen=True, slots=True)
class Reporting:
    """Everything that reports. The outbox is a service."""

    registry: CollectorRegistry
    metrics: Metrics
    outbox: Outbox
    alerts: AlertSink
    problems: Problems

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make what these settings ask for, and take up the alerts that the last run left."""
        registry = CollectorRegistry()
        found = channels(settings)
        in_fleet = settings.fleet.redis is not None
        labels = known_labels(settings, [channel.sender for channel in found])
        metrics = Metrics.declared(Declaration(registry), __version__, labels, fleet=in_fleet)
        problems = Problems(metrics.process)
        journal = Journal(settings.paths.state / JOURNAL_FOLDER)
        outbox = Outbox(journal, found, metrics.alerts, problems)
        alerts = AlertSink(outbox)
        problems.add_listener(alerts)
        return cls(registry, metrics, outbox, alerts, problems)


def channels(settings: Settings) -> Sequence[Channel]:
    """Return where these settings have alerts sent."""
    jails = (*settings.jails, replace(MANUAL_JAIL, actions=settings.manual_actions))
    return make_channels(jails, settings.alerts, socket.gethostname())
