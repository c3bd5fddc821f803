"""The outbox that all senders share: what is published is kept in the journal, and queued for each channel.

    publish ─▶ journal (a file) ─▶ a delivery for each channel (a thread) ─▶ its service
                    ▲                                                          │
                    └──────────────── confirmed up to a number ◀───────────────┘

`publish` writes to a file of the system's cache and to queues in memory; it never waits for a disk or the network.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Final

from sidecar.alerts.channels import Channel
from sidecar.alerts.deliveries import Deliveries
from sidecar.alerts.delivery import AlertListener, Delivery, OutboxTiming
from sidecar.alerts.journal import Event, Journal
from sidecar.alerts.notices import Notice
from sidecar.alerts.occurrences import Digest, Occurrence
from sidecar.core.actions import AlertEvent
from sidecar.core.events import Ban
from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problem, Problems
from sidecar.runtime.supervisor import Supervisor

JOURNAL_PROBLEM: Final = "the alerts' journal"
# Occurrences of one turn that are kept one by one. More are counted at once: the loop has no time for thousands.
MAX_WHOLE: Final = 200
# What was published is on the disk after this long; a killed process loses nothing in any case.
SYNC_INTERVAL_S: Final = 1.0
TIMING: Final = OutboxTiming()


@dataclass(slots=True)
class _Waiting:
    """What is not queued yet."""

    # What was published before the journal was open; None: it is.
    early: list[Event] | None = field(default_factory=list)
    # What is in the journal, and the first number of the turn that it waits for; 0: for none.
    kept: list[tuple[int, Event]] = field(default_factory=list)
    turn: int = 0


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
        self._journal = _ReportedJournal(journal, problems.problem(JOURNAL_PROBLEM, critical=False))
        self._deliveries = Deliveries(
            journal, listener=listener, problems=problems, timing=timing, clock=clock
        )
        self._deliveries.announce(channels)
        self._problems, self._unix_clock = problems, unix_clock
        # Publishing keeps the numbers in order. A problem of the journal is published too, so a thread may enter twice.
        self._lock = threading.RLock()
        self._commands: SimpleQueue[bool] = SimpleQueue()
        self._waiting = _Waiting()

    def open(self, bans: Sequence[Ban] | None = None) -> None:
        """Take up what the last run left. No other process may use the state directory any more.

        `bans` are those of the store, None if that is not known: what was being stored when the last run was killed is
        alerted only if it was stored. Otherwise it is decided, and alerted, again.
        """
        with self._lock:
            left = self._journal.load(bans) if self.channels else []
            self._deliveries.replace(self.channels, left)
            early, self._waiting.early = self._waiting.early, None
        self.publish(early or ())

    @property
    def deliveries(self) -> Sequence[Delivery]:
        return self._deliveries.all

    @property
    def waiting(self) -> Mapping[str, int]:
        """About how many messages wait, by the sender's name."""
        counts: Counter[str] = Counter()
        for delivery in self.deliveries:
            counts[delivery.channel.sender.name] += delivery.waiting
        return counts

    @property
    def channels(self) -> Sequence[Channel]:
        return self._deliveries.channels

    @property
    def wanted(self) -> frozenset[AlertEvent]:
        """The events that any channel is sent."""
        return self._deliveries.wanted

    def publish(self, events: Sequence[Event]) -> None:
        """Queue these for each channel that accepts them."""
        if not self.channels or not events:
            return
        with self._lock:
            if self._waiting.early is not None:
                self._waiting.early += events
                return
            self._keep(events, is_turn=False)
            if not self._waiting.turn:
                self._hand_over()

    def publish_notice(self, notice: Notice) -> None:
        self.publish((notice if notice.at else replace(notice, at=self._unix_clock()),))

    def publish_occurrences(self, occurrences: Sequence[Occurrence]) -> None:
        """Queue them; of very many, most are only counted."""
        self.publish(_bounded(occurrences))

    def prepare(self, occurrences: Sequence[Occurrence]) -> None:
        """Keep what a turn decided, and send nothing of it before `commit()`. Of very many, most are only counted."""
        if self.channels:
            with self._lock:
                self._keep(_bounded(occurrences), is_turn=True)

    def commit(self) -> None:
        """Queue what was prepared: its turn is stored, or cannot be."""
        if self._waiting.turn:
            with self._lock:
                self._journal.stored(self._waiting.turn)
                self._waiting.turn = 0
                self._hand_over()

    def reconfigure(self, channels: Sequence[Channel]) -> None:
        """Use the channels of new settings. One with the same key keeps what waits for it."""
        with self._lock:
            if channels:
                self._journal.load(None)
            self._deliveries.replace(channels)
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

    def close(self) -> None:
        self._deliveries.close()
        self._commands.put(False)  # noqa: FBT003

    def _next_command(self) -> bool:
        """Wait for a command; meanwhile have what was published on the disk, for power cuts."""
        while True:
            try:
                return self._commands.get(timeout=SYNC_INTERVAL_S)
            except Empty:
                self._journal.sync()

    def _keep(self, events: Sequence[Event], *, is_turn: bool) -> None:
        """Write what any channel accepts to the journal, and have it wait."""
        wanted = [event for event in events if self._deliveries.accept(event)]
        if wanted:
            first = self._journal.append(wanted, is_turn=is_turn)
            self._waiting.turn = first if is_turn else self._waiting.turn
            self._waiting.kept += enumerate(wanted, first)

    def _hand_over(self) -> None:
        """Queue what was kept, in its order: a number that is confirmed confirms all before it."""
        kept, self._waiting.kept = self._waiting.kept, []
        self._deliveries.add(kept)


class _ReportedJournal:
    """A journal that cannot be written is a problem, and alerts go on in memory."""

    def __init__(self, journal: Journal, problem: Problem) -> None:
        self._journal, self._problem = journal, problem
        self._is_loaded = False

    def load(self, bans: Sequence[Ban] | None) -> list[tuple[int, Event]]:
        """Return what the last run left, the first time: of a turn that was being stored, what the store has of it."""
        if self._is_loaded:
            return []
        self._is_loaded = True
        try:
            left = self._journal.load()
        except OSError as err:
            self._report(err)
            return []
        first = self._journal.unstored
        if bans is None or first is None:
            return left
        known = {(ban.jail, str(ban.address), ban.until) for ban in bans}
        return [(number, event) for number, event in left if number < first or _is_stored(event, known)]

    def append(self, events: Sequence[Event], *, is_turn: bool) -> int:
        """Keep the messages; return the number of the first."""
        try:
            first = self._journal.append(events, is_turn=is_turn)
        except OSError as err:
            first = self._journal.last - len(events) + 1
            self._report(err)
        else:
            self._problem.clear()
        return first

    def stored(self, first: int) -> None:
        try:
            self._journal.stored(first)
        except OSError as err:
            self._report(err)

    def sync(self) -> None:
        try:
            self._journal.sync()
        except OSError as err:
            self._report(err)

    def close(self) -> None:
        self._journal.close()

    def _report(self, err: OSError) -> None:
        reason = err.strerror or err
        self._problem.set(
            f"alerts are not kept over a restart, as the state directory cannot be written: {reason}"
        )


def _bounded(occurrences: Sequence[Occurrence]) -> Sequence[Event]:
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
