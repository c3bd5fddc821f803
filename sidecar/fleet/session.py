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

from sidecar.core.clock_steps import clock_step
from sidecar.core.events import Ban
from sidecar.fleet.outbox import FleetOutbox
from sidecar.fleet.protocol import (
    MAX_ENTRY_LINES,
    ClockOffset,
    Codec,
    Lift,
    LineError,
    Outgoing,
    Proposal,
    end_ms,
    key_of,
)
from sidecar.fleet.redis import BanChange, FleetStore, LiftChange, Publication
from sidecar.runtime.backoff import Backoff
from sidecar.runtime.clock import Clock, read_clock, seconds_since_boot

# Between heartbeats; a reader waits as long for news.
HEARTBEAT_S = 1.0

# Before the server is tried again. All nodes agree again within 5 seconds after it is back.
FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 2.0

# Bans handed to the loop at once: some 10 ms of its time.
SLICE_SIZE = 1_000

# For the loop to decide about one slice.
LOOP_TIMEOUT_S = 30.0

# In a fleet with a key, the server's clock is believed while it differs from this host's by less.
# An attacker with the server could otherwise make old messages look new.
MAX_OFFSET_S = 60.0

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
    # The first seals what the fleet publishes, each is accepted; none: nothing is sealed.
    keys: tuple[bytes, ...] = ()
    # Different for each start: two hosts may be given one name.
    run: str = ""

    @property
    def full(self) -> str:
        return f"{self.name}/{self.run}"


class Session:
    """One node's part in the fleet. Only the subscriber sets `ahead_s` and `joined`; any thread may read them."""

    def __init__(
        self,
        store: FleetStore,
        node: Node,
        clock: Clock,
        listener: FleetListener,
        *,
        since_boot: Clock = seconds_since_boot,
    ) -> None:
        """`since_boot` is a clock that nobody sets: it tells by how much `clock` was set."""
        self.store, self.node, self.clock, self.listener = store, node, clock, listener
        self.since_boot = since_boot
        self.codec, self.outbox = Codec(node.keys), FleetOutbox()
        self.ahead_s = 0.0
        self.joined, self.closed = threading.Event(), threading.Event()

    @property
    def ahead_s(self) -> float:
        """By how many seconds the server's clock is ahead of this host's, which may have been set meanwhile."""
        ahead_s, reading = self._measured
        return ahead_s - clock_step(reading, read_clock(self.clock, self.since_boot))

    @ahead_s.setter
    def ahead_s(self, seconds: float) -> None:
        self._measured = seconds, read_clock(self.clock, self.since_boot)

    @property
    def offset(self) -> ClockOffset:
        """The offset by which messages are written and read."""
        return self.believed_offset(self.ahead_s)

    def believed_offset(self, ahead_s: float) -> ClockOffset:
        """Return the offset for a server that is so far ahead: none, where sealed messages would be judged by it."""
        if self.codec.sealed and abs(ahead_s) > MAX_OFFSET_S:
            return ClockOffset()
        return ClockOffset(ahead_s)

    def rekey(self, keys: Sequence[bytes]) -> None:
        """Seal with the first of these keys from now on, and accept each. Any thread may call this."""
        self.codec = Codec(keys)

    def publish(self, decisions: Sequence[Outgoing], offset: ClockOffset) -> None:
        """Add one entry to the stream, and change the sets to match. Raises StoreError."""
        codec = self.codec
        lines = [codec.line(each, self.node.full, offset) for each in decisions]
        change = _publication(codec, decisions, offset)
        self.store.publish(self.node.full, lines, change, sealed=codec.sealed)

    def propose(self, proposals: Sequence[Proposal]) -> None:
        """Add bans that are due here to the stream, for nodes that saw packets of the addresses. Raises StoreError."""
        codec = self.codec
        lines = [codec.line(each, self.node.full, self.offset) for each in proposals]
        self.store.publish(self.node.full, lines, Publication(), sealed=codec.sealed)

    def change_sets(self, decisions: Sequence[Outgoing], offset: ClockOffset) -> None:
        """Change the sets to match what all nodes know already: nothing is added to the stream. Raises StoreError."""
        codec = self.codec
        change = _publication(codec, decisions, offset)
        self.store.publish(self.node.full, (), change, sealed=codec.sealed)

    def stored_bans(self, offset: ClockOffset, now: float) -> Iterator[Ban]:
        """Yield all bans that the server has, except what no node would have written. Raises StoreError."""
        codec = self.codec
        for page in self.store.bans(sealed=codec.sealed):
            for found in page:
                try:
                    yield codec.parse_ban(*found, offset, now)
                except LineError:
                    continue

    def stored_lifts(self, now: float, offset: ClockOffset | None = None) -> Iterator[Lift]:
        """Yield all lifts that the server remembers, likewise. Raises StoreError."""
        codec = self.codec
        for page in self.store.lifts():
            for member, at in page:
                try:
                    yield codec.parse_lift(member, at, offset or self.offset, now)
                except LineError:
                    continue

    def stored_ends(self, bans: Sequence[Ban]) -> list[float | None]:
        """Return when each of these bans ends on the server, in our time; None where it has none, or not with our seal.

        Raises StoreError.
        """
        codec, ends = self.codec, list[float | None]()
        members = [codec.ban_member(key_of(ban)) for ban in bans]
        for member, found in zip(members, self.store.stored(members, sealed=codec.sealed), strict=True):
            end = codec.stored_end_ms(member, found.score, found.times) if found else None
            ends.append(None if end is None else self.offset.to_local_s(end))
        return ends

    def wait_to_retry(self, backoff: Backoff) -> None:
        """Wait before the server is tried again, not quite as long as other nodes: it went away for all at once."""
        self.closed.wait(backoff.next() * random.uniform(0.5, 1))  # noqa: S311


def _publication(codec: Codec, decisions: Sequence[Outgoing], offset: ClockOffset) -> Publication:
    """Return what these decisions change in the sets."""
    bans, lifts = list[BanChange](), list[LiftChange]()
    for each in decisions:
        key = key_of(each)
        member, untimed = codec.ban_member(key), codec.untimed_member(key)
        if isinstance(each, Ban):
            bans.append(BanChange(end_ms(each, offset), member, codec.ban_times(each, offset), untimed))
        else:
            lifted = codec.lift_member(each, offset)
            lifts.append(LiftChange(member, lifted, offset.to_server_ms(each.at), untimed))
    return Publication(bans, lifts)


def slices(values: Sequence[T], size: int = MAX_ENTRY_LINES) -> Iterator[list[T]]:
    """Yield all values in their order, this many at a time."""
    return ([*values[at : at + size]] for at in range(0, len(values), size))
