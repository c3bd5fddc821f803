"""How often someone was banned, remembered after the ban: who comes back is kept out for longer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sidecar.core.address import Address
from sidecar.core.bounded_dict import drop_oldest, drop_while

AGE = 30 * 86_400.0  # seconds after its end that a ban is remembered; fail2ban's day forgets who comes weekly
KEPT = 1_000_000  # addresses of a jail, 150 bytes each; those who were banned longest ago go first


class Past(NamedTuple):
    """The bans of one address in one jail."""

    jail: str
    address: Address
    ban_count: int
    until: float  # when the last of them ends, or did


class History:
    """Of those whose bans are over. Bounded in number."""

    def __init__(self, past: Iterable[Past] = (), age: float = AGE, kept: int = KEPT) -> None:
        """`age`: seconds after its end that a ban still counts (`dbpurgeage`)."""
        self.dropped = 0  # addresses given up because `kept` was reached
        self.age = age
        self._kept = kept
        self._jails: dict[
            str, dict[Address, tuple[int, float]]
        ] = {}  # who was not banned for longest comes first
        for each in past:
            self.add(*each)

    def __iter__(self) -> Iterator[Past]:
        return (
            Past(jail, address, *past)
            for jail, pasts in self._jails.items()
            for address, past in pasts.items()
        )

    def __len__(self) -> int:
        return sum(map(len, self._jails.values()))

    def ban_count(self, jail: str, address: Address, now: float) -> int:
        """How often they were banned in this jail, as far as that still counts."""
        times, until = self._jails.get(jail, {}).get(address, (0, now))
        return times if until + self.age > now else 0

    def add(self, jail: str, address: Address, times: int, until: float) -> None:
        """A ban of theirs is over: the how-manieth, and when it ended or would have."""
        pasts = self._jails.setdefault(jail, {})
        pasts.pop(address, None)
        pasts[address] = times, until
        if len(pasts) > self._kept:
            self.dropped += len(drop_oldest(pasts))

    def clear(self, jail: str, address: Address) -> None:
        self._jails.get(jail, {}).pop(address, None)

    def forget(self, now: float) -> None:
        """Drop what no longer counts. It stops at the first that does: those who were banned for longer go later."""
        for pasts in self._jails.values():
            drop_while(pasts, lambda past: past[1] + self.age <= now)
