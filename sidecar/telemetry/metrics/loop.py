"""How fast the loop turns, and what waits for it or behind it."""

from __future__ import annotations

import time
from collections.abc import Sized
from typing import Final

from sidecar.core.events import Turn
from sidecar.runtime.clock import Clock
from sidecar.runtime.loop import BackloggedSink, Sink
from sidecar.telemetry.metrics.declare import Declaration

# Seconds. A turn with one ban takes about 1 ms, one with 100,000 about 1 s.
BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class LoopMetrics:
    """A sink, the last one: a turn is over when it is asked."""

    name = "loop metrics"

    def __init__(self, declare: Declaration, *, clock: Clock = time.time) -> None:
        self._clock = clock
        self._turns = declare.histogram(
            "turn_seconds",
            "Duration of the loop's turns that had something to do: until all that came in is decided, in force and"
            " stored.",
            BUCKETS_S,
        )
        self._writes = declare.histogram(
            "store_write_seconds", "Duration of the store's part of a turn.", BUCKETS_S
        )
        self._store_behind = declare.gauge(
            "store_behind", "Whether the store still has to write what was decided (1) or not (0)."
        )
        self._inbox = declare.gauge(
            "inbox_batches", "Batches of log lines that wait for the loop. Sources wait while it is full."
        )

    def apply(self, turn: Turn) -> None:
        # The clock may have been set back meanwhile.
        self._turns.observe(max(0.0, self._clock() - turn.at))

    def timed(self, store: Sink) -> TimedStore:
        """Return this sink with its time measured."""
        return TimedStore(store, self)

    def written(self, seconds: float) -> None:
        """Take how long the store took."""
        self._writes.observe(seconds)

    def observe_store(self, store: BackloggedSink) -> None:
        """Show whether this store is behind at every scrape."""
        self._store_behind.set_function(lambda: store.behind)

    def observe_inbox(self, inbox: Sized) -> None:
        """Show the length of this inbox at every scrape."""
        self._inbox.set_function(inbox.__len__)


class TimedStore:
    """A sink whose time is measured, whether or not it fails."""

    def __init__(self, store: Sink, metrics: LoopMetrics) -> None:
        self._store, self._metrics = store, metrics

    @property
    def name(self) -> str:
        return self._store.name

    def apply(self, turn: Turn) -> None:
        began = time.perf_counter()
        try:
            self._store.apply(turn)
        finally:
            self._metrics.written(time.perf_counter() - began)
