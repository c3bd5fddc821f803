"""Who is to be in which set, and until when: the program's truth. The kernel's sets are its copy."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.core.events import Who


class Wanted:
    """Bans by set and jail; someone whom several jails ban stays in a set for the longest of them."""

    def __init__(self) -> None:
        self._sets: dict[str, dict[str, dict[Who, float]]] = {}  # set -> jail -> who -> until

    def put(self, name: str, jail: str, who: Who, until: float) -> None:
        self._sets.setdefault(name, {}).setdefault(jail, {})[who] = until

    def take(self, name: str, jail: str, who: Who) -> None:
        """Out as far as this jail goes; not being in is fine."""
        self._sets.get(name, {}).get(jail, {}).pop(who, None)

    def has(self, name: str, who: Who) -> bool:
        return any(who in bans for bans in self._sets.get(name, {}).values())

    def until(self, name: str, who: Who) -> float | None:
        """When the last ban ends; None: not banned."""
        ends = [bans[who] for bans in self._sets.get(name, {}).values() if who in bans]
        return max(ends, default=None)

    def everyone(self, name: str) -> Mapping[Who, float]:
        """All who are to be in a set, those who came in last at the end."""
        jails = [bans for bans in self._sets.get(name, {}).values() if bans]
        if len(jails) == 1:
            return jails[0]  # as is: a set of 100,000 is not copied for every question
        merged: dict[Who, float] = {}
        for bans in jails:
            for who, until in bans.items():
                merged[who] = max(until, merged.get(who, until))
        return merged
