"""The outbox that all senders share: what is published is kept in the journal, and queued for each channel.

    publish ─▶ journal (a file) ─▶ a delivery for each channel (a thread) ─▶ its service
                    ▲                                                          │
                    └──────────────── confirmed up to a number ◀───────────────┘

`publish` writes to a file of the system's cache and to queues in memory; it never waits for a disk or the network.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Final

from sidecar.alerts.channels import Channel
from sidecar.alerts.delivery import AlertListener, Delivery, OutboxTiming
from sidecar.alerts.journal import Event, Journal
from sidecar.alerts.notices import Notice
from sidecar.alerts.occurrences import Digest, Occurrence
from sidecar.core.actions import AlertEvent
from sidecar.core.events import Ban
from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problems
from sidecar.runtime.supervisor import Supervisor

log = logging.getLogger(__name__)

JOURNAL_PROBLEM: Final = "the alerts' journal"
# Occurrences of one turn that are kept one by one. More are counted at once: the loop has no time for thousands.
MAX_WHOLE: Final = 200
# What was published is on the disk after so long; a killed process loses nothing in any case.
SYNC_INTERVAL_S: Final = 1.0
TIMING: Final = OutboxTiming()


class Outbox:
    """Publishes to all channels; a service, which runs their deliveries. Any thread may publish."""

    name = "alerts"

    def __init__(
        self,
        journal: Journal,
        channels: Sequence[Channel],
        listener: AlertListener,
        problems: Problems,
        *,
        timing: OutboxTiming = TIMING,
        clock: Clock = time.monotonic,
        unix_clock: Clock = time.time,
    ) -> None:
        """Pauses are measured by `clock`. What is published before `open()` waits for it."""
        self._journal, self._listener, self._problems = journal, listener, problems
        self._timing, self._clock, self._unix_clock = timing, clock, unix_clock
        # Publishing keeps the numbers in order.
        self._lock = threading.Lock()
        self._journal_problem = problems.problem(JOURNAL_PROBLEM, critical=False)
        self._commands: SimpleQueue[bool] = SimpleQueue()
        self._deliveries: dict[str, Delivery] = {}
        self._channels, self._wanted = tuple(channels), _events(channels)
        self._is_open = self._is_loaded = False
        self._early: list[Event] = []
        # What waits to be queued, and the first number of the turn that it waits for; 0: for none.
        self._kept: list[tuple[int, Event]] = []
        self._turn = 0

    def open(self, bans: Sequence[Ban] | None = None) -> None:
        """Take up what the last run left. No other process may use the state directory any more.

        `bans` are those of the store, None if that is not known: what was being stored when the last run was killed is
        alerted only if it was stored. Otherwise it is decided, and alerted, again.
        """
        left = self._load() if self._channels else []
        if bans is not None and (first := self._journal.unstored):
            known = {(ban.jail, str(ban.address), ban.until) for ban in bans}
            left = [(number, event) for number, event in left if number < first or _is_stored(event, known)]
        with self._lock:
            self._set_channels(self._channels, left)
            self._is_open = True
            early, self._early = self._early, []
        self.publish(early)

    @property
    def deliveries(self) -> Sequence[Delivery]:
        return tuple(self._deliveries.values())

    @property
    def channels(self) -> Sequence[Channel]:
        return self._channels

    @property
    def wanted(self) -> frozenset[AlertEvent]:
        """The events that any channel is sent."""
        return self._wanted

    def publish(self, events: Sequence[Event]) -> None:
        """Queue these for each channel that accepts them."""
        if not self._channels or not events:
            return
        with self._lock:
            if not self._is_open:
                self._early += events
                return
            failure = self._keep(events, is_turn=False)
            if not self._turn:
                self._hand_over()
        # Without the lock, as a problem is published too.
        self._report_journal(failure)

    def prepare(self, occurrences: Sequence[Occurrence]) -> None:
        """Keep what a turn decided, and send nothing of it before `commit()`. Of very many, most are only counted."""
        if not self._channels:
            return
        with self._lock:
            failure = self._keep(_few(occurrences), is_turn=True)
        self._report_journal(failure)

    def commit(self) -> None:
        """Queue what was prepared: its turn is stored, or cannot be."""
        if not self._turn:
            return
        failure = None
        with self._lock:
            try:
                self._journal.stored(self._turn)
            except OSError as err:
                failure = err
            self._turn = 0
            self._hand_over()
        self._report_journal(failure)

    def _keep(self, events: Sequence[Event], *, is_turn: bool) -> OSError | None:
        """Write what any channel accepts to the journal, and have it wait; return why it could not be written."""
        wanted = [event for event in events if any(each.channel.accepts(event) for each in self.deliveries)]
        if not wanted:
            return None
        failure = None
        try:
            first = self._journal.append(wanted, is_turn=is_turn)
        except OSError as err:
            first, failure = self._journal.last - len(wanted) + 1, err
        self._turn = first if is_turn else self._turn
        self._kept += enumerate(wanted, first)
        return failure

    def _hand_over(self) -> None:
        """Queue what was kept, in its order: a number that is confirmed confirms all before it."""
        kept, self._kept = self._kept, []
        for delivery in self.deliveries:
            delivery.add(kept)

    def publish_notice(self, notice: Notice) -> None:
        self.publish((notice if notice.at else replace(notice, at=self._unix_clock()),))

    def publish_occurrences(self, occurrences: Sequence[Occurrence]) -> None:
        """Queue them; of very many, most are only counted."""
        self.publish(_few(occurrences))

    def reconfigure(self, channels: Sequence[Channel]) -> None:
        """Use the channels of new settings. One with the same key keeps what waits for it."""
        if channels and not self._is_loaded:
            self._load()
        with self._lock:
            self._set_channels(channels, [])
        self._commands.put(True)  # noqa: FBT003

    def run(self) -> None:
        """Run a thread for each channel until closed."""
        supervisor = Supervisor(self._problems)
        running: set[Delivery] = set()
        try:
            while True:
                for delivery in set(self.deliveries) - running:
                    supervisor.start(delivery)
                    running.add(delivery)
                if not self._next_command():
                    return
        finally:
            supervisor.close()
            self._journal.close()

    def _next_command(self) -> bool:
        """Wait for a command; meanwhile have what was published on the disk, for power cuts."""
        while True:
            try:
                return self._commands.get(timeout=SYNC_INTERVAL_S)
            except Empty:
                try:
                    self._journal.sync()
                except OSError as err:
                    self._report_journal(err)

    def close(self) -> None:
        for delivery in self.deliveries:
            delivery.close()
        self._commands.put(False)  # noqa: FBT003

    def _load(self) -> list[tuple[int, Event]]:
        self._is_loaded = True
        try:
            return self._journal.load()
        except OSError as err:
            self._report_journal(err)
            return []

    def _report_journal(self, failure: OSError | None) -> None:
        if failure is None:
            self._journal_problem.clear()
            return
        reason = failure.strerror or failure
        self._journal_problem.set(
            f"alerts are not kept over a restart, as the state directory cannot be written: {reason}"
        )

    def _set_channels(self, channels: Sequence[Channel], left: list[tuple[int, Event]]) -> None:
        kept = {channel.key: channel for channel in channels}
        for key, delivery in list(self._deliveries.items()):
            if channel := kept.pop(key, None):
                delivery.reconfigure(channel)
            else:
                delivery.close()
                del self._deliveries[key]
        self._journal.retain([*self._deliveries, *kept])
        for key, channel in kept.items():
            self._deliveries[key] = self._delivery(channel, left)
        self._channels, self._wanted = tuple(channels), _events(channels)

    def _delivery(self, channel: Channel, left: list[tuple[int, Event]]) -> Delivery:
        problem = self._problems.problem(f"alerts to {channel.sender.name}", critical=False)
        delivery = Delivery(
            channel, self._journal,
            listener=self._listener, problem=problem, timing=self._timing, clock=self._clock,
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


def _few(occurrences: Sequence[Occurrence]) -> Sequence[Event]:
    """Return the first of them whole, and the others counted by event, jail and site."""
    groups: dict[tuple[object, ...], Digest] = {}
    for each in occurrences[MAX_WHOLE:]:
        groups.setdefault((each.event, each.jail, each.site), Digest()).add((each,))
    return (*occurrences[:MAX_WHOLE], *groups.values())


def _is_stored(event: Event, bans: Collection[tuple[str, str, float]]) -> bool:
    """Return whether a ban is among these; anything else is taken for stored."""
    one = event.first[0] if isinstance(event, Digest) else event
    if isinstance(one, Notice) or one.event != AlertEvent.BAN:
        return True
    return (one.jail, one.address, one.until) in bans


def _events(channels: Sequence[Channel]) -> frozenset[AlertEvent]:
    return frozenset().union(*(channel.events for channel in channels))
