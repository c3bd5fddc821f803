"""The sink of decisions and problems that alerts people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sidecar.alerts import compose
from sidecar.alerts.notices import Notice
from sidecar.core.events import DECIDED_HERE, Ban, Turn


class AlertChannel(Protocol):
    """Where notices go on their way to people. Neither call ever waits."""

    def publish(self, notice: Notice) -> None: ...

    def publish_bans(self, bans: Sequence[Ban]) -> None: ...


class AlertSink:
    """Publishes decisions and problems on every channel. Any thread may call it, and it returns at once."""

    name = "alerts"

    def __init__(self, channels: Sequence[AlertChannel]) -> None:
        self._channels = tuple(channels)

    def apply(self, turn: Turn) -> None:
        """Publish the bans that this host decided. Others were published where they were decided."""
        bans = [each for each in turn.decisions if isinstance(each, Ban) and each.cause in DECIDED_HERE]
        if bans:
            for channel in self._channels:
                channel.publish_bans(bans)

    def publish(self, notice: Notice) -> None:
        for channel in self._channels:
            channel.publish(notice)

    def problem_changed(self, name: str, sentence: str | None) -> None:
        """Publish that a problem began, or (None) that it is over. `runtime.problems` calls it."""
        self.publish(compose.resolved(name) if sentence is None else compose.problem(name, sentence))
