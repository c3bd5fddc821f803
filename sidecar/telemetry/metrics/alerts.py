"""Messages to people, by the service that delivers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.telemetry.metrics.declare import Declaration

SENT, REJECTED, DELAYED = "sent", "rejected", "delayed"
RESULTS: Final = (SENT, REJECTED, DELAYED)


class AlertMetrics:
    """Figures about alerts. Any thread may report."""

    def __init__(self, declare: Declaration, *, senders: Iterable[str] = ()) -> None:
        senders = tuple(senders)
        self._alerts = declare.counter(
            "alerts_total",
            "Tries by result: sent, rejected (the service will never accept it) or delayed (it is tried again).",
            sender=senders,
            result=RESULTS,
        )
        self._dropped = declare.counter(
            "alerts_dropped_total",
            "Messages that were not tried, because too many waited.",
            sender=senders,
        )

        self._waiting = declare.gauge(
            "alerts_waiting", "Messages that wait to be sent, or to be tried again.", sender=senders
        )

    def waiting(self, counts: Mapping[str, int]) -> None:
        """Take how many messages wait, by sender."""
        for sender, count in counts.items():
            self._waiting.labels(sender).set(count)

    def alert_sent(self, sender: str) -> None:
        self._alerts.labels(sender, SENT).inc()

    def alert_rejected(self, sender: str) -> None:
        self._alerts.labels(sender, REJECTED).inc()

    def alert_delayed(self, sender: str) -> None:
        self._alerts.labels(sender, DELAYED).inc()

    def alerts_dropped(self, sender: str, count: int) -> None:
        self._dropped.labels(sender).inc(count)
