"""The failures of an address that people log in from: how many of them are excused.

A proof of login (a page that the site serves to nobody who is not logged in) clears the failures before it, so that
people who mistype, offices behind one address and second factors are not banned for working. But anybody with an
account of his own can prove a login, as often as he likes, and on many sites anybody can get one. Someone who guesses
another account's password would log in to his own after every fourth guess, and guess for ever.

So what is excused is bounded, whatever was proved: `FORGIVEN_ROUNDS` times `maxretry` failures within `findtime`, and
`PROXY_ROUNDS` times if the address looks like one that many people share. Beyond that a proof clears nothing. With the
defaults (5 failures within three hours) an attacker with an account gets some 15 guesses in three hours from each
address instead of 4, or some 50 if he also makes the traffic of a busy office, and is reported then.

An address looks shared if many logins from it worked, and at least twice as many as failed; or if a web server named it
as the peer of several clients. The first needs logins that worked, the second a server that trusts the address.
"""

from __future__ import annotations

import math
from typing import Final

from sidecar.core.address import Address, parse_address
from sidecar.core.bounded_dict import drop_oldest
from sidecar.core.jail import Jail

# As many times `maxretry` failures are excused within `findtime`.
FORGIVEN_ROUNDS: Final = 3
# The same for an address that looks shared.
PROXY_ROUNDS: Final = 10

# This many proofs of login within `findtime`, and this many for each failure, are the work of several people.
MIN_SHARED_PROOFS: Final = 20
MIN_PROOFS_PER_FAILURE: Final = 2

# A peer of this many clients is a proxy.
MIN_FORWARDED_CLIENTS: Final = 3

# Addresses with a proof of login in one jail. One weighs about 250 bytes.
MAX_PROVED_ADDRESSES: Final = 100_000
# Peers that forward clients.
MAX_PEERS: Final = 4_096


class Excuses:
    """The proofs of login and the excused failures of each address in one jail."""

    def __init__(self, max_addresses: int = MAX_PROVED_ADDRESSES) -> None:
        self._max_addresses = max_addresses
        # Address -> proofs, excused failures, and when that was so: both counts fade, and after `findtime` a third is
        # left. The address without a proof or an excuse for longest comes first.
        self._logins: dict[Address, tuple[float, float, float]] = {}

    def __len__(self) -> int:
        return len(self._logins)

    def login_proved(
        self, jail: Jail, address: Address, failures: int, at: float, *, is_peer: bool = False
    ) -> bool:
        """Count a proof of login. Return whether it excuses the failures before it.

        `is_peer`: the address is the peer of several clients.
        """
        proofs, excused, at = self._pop(jail, address, at)
        proofs += 1
        if not failures:
            self._put(address, proofs, excused, at)
            return True
        total = excused + failures
        rounds = PROXY_ROUNDS if is_peer or _looks_shared(proofs, total) else FORGIVEN_ROUNDS
        is_excused = total <= jail.maxretry * rounds
        self._put(address, proofs, total if is_excused else excused, at)
        return is_excused

    def excuse_due_ban(self, jail: Jail, address: Address, at: float, *, is_peer: bool = False) -> bool:
        """Return whether the failures that make a ban due are excused because the address looks shared."""
        if not is_peer and address not in self._logins:
            return False
        proofs, excused, at = self._pop(jail, address, at)
        total = excused + jail.maxretry
        is_excused = total <= jail.maxretry * PROXY_ROUNDS and (is_peer or _looks_shared(proofs, total))
        self._put(address, proofs, total if is_excused else excused, at)
        return is_excused

    def looks_like_proxy(self, jail: Jail, address: Address) -> bool:
        """Return whether more was excused than the proofs of one person can."""
        logins = self._logins.get(address)
        return logins is not None and logins[1] > FORGIVEN_ROUNDS * jail.maxretry

    def forget(self, before: float) -> None:
        """Forget addresses whose last proof or excuse was earlier."""
        for address in [address for address, (_, _, at) in self._logins.items() if at < before]:
            del self._logins[address]

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        for address, (proofs, excused, at) in self._logins.items():
            self._logins[address] = proofs, excused, at + by_s

    def _pop(self, jail: Jail, address: Address, at: float) -> tuple[float, float, float]:
        """Take out what counts of the address at this time; of a late line, at the time of the line before."""
        logins = self._logins.pop(address, None)
        if logins is None:
            return 0.0, 0.0, at
        proofs, excused, then = logins
        if at <= then:
            return logins
        left = math.exp((then - at) / jail.findtime)
        return proofs * left, excused * left, at

    def _put(self, address: Address, proofs: float, excused: float, at: float) -> None:
        self._logins[address] = proofs, excused, at
        if len(self._logins) > self._max_addresses:
            drop_oldest(self._logins)


class Peers:
    """Addresses that web servers named as the peer of other clients: proxies."""

    def __init__(self, max_peers: int = MAX_PEERS) -> None:
        self._max_peers = max_peers
        # Peer -> the first few clients. The peer without another client for longest comes first.
        self._clients: dict[Address, tuple[Address, ...]] = {}

    def add(self, peer: str, client: Address) -> None:
        """Remember that this peer forwarded this client."""
        address = parse_address(peer)
        if address is None:
            return
        clients = self._clients.get(address, ())
        if client in clients or len(clients) >= MIN_FORWARDED_CLIENTS:
            return
        self._clients[address] = (*clients, client)
        if len(self._clients) > self._max_peers:
            drop_oldest(self._clients)

    def __contains__(self, address: object) -> bool:
        """Return whether the address forwards several clients."""
        return len(self._clients.get(address, ())) >= MIN_FORWARDED_CLIENTS  # type: ignore[call-overload]


def _looks_shared(proofs: float, failures: float) -> bool:
    return proofs >= MIN_SHARED_PROOFS and proofs >= MIN_PROOFS_PER_FAILURE * failures
