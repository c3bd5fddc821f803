"""How many decisions of other nodes are believed: token buckets. Pure; the time is an argument.

A node that an attacker has taken over can then ban some thousands of addresses here, and not
everybody.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from typing import NamedTuple


class LiftKind(enum.Enum):
    """What an unban is, as far as its limit goes."""

    UNSEALED = enum.auto()
    SEALED = enum.auto()
    WIDE = enum.auto()


class Allowance(NamedTuple):
    """How many at once, and then how many a second."""

    burst: float
    per_s: float


# Bans of one peer, and of all peers together: as many as a node finds when it joins, and ten peers
# at work.
PEER_BANS = Allowance(20_000, 100.0)
ALL_BANS = Allowance(100_000, 1_000.0)

# Unbans: enough for people, and too few to unban everybody.
LIFTS = {
    LiftKind.UNSEALED: Allowance(1_000, 1.0),
    LiftKind.SEALED: Allowance(10_000, 100.0),
    # Of everyone, or of a wide network: three at once, and then three an hour. Only sealed ones get so far.
    LiftKind.WIDE: Allowance(3, 3 / 3600),
}

# Proposed bans of all peers together. Each is a question to the kernel; and a ban that follows counts against this
# host's own ban budget, of which this is a twentieth.
PROPOSALS = Allowance(1_000, 10.0)

# Of one node: a log can be made to name any number of addresses.
OWN_PROPOSALS = Allowance(100, 10.0)

# What a ban that is known already costs: it takes some time, and bans nobody.
REPEATED_COST = 0.1

# The buckets of the peers that were silent for the longest are dropped first.
MAX_PEERS = 4_096


class PeerBudget:
    """How much of what other nodes write is believed: of each peer, and of all together."""

    def __init__(self, peer: tuple[float, float] = PEER_BANS, total: tuple[float, float] = ALL_BANS) -> None:
        self._peer = Allowance(*peer)
        self._total = TokenBucket(Allowance(*total))
        self._lifts = {kind: TokenBucket(allowance) for kind, allowance in LIFTS.items()}
        self._proposals = TokenBucket(PROPOSALS)
        self._peers: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, wanted: int, now: float, peer: str | None = None) -> int:
        """Return how many of a number of bans are believed. Without a peer, as at a join, only the total counts."""
        allowed = min(wanted, self.room(now, peer))
        if peer is not None:
            self._peers[peer].left -= allowed
        self._total.left -= allowed
        return allowed

    def room(self, now: float, peer: str | None = None) -> int:
        """Return how many bans would be believed now."""
        room = self._total.room(now)
        if peer is None:
            return room
        bucket = self._peers.setdefault(peer, TokenBucket(self._peer))
        self._peers.move_to_end(peer)
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        return min(room, bucket.room(now))

    def refund(self, peer: str, repeated: int) -> None:
        """Give back most of what was taken for bans that were known already, as after a flush."""
        for bucket in (self._total, self._peers.get(peer)):
            if bucket:
                # It was taken before, so this never exceeds the burst.
                bucket.left += repeated * (1 - REPEATED_COST)

    def take_proposals(self, wanted: int, now: float) -> int:
        """Return how many of a number of proposed bans are considered."""
        allowed = min(wanted, self._proposals.room(now))
        self._proposals.left -= allowed
        return allowed

    def take_lift(self, kind: LiftKind, now: float) -> bool:
        """Return whether an unban of this kind is believed."""
        bucket = self._lifts[kind]
        allowed = bucket.room(now) > 0
        bucket.left -= allowed
        return allowed


class TokenBucket:
    """What is left of an allowance."""

    def __init__(self, allowance: Allowance) -> None:
        self.left = allowance.burst
        self._allowance = allowance
        self._at: float | None = None

    def room(self, now: float) -> int:
        """Refill up to now, and return what is left."""
        elapsed_s = 0.0 if self._at is None else now - self._at
        self.left = min(self._allowance.burst, self.left + max(0.0, elapsed_s) * self._allowance.per_s)
        self._at = now
        return int(self.left)
