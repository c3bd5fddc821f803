"""How many bans are in force at most, and which of them end early when there are too many.

A botnet may have millions of addresses, and each ban takes memory here and in the kernel. So the number of bans is
bounded. Beyond it, bans of one network become one ban of all of it, where enough of its addresses are banned. If that
does not make room, those end that would have ended first: with `bantime.increment` they are the least dangerous. Bans
by hand and permanent ones stay.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from sidecar.core.address import Address, ip_version, networks_of
from sidecar.core.ban_register import BanRegister
from sidecar.core.events import Ban, BanCause, Decision, UnbanCause
from sidecar.core.guard_state import GuardState
from sidecar.core.jail_state import JailState

# In all jails together. One weighs about 500 bytes here, and as much in the kernel.
MAX_BANS: Final = 250_000
# This many are allowed however short memory is.
MIN_BANS: Final = 1_000
# This many bans of one network become one, by IP version: of an IPv4 /24, or of an IPv6 /48.
MERGED_FROM: Final = {4: 16, 6: 4}
# Room is made for this many at once, because finding out which ones takes a look at all: a share of those that may end,
# so that a long list by hand does not end all others.
ROOM: Final = 1 / 16


class MaxBans:
    """Ends bans early where there are too many. How many it ended, by cause, is in the guard's state."""

    def __init__(self, state: GuardState, register: BanRegister, max_bans: int = MAX_BANS) -> None:
        self.max_bans = max_bans
        self._frozen_at: float = math.inf
        self._state = state
        self._register = register

    def make_room(self, now: float) -> list[Decision]:
        """Return what ends, and the bans of whole networks that take its place. Nothing, while there is room."""
        limit = min(self.max_bans, self._frozen_at)
        if self._count() <= limit:
            return []
        decisions: list[Decision] = []
        for state in self._state.jails:
            for network, members in _crowded(state.bans):
                if not self._state.allowlist_reason(state, network):
                    decisions += self._merge(state, network, members, now)
        excess = int(self._count() - limit)
        if excess <= 0:
            return decisions
        ending = list(self._ending())
        most = excess + math.ceil(min(limit, len(ending)) * ROOM)
        first = heapq.nsmallest(most, ending, key=attrgetter("until"))
        return [*decisions, *(self._end(ban, now, UnbanCause.CROWDED_OUT) for ban in first)]

    def freeze(self) -> None:
        """Allow no more bans than are in force now, until `thaw`."""
        self._frozen_at = max(MIN_BANS, self._count())

    def thaw(self) -> None:
        """Allow as many bans as the settings say again."""
        self._frozen_at = math.inf

    def _count(self) -> int:
        return sum(len(state.bans) for state in self._state.jails)

    def _ending(self) -> Iterator[Ban]:
        return (
            ban
            for state in self._state.jails
            for ban in state.bans
            if ban.cause != BanCause.MANUAL and ban.until < math.inf
        )

    def _merge(
        self, state: JailState, network: Address, members: list[Ban], now: float
    ) -> Iterator[Decision]:
        """Yield a ban of the network, as long as the longest of these, and then their ends."""
        last = max(members, key=attrgetter("until"))
        yield self._register.put(
            Ban(
                state.name, network, last.at, last.until, BanCause.GROUP,
                failures=sum(ban.failures for ban in members), origin_name=last.origin_name,
                reason=f"{len(members)} of its addresses were banned, and there are too many bans",
                dry_run=any(ban.dry_run for ban in members), decided_at=now,
            )
        )  # fmt: skip
        for ban in members:
            yield self._end(ban, now, UnbanCause.MERGED)

    def _end(self, ban: Ban, now: float, cause: UnbanCause) -> Decision:
        self._state.ended_early[cause] += 1
        return self._register.end(self._state.jails.by_name[ban.jail], ban.address, now, cause)


def _crowded(bans: Iterable[Ban]) -> list[tuple[Address, list[Ban]]]:
    """Return the networks with so many bans that one takes their place, and those bans."""
    found: defaultdict[Address, list[Ban]] = defaultdict(list)
    for ban in bans:
        if ban.cause != BanCause.MANUAL and ban.until < math.inf and (networks := networks_of(ban.address)):
            found[networks[-1]].append(ban)
    return [
        (network, members)
        for network, members in found.items()
        if len(members) >= MERGED_FROM[ip_version(network)]
    ]
