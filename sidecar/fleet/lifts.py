"""Which bans a number of unbans ended. Pure.

A node that was away reads what was unbanned meanwhile, and compares it with all of its own bans:
100,000 of each take well under a second, because a question costs a few look-ups and not a walk
over all unbans.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

from sidecar.core.address import Address, first_and_last
from sidecar.core.events import Ban
from sidecar.fleet.protocol import ANY, Lift, LineKey, Proposal, key_of

# Each host compares its clock with the server's to half a round trip, so two hosts may differ by so
# many seconds.
CLOCK_TOLERANCE_S = 0.1

# They differ by as much where a clock drifts: a host keeps the difference while it changes by less
# than a second. Something that is older by more was certainly decided before.
ORDER_TOLERANCE_S = 2.0

# One time, converted twice, differs by less.
SAME_TIME_S = 0.01


class LiftIndex:
    """Unbans, indexed so that one can ask whether any of them covers a ban."""

    def __init__(self, lifts: Iterable[Lift]) -> None:
        # key -> time of the last unban of exactly this key
        self._exact: dict[LineKey, float] = {}
        # IP version and prefix length -> network bits and jail -> time of the last unban
        self._networks: dict[tuple[int, int], dict[tuple[int, str], float]] = {}
        for lift in lifts:
            self.add(lift)

    def __len__(self) -> int:
        return len(self._exact)

    def add(self, lift: Lift) -> None:
        key = key_of(lift)
        self._exact[key] = max(lift.at, self._exact.get(key, -math.inf))
        if lift.address and "/" in lift.address:
            version, length, bits = _bits(lift.address)
            table = self._networks.setdefault((version, length), {})
            table[bits, lift.jail] = max(lift.at, table.get((bits, lift.jail), -math.inf))

    def forget_older_half(self) -> None:
        """Forget the older half of these unbans."""
        times = sorted(self._exact.values())
        before = times[len(times) // 2]
        self._exact = {key: at for key, at in self._exact.items() if at >= before}
        for kind, table in self._networks.items():
            self._networks[kind] = {key: at for key, at in table.items() if at >= before}

    def knows(self, lift: Lift) -> bool:
        """Return whether this unban, or a later one of the same key, is among these."""
        return self._exact.get(key_of(lift), -math.inf) > lift.at - SAME_TIME_S

    def covers(self, ban: Ban) -> bool:
        """Return whether the ban was lifted after it was made; where two clocks cannot say, it was.

        A ban is made when the last failure happened that it is for.
        """
        made = ban.at - CLOCK_TOLERANCE_S
        return any(at >= made for at in self._times(ban))

    def is_stale(self, ban: Ban | Proposal) -> bool:
        """Return whether the ban was lifted after it was made; where two clocks cannot say, it was not."""
        made = ban.at + ORDER_TOLERANCE_S
        return any(at > made for at in self._times(ban))

    def _times(self, ban: Ban | Proposal) -> Iterator[float]:
        for key in itertools.product((ban.address, ANY), (ban.jail, ANY)):
            yield self._exact.get(key, -math.inf)
        if self._networks:
            version, length, bits = _bits(ban.address)
            for (network_version, prefix), table in self._networks.items():
                if network_version == version and prefix <= length:
                    for jail in (ban.jail, ""):
                        yield table.get((bits >> length - prefix, jail), -math.inf)


def _bits(address: Address) -> tuple[int, int, int]:
    """Return the IP version, the prefix length, and that many leading bits."""
    version, first, last = first_and_last(address)
    rest = (last - first).bit_length()
    return version, (32 if version == 4 else 128) - rest, first >> rest
