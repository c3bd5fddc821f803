"""How many may be banned before it looks like our own mistake: then we watch and tell instead of dropping.

A forged header, or a filter that takes visitors for attackers, could ban everyone. A ban beyond the budget is only
observed; once fewer are asked for, they are enforced again, and those in force stay so all the while.
"""

from __future__ import annotations

import math

from sidecar.core.address import Address
from sidecar.core.rate import Rate

MOST, PER = (
    30_000,
    60.0,
)  # bans, seconds: a storm of 10,000 passes at once, a botnet of 100,000 in four minutes
RECENT = 600.0  # seconds for which a client counts as recently seen: at least that, at most twice
FEW = 50  # clients below which a share means nothing: with three visitors, one is a third
CLIENTS = 1_000_000  # addresses remembered for the share, as many as a window tracks
AGAIN = (
    0.5  # the part of the budget within which bans are enforced again: at its edge it would change with each
)


class Budget:
    """Bans per time, and as a share of the clients seen. Owned by one thread."""

    def __init__(self, most: float = MOST, per: float = PER, share: float = math.inf) -> None:
        """At most `most` bans in `per` seconds (`math.inf`: any number), and at most this share (0 to 1) of clients."""
        self.exceeded = False  # as of the last call
        self.observed = 0  # bans that were not to be enforced, since the start
        self._seen = _Seen()
        self.become(most, per, share)

    def become(self, most: float, per: float, share: float) -> None:
        """From now on this budget. Bans made before count for the share alone."""
        self.most, self.share = most, share
        self._bans = Rate(per)

    @property
    def per(self) -> float:
        return self._bans.per

    def met(self, address: Address, now: float) -> None:
        """A client failed. For the share alone."""
        self._seen.met(address, now)

    def allows(self, now: float) -> bool:
        """May this ban, which is about to be made, be enforced? False: observe only."""
        self._seen.ban(now)
        self._judge(self._bans.add(now))
        self.observed += self.exceeded
        return not self.exceeded

    def again(self, now: float) -> bool:
        """May one who was only observed be kept out now? Asked at each of their lines, so a no counts for nothing."""
        return not self.look(now) and self.allows(now)

    def look(self, now: float) -> bool:
        """Is it exceeded now? While nobody is banned, only a look finds that it is over."""
        self._seen.age(now)
        self._judge(self._bans.count(now))
        return self.exceeded

    def _judge(self, bans: float) -> None:
        part = AGAIN if self.exceeded else 1.0
        self.exceeded = bans > self.most * part or self._seen.share > self.share * part


class _Seen:
    """Distinct clients, and bans, of this period and the one before."""

    def __init__(self) -> None:
        self._before: set[Address] = set()
        self._now: set[Address] = set()
        self._fresh = 0  # of `_now`, those who are not in `_before`
        self._bans = (0, 0)  # in this period, in the one before
        self._until = -math.inf  # when the period ends

    @property
    def share(self) -> float:
        """Banned of those seen; 0 while they are too few to say."""
        clients = len(self._before) + self._fresh
        return sum(self._bans) / clients if clients >= FEW else 0.0

    def met(self, address: Address, now: float) -> None:
        self.age(now)
        if address not in self._now and len(self._now) < CLIENTS:
            self._now.add(address)
            self._fresh += address not in self._before

    def ban(self, now: float) -> None:
        self.age(now)
        self._bans = self._bans[0] + 1, self._bans[1]

    def age(self, now: float) -> None:
        """Begin another period where it is time, or the clock was set back."""
        if now < self._until <= now + 2 * RECENT:
            return
        recent = 0 <= now - self._until < RECENT
        self._before, self._now = (self._now if recent else set()), set()
        self._bans = 0, (self._bans[0] if recent else 0)
        self._fresh, self._until = 0, now + RECENT
