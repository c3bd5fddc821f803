"""What a replay counts, in bounded memory: by jail, address and time. And what two policies decide differently."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sidecar.core.address import Address, is_wide, is_within, networks_of
from sidecar.core.bounded_dict import drop_oldest
from sidecar.core.events import Ban, Hit

# Addresses that are remembered: about 40 MB. Those that failed last are kept.
MAX_ADDRESSES: Final = 200_000
# Seconds that one count over time stands for. Each divides the next, so that counts can be joined.
STEPS_S: Final = (1, 10, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_419_200, 29_030_400)
MAX_TIMES: Final = 4_096


@dataclass(slots=True)
class AddressTotals:
    """What is counted of one address. `banned_at` is the time of its first ban, `jail` the jail that made it."""

    first_at: float
    failures: int = 0
    logins: int = 0
    bans: int = 0
    banned_at: float = math.inf
    jail: str = ""


class ByAddress:
    """Totals by address: those of the addresses that were seen last, if there are too many."""

    def __init__(self, limit: int = MAX_ADDRESSES) -> None:
        self.dropped = 0
        self._limit = limit
        # The address that was not seen for longest comes first.
        self._totals: dict[Address, AddressTotals] = {}

    def of(self, address: Address, at: float) -> AddressTotals:
        """Return the totals of an address that was seen now."""
        totals = self._totals.pop(address, None) or AddressTotals(at)
        self._totals[address] = totals
        if len(self._totals) > self._limit:
            self.dropped += len(drop_oldest(self._totals))
        return totals

    def __iter__(self) -> Iterator[tuple[Address, AddressTotals]]:
        return iter(self._totals.items())

    def most_failures(self, count: int) -> list[tuple[Address, AddressTotals]]:
        """Return the addresses with the most failures."""
        found = ((address, totals) for address, totals in self if totals.failures or totals.bans)
        return sorted(found, key=lambda each: (-each[1].failures, each[1].first_at))[:count]

    def banned(self) -> dict[Address, AddressTotals]:
        """Return the addresses, and networks, that were banned."""
        return {address: totals for address, totals in self if totals.bans}

    def logins_within(self, address: Address) -> int:
        """Return how many proofs of a login came from an address, or from a network."""
        if not is_wide(address):
            found = self._totals.get(address)
            return found.logins if found else 0
        return sum(totals.logins for each, totals in self if totals.logins and is_within(each, address))


class TimeCounts:
    """How often something happened, over time. The longer the time, the coarser the counts."""

    def __init__(self, limit: int = MAX_TIMES) -> None:
        self.step_s = STEPS_S[0]
        self._limit = limit
        # Number of the step since 1970 -> count.
        self._counts: Counter[int] = Counter()

    def add(self, at: float) -> None:
        """Count something at this unix time."""
        counts = self._counts
        counts[int(at // self.step_s)] += 1
        if len(counts) > self._limit and self.step_s < STEPS_S[-1]:
            self._counts = self._joined(STEPS_S[STEPS_S.index(self.step_s) + 1])

    @property
    def span(self) -> tuple[float, float] | None:
        """The unix times between which something was counted; None: nothing was."""
        if not self._counts:
            return None
        return min(self._counts) * self.step_s, (max(self._counts) + 1) * self.step_s

    def by_step(self, start: float, end: float, step_s: int) -> list[int]:
        """Return the counts of each step from the start to the end; the step is one of `STEPS_S`, and not finer."""
        counts = self._joined(step_s)
        return [counts[number] for number in range(int(start // step_s), math.ceil(end / step_s))]

    def _joined(self, step_s: int) -> Counter[int]:
        factor = step_s // self.step_s
        joined: Counter[int] = Counter()
        for number, count in self._counts.items():
            joined[number // factor] += count
        self.step_s, self._counts = step_s, joined
        return joined


def step_for(start: float, end: float, columns: int, finest_s: int = STEPS_S[0]) -> int:
    """Return the finest step by which the time between the two has at most so many columns."""
    needed = max((end - start) / max(columns - 1, 1), finest_s)
    return STEPS_S[min(bisect_left(STEPS_S, needed), len(STEPS_S) - 1)]


@dataclass(slots=True)
class Totals:
    """All that is counted of one policy.

    `undated` are failures without a time of their own, or with one that is still to come; `names` are failures of host
    names. None of these count.
    """

    failures: Counter[str] = field(default_factory=Counter)
    logins: Counter[str] = field(default_factory=Counter)
    bans: Counter[str] = field(default_factory=Counter)
    dry_runs: int = 0
    undated: int = 0
    names: int = 0
    by_address: ByAddress = field(default_factory=ByAddress)
    failures_at: TimeCounts = field(default_factory=TimeCounts)
    bans_at: TimeCounts = field(default_factory=TimeCounts)

    def add_hit(self, hit: Hit) -> None:
        """Count a failure, or a login."""
        totals = self.by_address.of(hit.address, hit.at)
        if hit.success:
            totals.logins += 1
            self.logins[hit.jail] += 1
            return
        totals.failures += 1
        self.failures[hit.jail] += 1
        self.failures_at.add(hit.at)

    def add_ban(self, ban: Ban) -> None:
        """Count a ban."""
        totals = self.by_address.of(ban.address, ban.at)
        totals.bans += 1
        if ban.at < totals.banned_at:
            totals.banned_at, totals.jail = ban.at, ban.jail
        self.bans[ban.jail] += 1
        self.dry_runs += ban.dry_run
        self.bans_at.add(ban.at)


class OneSided(NamedTuple):
    """An address that only one of two policies bans. `logins` are proofs of a login, by either policy."""

    address: Address
    totals: AddressTotals
    logins: int


class Comparison(NamedTuple):
    """What two policies decide differently: addresses that only the first bans, that only the second does, and both."""

    only_first: list[OneSided]
    only_second: list[OneSided]
    both: int


def compare(first: Totals, second: Totals) -> Comparison:
    """Return what the two decide differently. Who is banned with a network is banned."""
    one, other = first.by_address.banned(), second.by_address.banned()
    only_first = _not_in(one, other, (first, second))
    return Comparison(only_first, _not_in(other, one, (first, second)), both=len(one) - len(only_first))


def _not_in(
    banned: dict[Address, AddressTotals], other: dict[Address, AddressTotals], both: tuple[Totals, Totals]
) -> list[OneSided]:
    found = [
        OneSided(address, totals, max(each.by_address.logins_within(address) for each in both))
        for address, totals in banned.items()
        if address not in other and not any(network in other for network in networks_of(address))
    ]
    # Those who logged in first: their bans may be mistakes.
    return sorted(found, key=lambda each: (-each.logins, each.totals.banned_at))
