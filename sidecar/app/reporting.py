"""What all other parts report to: metrics, alerts and problems."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry

from sidecar import __version__
from sidecar.alerts.outbox import Outbox
from sidecar.alerts.registry import make_senders
from sidecar.alerts.sender import Sender
from sidecar.alerts.sink import AlertSink
from sidecar.app.metric_labels import known_labels
from sidecar.config.settings import Settings
from sidecar.runtime.problems import Problems
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.metrics.declare import Declaration


@dataclass(frozen=True, slots=True)
class Reporting:
    """Everything that reports. The outboxes are services."""

    registry: CollectorRegistry
    metrics: Metrics
    senders: Sequence[Sender]
    outboxes: Sequence[Outbox]
    alerts: AlertSink
    problems: Problems

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make what these settings ask for. A problem is alerted on every sender."""
        registry = CollectorRegistry()
        senders = make_senders(settings.alerts, socket.gethostname())
        in_fleet = settings.fleet.redis is not None
        labels = known_labels(settings, senders)
        metrics = Metrics.declared(Declaration(registry), __version__, labels, fleet=in_fleet)
        outboxes = [Outbox(sender, metrics.alerts) for sender in senders]
        alerts = AlertSink(outboxes)
        return cls(registry, metrics, senders, outboxes, alerts, Problems(alerts))
