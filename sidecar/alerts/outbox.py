"""An outbox takes notices from any thread at once, and delivers them in a thread of its own.

A message that was delayed is tried again with growing pauses. While a service is down nothing is lost but the
oldest notices: bans go on being counted in the backlog.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sidecar.alerts.backlog import Backlog
from sidecar.alerts.notices import Notice
from sidecar.alerts.sender import Delayed, Rejected, Sender
from sidecar.core.events import Ban
from sidecar.runtime.backoff import Backoff
from sidecar.runtime.clock import Clock

log = logging.getLogger(__name__)

# Of one message. With the pauses below that is a quarter of an hour.
MAX_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class OutboxTiming:
    """The pauses of an outbox, in seconds."""

    # Between messages. Slack accepts one a second, and turns off a webhook that goes on flooding:
    # https://api.slack.com/docs/rate-limits
    pace_s: float = 1.0
    # Before the first retry, doubled at each one after it.
    first_retry_s: float = 1.0
    longest_retry_s: float = 60.0
    # A closing outbox waits no longer than this, or than the service asked for.
    closing_retry_s: float = 1.0
    # For what is left when the daemon stops; the supervisor waits five.
    closing_s: float = 3.0


class AlertListener(Protocol):
    """Counts what becomes of messages. Any thread may call it."""

    def alert_sent(self, sender: str) -> None: ...

    def alert_rejected(self, sender: str) -> None:
        """The service will never accept the message."""

    def alert_failed(self, sender: str) -> None:
        """The message was tried too often."""

    def alerts_dropped(self, sender: str, count: int) -> None:
        """So many messages were not tried, because too many waited or the daemon stopped."""


class Outbox:
    """The queue and the thread of one sender; a service. `publish` and `publish_bans` never wait for the network."""

    def __init__(
        self,
        sender: Sender,
        listener: AlertListener,
        *,
        timing: OutboxTiming = OutboxTiming(),
        clock: Clock = time.monotonic,
    ) -> None:
        self.name = f"alerts to {sender.name}"
        self._sender, self._listener, self._clock, self._timing = sender, listener, clock, timing
        self._queue = _DeliveryQueue(timing.closing_s, clock)
        self._backoff = Backoff(timing.first_retry_s, timing.longest_retry_s)
        # A problem of alerts is logged and not alerted. It is logged once, until a message gets through.
        self._complaint = ""

    def publish(self, notice: Notice) -> None:
        if dropped := self._queue.add(notice):
            self._listener.alerts_dropped(self._sender.name, dropped)

    def publish_bans(self, bans: Sequence[Ban]) -> None:
        self._queue.add_bans(bans)

    def run(self) -> None:
        """Deliver until closed, and then what is left, within `closing_s`."""
        while notice := self._queue.next():
            self._deliver(notice)
        if left := self._queue.left:
            self._listener.alerts_dropped(self._sender.name, left)
            log.warning("%s: stopped with %d messages not sent", self.name, left)

    def close(self) -> None:
        self._queue.close()

    def _deliver(self, notice: Notice) -> None:
        """Deliver the notice, and report what became of it. A sender that raises anything else loses a message."""
        report = self._listener.alert_failed
        try:
            if self._send(notice):
                report = self._listener.alert_sent
        except Rejected as err:
            report = self._listener.alert_rejected
            self._complain(f"{err} The message is lost.")
        finally:
            report(self._sender.name)

    def _send(self, notice: Notice) -> bool:
        """Try until the notice is delivered; return False when it is given up. Raises Rejected."""
        for _ in range(MAX_TRIES):
            try:
                self._sender.send(notice, self._queue.time_left())
            except Delayed as err:
                self._complain(f"{err} It is tried again.")
                pause = max(self._backoff.next(), err.after_s)
                if not self._queue.pause(pause, at_least=max(self._timing.closing_retry_s, err.after_s)):
                    return False
            else:
                self._backoff.reset()
                self._complaint = ""
                self._queue.pause(self._timing.pace_s)
                return True
        return False

    def _complain(self, sentence: str) -> None:
        if sentence != self._complaint:
            self._complaint = sentence
            log.warning("%s: %s", self.name, sentence)


class _DeliveryQueue:
    """A backlog under a lock, and the waiting of the thread that empties it."""

    def __init__(self, closing_s: float, clock: Clock) -> None:
        self._closing_s, self._clock = closing_s, clock
        self._backlog = Backlog()
        self._changed = threading.Condition()
        # When to stop trying.
        self._deadline = math.inf

    @property
    def left(self) -> int:
        """About how many messages are waiting."""
        return len(self._backlog)

    def add(self, notice: Notice) -> int:
        """Add a notice; return how many were dropped to make room."""
        with self._changed:
            dropped = self._backlog.add(notice, self._clock())
            self._changed.notify()
        return dropped

    def add_bans(self, bans: Sequence[Ban]) -> None:
        with self._changed:
            self._backlog.add_bans(bans, self._clock())
            self._changed.notify()

    def close(self) -> None:
        """Make everything due, and `next()` end once it is empty or the time is over."""
        with self._changed:
            self._deadline = min(self._deadline, self._clock() + self._closing_s)
            self._backlog.closing = True
            self._changed.notify()

    def time_left(self) -> float:
        """Return the seconds until the deadline."""
        return self._deadline - self._clock()

    def next(self) -> Notice | None:
        """Wait for a message and return it; None: it is closed and there is no more, or no more time."""
        with self._changed:
            while True:
                now = self._clock()
                if now >= self._deadline:
                    return None
                if notice := self._backlog.take(now):
                    return notice
                if self._backlog.closing:
                    return None
                due = self._backlog.next_due()
                self._changed.wait(None if due == math.inf else max(0.0, due - now))

    def pause(self, seconds: float, at_least: float = 0.0) -> bool:
        """Wait so long; closing shortens it to `at_least`. Return False where even that goes past the deadline."""
        start = self._clock()
        with self._changed:
            while True:
                now = self._clock()
                until = start + (at_least if self._backlog.closing else seconds)
                if until >= self._deadline:
                    # What is left would have to wait as long.
                    self._deadline = now
                    return False
                if now >= until:
                    return True
                self._changed.wait(until - now)
