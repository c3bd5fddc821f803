"""Banned networks as the disjoint intervals that an interval set holds, changed a few at a time. Pure.

Networks lie within each other or apart, never across each other. So a change of one network concerns only the outermost
network around it, with all that lies within: its intervals are computed again, and only the difference is written. The
other networks, which may be tens of thousands, are not looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from sidecar.core.address import WIDEST_BAN_PREFIX, Address
from sidecar.firewall.elements import Interval, disjoint, interval_of

# From this many changes on, the order of all networks is made again instead of being amended.
MANY_CHANGES: Final = 1_000

# Of one transaction. A netlink attribute holds at most 64 KiB, and an interval is two elements.
MAX_INTERVALS: Final = 400

_ADDRESS_BITS = {4: 32, 6: 128}


class IntervalChange(NamedTuple):
    """Intervals of one region that are to be removed, and to be put in with their ends (unix time)."""

    removed: list[Interval]
    put: dict[Interval, float]

    @property
    def size(self) -> int:
        """How many intervals it names."""
        return len(self.removed) + len(self.put)


def in_order(networks: Iterable[Interval]) -> list[Interval]:
    """Return networks in order, each before those that lie within it."""
    return sorted(networks, key=_order)


def joined(changes: Iterable[IntervalChange]) -> Iterator[IntervalChange]:
    """Join the changes of regions to as many as one transaction takes. A region is never split."""
    removed: list[Interval] = []
    put: dict[Interval, float] = {}
    for change in changes:
        if len(removed) + len(put) + change.size > MAX_INTERVALS and (removed or put):
            yield IntervalChange(removed, put)
            removed, put = [], {}
        removed += change.removed
        put |= change.put
    if removed or put:
        yield IntervalChange(removed, put)


class BannedNetworks:
    """The banned networks of one set and the ends of their bans."""

    def __init__(self, version: int, networks: Mapping[Address, float]) -> None:
        self._until = {interval_of(address): until for address, until in networks.items()}
        self._ordered = in_order(self._until)
        self._max_size = 1 << _ADDRESS_BITS[version] - WIDEST_BAN_PREFIX[version]

    def change(self, ends: Mapping[Address, float | None]) -> list[IntervalChange]:
        """Ban these networks until then (None: no longer). Return how the intervals change, region by region."""
        changed = {interval_of(address): until for address, until in ends.items()}
        before = {network: self._until.get(network) for network in changed}
        # Networks that are to go are still there: they may be the outermost of their region.
        self._insert(network for network, until in before.items() if until is None)
        changes = []
        for region in dict.fromkeys(map(self._outermost, changed)):
            within = self._within(region)
            was = disjoint(
                _banned((network, before.get(network, self._until[network])) for network in within)
            )
            now = disjoint(
                _banned((network, changed.get(network, self._until[network])) for network in within)
            )
            put = {interval: until for interval, until in now.items() if was.get(interval) != until}
            removed = [interval for interval in was if now.get(interval) != was[interval]]
            if removed or put:
                changes.append(IntervalChange(removed, put))
        self._until |= {network: until for network, until in changed.items() if until is not None}
        self._remove({network for network, until in changed.items() if until is None})
        return changes

    def _insert(self, networks: Iterable[Interval]) -> None:
        new = list(networks)
        # Their ends are those of the change, and are not known yet.
        self._until |= dict.fromkeys(new, 0.0)
        if len(new) > MANY_CHANGES:
            self._ordered = in_order(self._until)
        else:
            for network in new:
                insort(self._ordered, network, key=_order)

    def _remove(self, networks: set[Interval]) -> None:
        for network in networks:
            del self._until[network]
        if len(networks) > MANY_CHANGES:
            self._ordered = in_order(self._until)
        else:
            for network in networks:
                del self._ordered[bisect_left(self._ordered, _order(network), key=_order)]

    def _outermost(self, network: Interval) -> Interval:
        """Return the widest banned network that this one lies in; it may be this one."""
        low, high = found = network
        size = high - low + 1
        while (size := size * 2) <= self._max_size:
            low &= -size
            if (wider := (low, low + size - 1)) in self._until:
                found = wider
        return found

    def _within(self, region: Interval) -> list[Interval]:
        """Return this network and all that lie within it, in order."""
        first = bisect_left(self._ordered, _order(region), key=_order)
        last = bisect_right(self._ordered, region[1], lo=first, key=_first_address)
        return self._ordered[first:last]


def _order(network: Interval) -> tuple[int, int]:
    return network[0], -network[1]


def _first_address(network: Interval) -> int:
    return network[0]


def _banned(networks: Iterable[tuple[Interval, float | None]]) -> Iterator[tuple[Interval, float]]:
    return ((network, until) for network, until in networks if until is not None)
