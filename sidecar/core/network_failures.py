"""The failures of networks: many addresses of one attacker, each of which stays below `maxretry`.

A customer of an IPv6 provider has a /56 or a /48 whole: 256 or 65,536 times the /64 that a ban closes. Four guesses
from each would be 262,144 guesses without a ban. In an IPv4 /24 there may be many customers, so it takes more failures.

A network is full at some rounds of `maxretry` failures within `findtime`, from several addresses. The time
is counted from the first failure on and then again, which is cheaper than a true window: at worst, twice as many
failures pass. Where people of the network log in as well, it takes `SHARED_ROUNDS` times as many: they may be customers
of a mobile provider.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sidecar.core.address import Address, networks_of
from sidecar.core.bounded_dict import drop_oldest, drop_while
from sidecar.core.jail import Jail

# By prefix length: the failures, as a multiple of `maxretry`, and the addresses that make a network full.
FULL: Final = {56: (3, 3), 48: (20, 16), 24: (30, 16)}
# A network with one login for this many failing addresses is shared by people who work.
ADDRESSES_PER_LOGIN: Final = 4
SHARED_ROUNDS: Final = 10
# Members are remembered in the second half of the failures only, so that most networks cost one small tuple.
MAX_MEMBERS: Final = 64

# Of one jail; one weighs about 250 bytes. The network whose count began first goes first.
MAX_NETWORKS: Final = 32_768


class FullNetwork(NamedTuple):
    """A network with too many failures. `members` are the addresses that failed last, as many as were remembered."""

    address: Address
    failures: int
    members: frozenset[Address]

    @property
    def least_members(self) -> int:
        """How many of the members have to be real."""
        return FULL[int(self.address.rpartition("/")[2])][1]


class _Count(NamedTuple):
    """What counts of one network. `logins` are addresses that proved one."""

    since: float
    failures: int
    members: frozenset[Address]
    logins: frozenset[Address]


_NOBODY: Final[frozenset[Address]] = frozenset()
# A NamedTuple's own constructor takes twice as long.
_new = tuple.__new__


class NetworkFailures:
    """Counts the failures of each network of one jail, over all its addresses."""

    def __init__(self, max_networks: int = MAX_NETWORKS) -> None:
        self._max_networks = max_networks
        # IPv4 networks by the text before the last dot, which takes a tenth of the time that a whole address takes.
        self._counts: dict[str, _Count] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, jail: Jail, address: Address, at: float) -> FullNetwork | None:
        """Count a failure. Return the widest network that is full by it, which begins to count again."""
        if ":" not in address:
            return self._add(jail, address[: address.rfind(".")], 24, address, at)
        full = None
        for network in networks_of(address):
            full = self._add(jail, network, int(network[-2:]), address, at) or full
        return full

    def login_proved(self, address: Address) -> None:
        """Count a login in the networks that fail."""
        for key in _keys(address):
            count = self._counts.get(key)
            if count and len(count.logins) < MAX_MEMBERS:
                self._counts[key] = count._replace(logins=count.logins | {address})

    def clear(self, network: Address) -> None:
        """Forget what counts of this network."""
        self._counts.pop(network.removesuffix(".0/24"), None)

    def forget(self, before: float) -> None:
        """Forget the networks whose count began earlier."""
        drop_while(self._counts, lambda count: count.since < before)

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        for key, count in self._counts.items():
            self._counts[key] = count._replace(since=count.since + by_s)

    def _add(self, jail: Jail, key: str, prefix: int, address: Address, at: float) -> FullNetwork | None:
        count = self._counts.get(key)
        if count is None or at - count.since > jail.findtime:
            # A later count stands behind the earlier ones.
            self._counts.pop(key, None)
            self._counts[key] = _new(_Count, (at, 1, _NOBODY, _NOBODY))
            if len(self._counts) > self._max_networks:
                drop_oldest(self._counts)
            return None
        since, failures, members, logins = count
        failures += 1
        rounds, least = FULL[prefix]
        limit = rounds * jail.maxretry
        if 2 * failures >= limit and len(members) < MAX_MEMBERS:
            members |= {address}
        if failures >= limit and len(members) >= least:
            shared = len(logins) * ADDRESSES_PER_LOGIN >= len(members)
            if failures >= limit * (SHARED_ROUNDS if shared else 1):
                del self._counts[key]
                network = Address(f"{key}.0/24") if prefix == 24 else Address(key)
                return FullNetwork(network, failures, members)
        self._counts[key] = _new(_Count, (since, failures, members, logins))
        return None


def _keys(address: Address) -> tuple[str, ...]:
    return (address[: address.rfind(".")],) if ":" not in address else networks_of(address)
