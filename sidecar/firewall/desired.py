"""Who is to be in which set, and until when: the program's truth. The kernel's sets are its copy."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.core.address import Address


class DesiredBans:
    """Bans by set and jail; someone whom several jails ban stays in a set for the longest of them."""

    def __init__(self) -> None:
        self.count = 0  # how many are to be in sets; in two sets is two
        self._sets: dict[str, dict[str, dict[Address, float]]] = {}  # set -> jail -> who -> until

    def put(self, name: str, jail: str, address: Address, until: float) -> bool:
        """Returns whether they were in the set before."""
        was_in = self.has(name, address)
        self.count += not was_in
        self._sets.setdefault(name, {}).setdefault(jail, {})[address] = until
        return was_in

    def take(self, name: str, jail: str, address: Address) -> bool:
        """Out as far as this jail goes; not being in is fine. Returns whether they were in the set before."""
        was_in = self.has(name, address)
        if was_in and self._sets[name].get(jail, {}).pop(address, None) is not None:
            self.count -= not self.has(name, address)
        return was_in

    def take_jail(self, jail: str) -> list[tuple[str, Address, float]]:
        """All of this jail out: set, who and until of each."""
        bans = {name: jails[jail] for name, jails in self._sets.items() if jail in jails}
        found = [(name, address, until) for name, each in bans.items() for address, until in each.items()]
        for name, address, _ in found:
            self.take(name, jail, address)
        return found

    def has(self, name: str, address: Address) -> bool:
        for bans in self._sets.get(name, {}).values():  # by hand: `any` takes three times as long  # noqa: SIM110
            if address in bans:
                return True
        return False

    def until(self, name: str, address: Address) -> float | None:
        """When the last ban ends; None: not banned."""
        last = None
        for bans in self._sets.get(name, {}).values():
            end = bans.get(address)
            if end is not None and (last is None or end > last):
                last = end
        return last

    def everyone(self, name: str) -> Mapping[Address, float]:
        """All who are to be in a set, those who came in last at the end."""
        jails = [bans for bans in self._sets.get(name, {}).values() if bans]
        if len(jails) == 1:
            return jails[0]  # as is: a set of 100,000 is not copied for every question
        merged: dict[Address, float] = {}
        for bans in jails:
            for address, until in bans.items():
                merged[address] = max(until, merged.get(address, until))
        return merged
