"""Delivers what waits for one sender, in its order, and waits out a service that does not accept it now.

A message that was delayed is tried again with growing pauses, for as long as it takes; meanwhile bans are counted. A
message that the service rejects is lost, which is counted and reported. A service that refuses everything is not
asked again until the configuration is read again.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecar.alerts import compose
from sidecar.alerts.backlog import MAX_SINGLE, Backlog, Due
from sidecar.alerts.channels import Channel
from sidecar.alerts.journal import Event, Journal
from sidecar.alerts.notices import Notice
from sidecar.alerts.occurrences import Digest
from sidecar.alerts.sender import Delayed, MessageRefused, Rejected
from sidecar.core.actions import AlertEvent
from sidecar.runtime.backoff import Backoff
from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problem

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutboxTiming:
    """The pauses of an outbox, in seconds."""

    # Between messages. Slack accepts one a second, and turns off a webhook that goes on flooding:
    # https://api.slack.com/docs/rate-limits
    pace_s: float = 1.0
    # Before the first retry, doubled at each one after it.
    first_retry_s: float = 1.0
    longest_retry_s: float = 60.0
    # For one message. A service that hangs is asked again.
    longest_send_s: float = 15.0
    # After this long without success, the delay is a problem.
    report_after_s: float = 300.0
    # A closing outbox waits no longer than this, or than the service asked for.
    closing_retry_s: float = 1.0
    # For what is left when the daemon stops; the supervisor waits five. The next run sends the rest.
    closing_s: float = 3.0


class AlertListener(Protocol):
    """Counts what becomes of messages. Any thread may call it."""

    def alert_sent(self, sender: str) -> None: ...

    def alert_delayed(self, sender: str) -> None:
        """The service did not accept the message now; it is tried again."""

    def alert_rejected(self, sender: str) -> None:
        """The service will never accept the message."""

    def alerts_dropped(self, sender: str, count: int) -> None:
        """A number of messages were not tried, because too many waited or the sender was removed."""


class Delivery:
    """One channel's queue; a service. `add` never waits for the network."""

    def __init__(
        self,
        channel: Channel,
        journal: Journal,
        *,
        listener: AlertListener,
        problem: Problem,
        timing: OutboxTiming,
        clock: Clock,
    ) -> None:
        """`clock` may begin anywhere, and goes forward only."""
        self.name = f"alerts to {channel.sender.name}"
        self._channel, self._journal, self._listener, self._clock = channel, journal, listener, clock
        self._queue = _DeliveryQueue(Backlog(max_single=MAX_SINGLE if channel.digests else math.inf), timing)
        self._attempts = _Attempts(problem, timing)

    @property
    def channel(self) -> Channel:
        return self._channel

    @property
    def waiting(self) -> int:
        """About how many messages are not sent yet."""
        return self._queue.left + (self._attempts.due is not None)

    def restore(self, waiting: list[tuple[int, Event]]) -> None:
        """Take what the last run left."""
        self.add(waiting)
        self._queue.resume(self._clock())

    def add(self, events: Sequence[tuple[int, Event]]) -> None:
        """Queue what the channel accepts of these. Any thread may call it."""
        accepted = [(number, event) for number, event in events if self._accepts(event)]
        if accepted and (dropped := self._queue.add(accepted, self._clock())):
            self._listener.alerts_dropped(self._channel.sender.name, dropped)

    def _accepts(self, event: Event) -> bool:
        if isinstance(event, Notice) and event.key == self.name:
            # That this channel does not work is a message for the others.
            return False
        return self._channel.accepts(event)

    def reconfigure(self, channel: Channel) -> None:
        """Send to the same place by other settings. A service that refused everything is asked again."""
        self._channel = channel
        self._attempts.refused = ""
        self._queue.wake()

    def run(self) -> None:
        """Deliver until closed, and then what is left, within `closing_s`."""
        while (wait_s := self.step()) is not None:
            self._queue.wait(wait_s)
        if self.waiting:
            log.warning(
                "%s: stopped with %d messages not sent; the next start sends them", self.name, self.waiting
            )

    def close(self) -> None:
        self._queue.close(self._clock())

    def step(self) -> float | None:
        """Send one message, if one is due. Return the seconds until the next one may be; None: it is over."""
        now, attempts = self._clock(), self._attempts
        if attempts.refused:
            return None if self._queue.closing else math.inf
        if now >= self._queue.deadline:
            return None
        if (until := attempts.next_try(closing=self._queue.closing)) > now:
            # What is left would have to wait as long.
            return until - now if until < self._queue.deadline else None
        due = attempts.due or self._queue.take(now)
        if due is None:
            return self._queue.time_to_next(now)
        attempts.due = due
        self._deliver(due, now)
        return 0.0

    def _deliver(self, due: Due, now: float) -> None:
        """Try once, and note what came of it."""
        attempts, name = self._attempts, self._channel.sender.name
        within_s = min(attempts.timing.longest_send_s, self._queue.deadline - now)
        try:
            self._channel.sender.send(due.notice, within_s)
        except Delayed as err:
            self._listener.alert_delayed(name)
            attempts.delayed(self.name, err, self._clock())
            return
        except MessageRefused as err:
            self._listener.alert_rejected(name)
            attempts.refuse(self.name, err)
            return
        except Rejected as err:
            attempts.rejected(self.name, err, self._clock())
            self._confirm(due)
            self._listener.alert_rejected(name)
        except Exception:
            # It would fail for ever, and hold up all others. The supervisor logs it, and begins again.
            attempts.done(self._clock())
            self._listener.alert_rejected(name)
            raise
        else:
            # First, as whatever comes between may be the end of the process.
            self._confirm(due)
            attempts.sent(self._clock())
            self._listener.alert_sent(name)

    def _confirm(self, due: Due) -> None:
        try:
            self._journal.confirm(self._channel.key, due.number)
            self._journal.sync()
        except OSError as err:
            log.warning("%s: a restart may send a message again: %s", self.name, err)


class _Attempts:
    """The message that is being tried, and what is known about the service."""

    def __init__(self, problem: Problem, timing: OutboxTiming) -> None:
        self.timing = timing
        self.due: Due | None = None
        # When the last try was, and the seconds to wait after it: all of them, and those that closing cannot shorten.
        self._tried_at, self._pause, self._at_least = -math.inf, 0.0, 0.0
        # Why nothing is tried; "": it is.
        self.refused = ""
        self._problem = problem
        self._backoff = Backoff(timing.first_retry_s, timing.longest_retry_s)
        self._failing_since = math.inf

    def next_try(self, *, closing: bool) -> float:
        """Return when to try again."""
        return self._tried_at + (min(self._pause, self._at_least) if closing else self._pause)

    def delayed(self, name: str, err: Delayed, now: float) -> None:
        self._tried_at, self._pause = now, max(self._backoff.next(), err.after_s)
        self._at_least = max(self.timing.closing_retry_s, err.after_s)
        if self._failing_since == math.inf:
            self._failing_since = now
            log.warning("%s: %s It is tried again.", name, err)
        if now - self._failing_since >= self.timing.report_after_s:
            self._problem.set(f"{name}: {err} It is tried again, and nothing is lost meanwhile.")

    def rejected(self, name: str, err: Rejected, now: float) -> None:
        self.done(now)
        self._problem.set(f"{name}: {err} That message is lost.")

    def refuse(self, name: str, err: MessageRefused) -> None:
        """Keep the message: it is the first one to be tried after a reload."""
        self.refused = str(err)
        self._problem.set(f"{name}: {err} Nothing is sent there until the configuration is reloaded.")

    def sent(self, now: float) -> None:
        self.done(now)
        self._problem.clear()

    def done(self, now: float) -> None:
        self.due = None
        self._tried_at, self._pause, self._at_least = now, self.timing.pace_s, 0.0
        self._failing_since = math.inf
        self._backoff.reset()


class _DeliveryQueue:
    """A backlog under a lock, and the waiting of the thread that empties it."""

    def __init__(self, backlog: Backlog, timing: OutboxTiming) -> None:
        self._backlog, self._timing = backlog, timing
        self._changed = threading.Condition()
        self._woken = False
        # When to stop trying.
        self.deadline = math.inf

    @property
    def closing(self) -> bool:
        return self._backlog.closing

    @property
    def left(self) -> int:
        """About how many messages are waiting."""
        return len(self._backlog)

    def add(self, events: list[tuple[int, Event]], now: float) -> int:
        """Add them in their order; return how many were dropped."""
        dropped = 0
        with self._changed:
            for number, event in events:
                if isinstance(event, Notice):
                    dropped += self._backlog.add(number, event, now)
                elif isinstance(event, Digest):
                    self._backlog.add_digest(number, event)
                elif event.event == AlertEvent.BYPASS:
                    # It is rare, and says what to change: it is never counted among bans.
                    dropped += self._backlog.add(number, compose.described(event), now)
                else:
                    self._backlog.add_occurrences([(number, event)])
        self.wake()
        return dropped

    def resume(self, now: float) -> None:
        with self._changed:
            self._backlog.resume(now)

    def take(self, now: float) -> Due | None:
        with self._changed:
            return self._backlog.take(now)

    def time_to_next(self, now: float) -> float | None:
        """Return the seconds until a message is due; None: it is closed and there is no more."""
        with self._changed:
            if self._backlog.closing and not self._backlog:
                return None
            return max(0.0, self._backlog.next_due() - now)

    def close(self, now: float) -> None:
        """Make everything due, and what is not sent in time be left for the next run."""
        with self._changed:
            self.deadline = min(self.deadline, now + self._timing.closing_s)
            self._backlog.closing = True
        self.wake()

    def wake(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify()

    def wait(self, seconds: float) -> None:
        """Wait this long, or until something changes."""
        with self._changed:
            if not self._woken and seconds > 0:
                self._changed.wait(None if seconds == math.inf else seconds)
            self._woken = False
