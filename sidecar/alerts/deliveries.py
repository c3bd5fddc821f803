"""All channels, and a delivery for each of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sidecar.alerts.channels import Channel
from sidecar.alerts.delivery import AlertListener, Delivery, OutboxTiming
from sidecar.alerts.journal import Event, Journal
from sidecar.core.actions import AlertEvent
from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problems

log = logging.getLogger(__name__)


class Deliveries:
    """Makes, keeps and ends deliveries. Used under the outbox's lock; `all` and `wanted` may be read without it."""

    def __init__(
        self,
        journal: Journal,
        *,
        listener: AlertListener,
        problems: Problems,
        timing: OutboxTiming,
        clock: Clock,
    ) -> None:
        self.channels: Sequence[Channel] = ()
        # The events that any channel is sent.
        self.wanted: frozenset[AlertEvent] = frozenset()
        self._journal, self._listener, self._problems = journal, listener, problems
        self._timing, self._clock = timing, clock
        self._by_key: dict[str, Delivery] = {}

    @property
    def all(self) -> Sequence[Delivery]:
        return tuple(self._by_key.values())

    def announce(self, channels: Sequence[Channel]) -> None:
        """Say which channels there will be."""
        self.channels = tuple(channels)
        self.wanted = frozenset().union(*(channel.events for channel in channels))

    def replace(self, channels: Sequence[Channel], left: Sequence[tuple[int, Event]] = ()) -> None:
        """Have a delivery for each of these channels. One whose key was there keeps what waits for it.

        `left` is what the last run left.
        """
        self.announce(channels)
        new = {channel.key: channel for channel in channels}
        for key, delivery in list(self._by_key.items()):
            if channel := new.pop(key, None):
                delivery.reconfigure(channel)
            else:
                delivery.close()
                del self._by_key[key]
        self._journal.retain([*self._by_key, *new])
        for key, channel in new.items():
            self._by_key[key] = self._made(channel, left)

    def accept(self, event: Event) -> bool:
        """Return whether any channel is sent this."""
        return any(delivery.channel.accepts(event) for delivery in self._by_key.values())

    def add(self, events: Sequence[tuple[int, Event]]) -> None:
        for delivery in self._by_key.values():
            delivery.add(events)

    def close(self) -> None:
        for delivery in self._by_key.values():
            delivery.close()

    def _made(self, channel: Channel, left: Sequence[tuple[int, Event]]) -> Delivery:
        delivery = Delivery(
            channel, self._journal,
            listener=self._listener, timing=self._timing, clock=self._clock,
            problem=self._problems.problem(f"alerts to {channel.sender.name}", critical=False),
        )  # fmt: skip
        confirmed = self._journal.confirmed(channel.key)
        if confirmed is None:
            try:
                self._journal.begin(channel.key)
            except OSError as err:
                log.debug("the journal: %s", err)
        elif waiting := [(number, event) for number, event in left if number > confirmed]:
            delivery.restore(waiting)
        return delivery
