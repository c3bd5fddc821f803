"""A node's own decisions on their way to the other nodes.

A decision first waits here, then is in flight until this node reads it back from the stream. The
stream's order is the one that holds on every node. A decision of another node about the same
address and jail therefore has no effect here while ours is waiting or in flight: ours comes later
in the stream, so it wins everywhere.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from sidecar.core.events import Ban
from sidecar.fleet.protocol import MAX_ENTRY_LINES, LineKey, Outgoing, key_of

T = TypeVar("T", bound=Outgoing)


class FleetOutbox:
    """Decisions that wait or are in flight, the last one of each address and jail. Any thread may use it.

    At most `max_waiting` wait; the oldest are dropped first. A dropped ban is published again
    later, when the node compares its own bans with the server's.
    """

    def __init__(self, max_waiting: int = 100_000) -> None:
        self._max_waiting = max_waiting
        self._lock = threading.Lock()
        self._waiting: OrderedDict[LineKey, Outgoing] = OrderedDict()
        self._in_flight: Counter[LineKey] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, decisions: Iterable[Outgoing]) -> int:
        """Add decisions, each in place of what waits for the same key. Return how many were dropped for them."""
        with self._lock:
            return sum(self._put(decision) for decision in decisions)

    def put_unless_newer(self, bans: Iterable[Ban]) -> None:
        """Add bans, except those about which something of ours waits or is in flight already."""
        with self._lock:
            for ban in bans:
                if not self._overrules(key_of(ban)):
                    self._put(ban)

    def take(self, count: int = MAX_ENTRY_LINES) -> list[Outgoing]:
        """Remove and return the oldest that wait. They are in flight from now on."""
        with self._lock:
            taken = [self._waiting.popitem(last=False)[1] for _ in range(min(count, len(self._waiting)))]
            self._in_flight.update(map(key_of, taken))
        return taken

    def put_back(self, decisions: Iterable[Outgoing]) -> None:
        """Have decisions that could not be sent wait again, before the others, unless a newer one waits."""
        with self._lock:
            for decision in reversed([*decisions]):
                key = key_of(decision)
                self._land(key)
                if key not in self._waiting:
                    self._waiting[key] = decision
                    self._waiting.move_to_end(key, last=False)

    def shift(self, by_s: float) -> None:
        """Move the times of all that wait, because the clock was set."""
        with self._lock:
            for key, decision in self._waiting.items():
                self._waiting[key] = _shifted(decision, by_s)

    def drain(self) -> list[Outgoing]:
        """Remove and return all that wait, and forget what is in flight."""
        with self._lock:
            waiting = [*self._waiting.values()]
            self._waiting.clear()
            self._in_flight.clear()
        return waiting

    def landed(self, key: LineKey) -> None:
        """Note that our line about this key was read back from the stream."""
        with self._lock:
            self._land(key)

    def is_in_flight(self, key: LineKey) -> bool:
        with self._lock:
            return key in self._in_flight

    def not_overruled(self, decisions: Iterable[T]) -> list[T]:
        """Return those about which nothing of ours comes later in the stream."""
        with self._lock:
            return [each for each in decisions if not self._overrules(key_of(each))]

    def forget_in_flight(self) -> None:
        """Forget what is in flight: the server is another one, or we were away for too long to read it back."""
        with self._lock:
            self._in_flight.clear()

    def _put(self, decision: Outgoing) -> int:
        key = key_of(decision)
        self._waiting.pop(key, None)
        self._waiting[key] = decision
        if len(self._waiting) <= self._max_waiting:
            return 0
        self._waiting.popitem(last=False)
        return 1

    def _overrules(self, key: LineKey) -> bool:
        return key in self._waiting or key in self._in_flight

    def _land(self, key: LineKey) -> None:
        self._in_flight[key] -= 1
        if self._in_flight[key] <= 0:
            del self._in_flight[key]


def _shifted(decision: Outgoing, by_s: float) -> Outgoing:
    return decision.shifted(by_s) if isinstance(decision, Ban) else replace(decision, at=decision.at + by_s)
