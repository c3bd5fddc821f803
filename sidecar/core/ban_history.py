"""How often an address was banned, remembered after the ban: each further ban may last longer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from sidecar.core.address import Address
from sidecar.core.bounded_dict import drop_oldest, drop_while, halved

# Seconds after its end that a ban is remembered. fail2ban's day (`dbpurgeage`) forgets an attacker that comes weekly.
HISTORY_AGE_S: Final = 30 * 86_400.0
# Of one jail; one weighs 150 bytes.
MAX_HISTORY_ADDRESSES: Final = 1_000_000
# This many are remembered however short memory is.
MIN_HISTORY_ADDRESSES: Final = 1_000


class PastBans(NamedTuple):
    """The bans of one address in one jail. `until` is when the last of them ends, or ended."""

    jail: str
    address: Address
    ban_count: int
    until: float


class BanHistory:
    """The bans that are over. Bounded in number: the addresses that were banned longest ago go first.

    `dropped` is how many addresses were given up because there were too many.
    """

    def __init__(
        self,
        past: Iterable[PastBans] = (),
        age_s: float = HISTORY_AGE_S,
        max_addresses: int = MAX_HISTORY_ADDRESSES,
    ) -> None:
        """`age_s` is how long after its end a ban still counts (`dbpurgeage`)."""
        self.dropped = 0
        self.age_s = age_s
        self._max_addresses = max_addresses
        # Jail -> address -> ban count and end. The address that was not banned for longest comes first.
        self._jails: dict[str, dict[Address, tuple[int, float]]] = {}
        for each in past:
            self.add(*each)

    def __iter__(self) -> Iterator[PastBans]:
        return (
            PastBans(jail, address, *past)
            for jail, pasts in self._jails.items()
            for address, past in pasts.items()
        )

    def __len__(self) -> int:
        return sum(map(len, self._jails.values()))

    def ban_count(self, jail: str, address: Address, now: float) -> int:
        """Return how often this address was banned in this jail, as far as that still counts."""
        count, until = self._jails.get(jail, {}).get(address, (0, now))
        return count if until + self.age_s > now else 0

    def add(self, jail: str, address: Address, ban_count: int, until: float) -> None:
        """Remember a ban that is over: which one of this address it was, and when it ended or would have."""
        pasts = self._jails.setdefault(jail, {})
        pasts.pop(address, None)
        pasts[address] = ban_count, until
        if len(pasts) > self._max_addresses:
            self.dropped += len(drop_oldest(pasts))

    def clear(self, jail: str, address: Address) -> None:
        if pasts := self._jails.get(jail):
            pasts.pop(address, None)

    def shrink(self) -> None:
        """Forget half of the addresses of each jail where they are many, and remember no more than are left."""
        for jail, pasts in self._jails.items():
            self._jails[jail], dropped = halved(pasts, MIN_HISTORY_ADDRESSES)
            self.dropped += dropped
        self._max_addresses = max([MIN_HISTORY_ADDRESSES, *map(len, self._jails.values())])

    def grow(self) -> None:
        """Remember as many addresses as ever again."""
        self._max_addresses = MAX_HISTORY_ADDRESSES

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        for pasts in self._jails.values():
            for address, (count, until) in pasts.items():
                pasts[address] = count, until + by_s

    def forget(self, now: float) -> None:
        """Forget what counts no more. It stops at the first that does, so longer bans are forgotten by a later call."""
        for pasts in self._jails.values():
            drop_while(pasts, lambda past: past[1] + self.age_s <= now)
