"""What the publisher and the subscriber of one node share: a server, its clock, and one outbox.

The node publishes only once it has joined (`joined` is set), so that what it publishes is not older
than what it missed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sidecar.core.events import Ban
from sidecar.fleet.outbox import FleetOutbox
from sidecar.fleet.protocol import (
    MAX_ENTRY_LINES,
    ClockOffset,
    Codec,
    Lift,
    LineError,
    Outgoing,
    end_ms,
    key_of,
)
from sidecar.fleet.redis import FleetStore
from sidecar.runtime.backoff import Backoff
from sidecar.runtime.clock import Clock

# Between heartbeats; a reader waits as long for news.
HEARTBEAT_S = 1.0

# Before the server is tried again. All nodes agree again within 5 seconds after it is back.
FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 2.0

# Bans handed to the loop at once: some 10 ms of its time.
SLICE_SIZE = 1_000

# For the loop to decide about one slice.
LOOP_TIMEOUT_S = 30.0

T = TypeVar("T")


class FleetListener(Protocol):
    """Counts what goes on between the nodes. Called in any thread."""

    def connected(self, *, up: bool) -> None: ...

    def peers(self, count: int) -> None: ...

    def lag(self, peer: str, seconds: float) -> None: ...

    def bans(self, direction: str, result: str, count: int) -> None: ...

    def outbox(self, length: int) -> None: ...

    def rejected(self, reason: str, count: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Node:
    """A host as the other nodes know it."""

    name: str
    # Seals what the fleet publishes; empty: nothing is sealed.
    secret: bytes = b""
    # Different for each start: two hosts may be given one name.
    run: str = ""

    @property
    def full(self) -> str:
        return f"{self.name}/{self.run}"


class Session:
    """One node's part in the fleet. Only the subscriber changes `offset` and `joined`; any thread may read them."""

    def __init__(self, store: FleetStore, node: Node, clock: Clock, listener: FleetListener) -> None:
        self.store, self.node, self.clock, self.listener = store, node, clock, listener
        self.codec, self.outbox = Codec(node.secret), FleetOutbox()
        self.offset = ClockOffset()
        self.joined, self.closed = threading.Event(), threading.Event()

    def publish(self, decisions: Sequence[Outgoing], offset: ClockOffset) -> None:
        """Add one entry to the stream, and change the sets to match. Raises StoreError."""
        bans: list[tuple[int | str, str]] = []
        lifts: list[tuple[str, str, int]] = []
        for each in decisions:
            key = key_of(each)
            member = self.codec.ban_member(key)
            if isinstance(each, Ban):
                bans.append((end_ms(each, offset), member))
            else:
                lifts.append((member, self.codec.lift_member(key), offset.to_server_ms(each.at)))
        lines = [self.codec.line(each, self.node.full, offset) for each in decisions]
        self.store.publish(self.node.full, lines, bans, lifts)

    def stored_bans(self, offset: ClockOffset, now: float) -> Iterator[Ban]:
        """Yield all bans that the server has, except members that no node would have written. Raises StoreError."""
        for page in self.store.bans():
            for member, until in page:
                try:
                    yield self.codec.parse_ban(member, until, offset, now)
                except LineError:
                    continue

    def stored_lifts(self, now: float) -> Iterator[Lift]:
        """Yield all lifts that the server remembers, likewise. Raises StoreError."""
        for page in self.store.lifts():
            for member, at in page:
                try:
                    yield self.codec.parse_lift(member, at, self.offset, now)
                except LineError:
                    continue

    def wait_to_retry(self, backoff: Backoff) -> None:
        """Wait before the server is tried again, not quite as long as other nodes: it went away for all at once."""
        self.closed.wait(backoff.next() * random.uniform(0.5, 1))  # noqa: S311


def slices(values: Sequence[T], size: int = MAX_ENTRY_LINES) -> Iterator[list[T]]:
    """Yield all values in their order, so many at a time."""
    return ([*values[at : at + size]] for at in range(0, len(values), size))
