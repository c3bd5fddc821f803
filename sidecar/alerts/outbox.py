"""Takes notices from any thread at once, delivers them in its own, and tries again what may succeed later."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from sidecar.alerts.backlog import Backlog
from sidecar.alerts.notices import Delayed, Notice, Rejected, Sender
from sidecar.core.events import Ban

log = logging.getLogger(__name__)

PACE = 1.0  # seconds between messages: Slack takes one a second, and turns off whoever goes on flooding
FIRST, LONGEST = (
    1.0,
    60.0,
)  # seconds before trying again: doubled each time, for as long as nothing gets through
TRIES = 20  # of one message, with those pauses a quarter of an hour; meanwhile bans are counted into the next
GRACE = 3.0  # seconds to deliver the rest when we stop: the supervisor waits five


class Listener(Protocol):
    """Who counts what becomes of alerts."""

    def alerted(self, sink: str, result: str) -> None:
        """A message was `sent`, `rejected` (it will never be taken), or `failed` (tried too often)."""

    def alerts_dropped(self, count: int) -> None:
        """So many were not even tried, for want of room or because we stop."""


class Outbox:
    """One sender's queue and thread; a Service. `tell` and `bans` never wait for the network."""

    def __init__(
        self,
        sender: Sender,
        listener: Listener,
        *,
        clock: Callable[[], float] = time.monotonic,
        pace: float = PACE,
        first: float = FIRST,
        grace: float = GRACE,
    ) -> None:
        self.name = f"alerts to {sender.name}"
        self._sender, self._listener, self._clock = sender, listener, clock
        self._pace, self._first, self._grace = pace, first, grace
        self._backlog = Backlog()
        self._changed = threading.Condition()
        self._deadline = math.inf  # when we stop trying
        self._pause = first
        self._said = ""  # the last complaint, so that it is logged once

    def tell(self, notice: Notice) -> None:
        with self._changed:
            dropped = self._backlog.tell(notice, self._clock())
            self._changed.notify()
        if dropped:
            self._listener.alerts_dropped(dropped)

    def bans(self, bans: Sequence[Ban]) -> None:
        with self._changed:
            self._backlog.bans(bans, self._clock())
            self._changed.notify()

    def run(self) -> None:
        """Deliver until closed; then what is left, for at most `grace` seconds."""
        while notice := self._next():
            self._deliver(notice)
        if left := len(self._backlog):
            self._listener.alerts_dropped(left)
            log.warning("%s: stopped, and %d not sent", self.name, left)

    def close(self) -> None:
        with self._changed:
            self._deadline = min(self._deadline, self._clock() + self._grace)
            self._backlog.closing = True
            self._changed.notify()

    def _next(self) -> Notice | None:
        """Wait for a message; None: that was all."""
        with self._changed:
            while True:
                now = self._clock()
                if now >= self._deadline:
                    return None
                if notice := self._backlog.take(now):
                    return notice
                if self._backlog.closing:
                    return None
                due = self._backlog.due()
                self._changed.wait(None if due == math.inf else max(0.0, due - now))

    def _deliver(self, notice: Notice) -> None:
        result = "failed"
        try:
            result = self._result(notice)
        finally:  # a sender with a mistake of its own loses a message, not the count of it
            self._listener.alerted(self._sender.name, result)

    def _result(self, notice: Notice) -> str:
        for _ in range(TRIES):
            try:
                self._sender.send(notice, self._deadline - self._clock())
            except Rejected as err:
                self._complain(f"{err} The message is lost.")
                return "rejected"
            except Delayed as err:
                self._complain(f"{err} It is tried again.")
                again = self._sleep(max(self._pause, err.after), at_least=max(self._first, err.after))
                self._pause = min(self._pause * 2, LONGEST)
                if not again:
                    break
            else:
                self._pause, self._said = self._first, ""
                self._sleep(self._pace)
                return "sent"
        return "failed"

    def _sleep(self, seconds: float, at_least: float = 0.0) -> bool:
        """Wait. Stopping cuts it short to `at_least`; False: even that would be too long."""
        start = self._clock()
        with self._changed:
            while True:
                now = self._clock()
                until = start + (at_least if self._backlog.closing else seconds)
                if until >= self._deadline:
                    self._deadline = now  # what is left would have to wait as long
                    return False
                if now >= until:
                    return True
                self._changed.wait(until - now)

    def _complain(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            log.warning("%s: %s", self.name, sentence)
