"""The bans of one jail that are in force, and what follows from them: banned neighbourhoods, and bypassed bans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from sidecar.core.address import Address, ip_version, is_wide, neighbourhood, networks_of
from sidecar.core.events import Ban, Bypass, Hit

# Responses to requests that were under way may still be logged for this long after the ban.
BYPASS_GRACE_S: Final = 10.0


class ActiveBans:
    """Bans by address, without their evidence: that of 100,000 bans would be 200 MB, and the store has it.

    `enforced` counts by IP version the bans that are not dry runs. Other threads may read it.
    """

    def __init__(self, bangroup: int) -> None:
        """`bangroup` is how many banned hosts of a /24 are a ban of all of it; 0: never."""
        self.enforced = {4: 0, 6: 0}
        self._bangroup = bangroup
        self._bans: dict[Address, Ban] = {}
        # How many hosts of each /24 are banned; counted only where `bangroup` asks for it.
        self._neighbours: Counter[Address] = Counter()
        # How many bans of whole networks are in force: while there are none, nobody looks for one.
        self._wide = 0
        # Addresses with a bypass that was reported.
        self._bypassed: set[Address] = set()

    def __len__(self) -> int:
        return len(self._bans)

    def __iter__(self) -> Iterator[Ban]:
        return iter(self._bans.values())

    def __contains__(self, address: object) -> bool:
        return address in self._bans

    def get(self, address: Address) -> Ban | None:
        """Return the ban of exactly this address or network."""
        return self._bans.get(address)

    def covering(self, address: Address) -> Ban | None:
        """Return the ban that holds for this address: its own, or that of its /24, /56 or /48."""
        if ban := self._bans.get(address):
            return ban
        if not self._wide:
            return None
        # The hot path of a network that goes on after its ban.
        for network in networks_of(address):
            if ban := self._bans.get(network):
                return ban
        return None

    def put(self, ban: Ban) -> Ban:
        """Put a ban in force, or replace the one of its address. Return what is kept of it."""
        address = ban.address
        before = self._bans.get(address)
        if before:
            self.enforced[ip_version(address)] += before.dry_run - ban.dry_run
        else:
            self.enforced[ip_version(address)] += not ban.dry_run
            self._wide += is_wide(address)
            if self._bangroup and (network := neighbourhood(address)):
                self._neighbours[network] += 1
        kept = self._bans[address] = ban.without_evidence() if ban.evidence else ban
        return kept

    def remove(self, address: Address) -> Ban:
        """End the ban of this address, and return it."""
        ban = self._bans.pop(address)
        self.enforced[ip_version(address)] -= not ban.dry_run
        self._bypassed.discard(address)
        if self._wide and is_wide(address):
            self._wide -= 1
        if self._bangroup and (network := neighbourhood(address)):
            self._neighbours[network] -= 1
        return ban

    def full_group(self, address: Address) -> tuple[Address, int] | None:
        """Return the /24 around an address and how many of its hosts are banned, once they are enough to ban it."""
        if not self._bangroup:
            return None
        network = neighbourhood(address)
        if not network or self._neighbours[network] < self._bangroup or network in self._bans:
            return None
        return network, self._neighbours[network]

    def bypass_of(self, ban: Ban, hit: Hit) -> Bypass | None:
        """Return that a ban has no effect, where its origin logged the address well after it; once for each ban."""
        # The store keeps `at` alone, so after a restart `decided_at` is when the ban was loaded.
        since = max(ban.at, ban.decided_at)
        if hit.at <= since + BYPASS_GRACE_S or ban.dry_run or hit.address in self._bypassed:
            return None
        if ban.origin_name not in ("", hit.origin.name):
            return None
        self._bypassed.add(hit.address)
        return Bypass(hit.jail, hit.address, hit.at, hit.origin.name)

    def dismiss_bypass(self, address: Address) -> None:
        """Have the next one noticed again: what looked like a bypass was a request from before the ban."""
        self._bypassed.discard(address)

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        for address, ban in self._bans.items():
            self._bans[address] = ban.shifted(by_s)

    def reconfigure(self, bangroup: int) -> None:
        """Apply another `bangroup` to the bans that are in force."""
        self._bangroup = bangroup
        self._neighbours = Counter(filter(None, map(neighbourhood, self._bans)) if bangroup else ())
