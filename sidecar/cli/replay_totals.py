"""What a replay counts, in bounded memory: by jail, address and time. And what two policies decide differently."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

from sidecar.core.address import Address, is_wide, is_within, networks_of
from sidecar.core.bounded_dict import drop_oldest
from sidecar.core.events import Ban, Hit
from sidecar.core.jail import configured_name

T = TypeVar("T")

# Addresses that are remembered: about 40 MB. Those that failed last are kept.
MAX_ADDRESSES: Final = 200_000
# Seconds that one count over time stands for. Each divides the next, so that counts can be joined.
STEPS_S: Final = (
    1, 10, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_419_200, 29_030_400,
    # For lines with the year of no calendar.
    290_304_000, 2_903_040_000,
)  # fmt: skip
MAX_TIMES: Final = 4_096


class FirstBan(NamedTuple):
    """When an address was banned first, in which jail, and how often it was banned."""

    at: float
    jail: str
    bans: int


class ByAddress:
    """Failures, proofs of a login and bans by address. If there are too many addresses, those that came last stay."""

    def __init__(self, limit: int = MAX_ADDRESSES) -> None:
        # The address that was not seen for longest comes first, in each.
        self.failures: dict[Address, int] = {}
        self.logins: dict[Address, int] = {}
        self.bans: dict[Address, FirstBan] = {}
        self.dropped = 0
        self._limit = limit

    def add_hits(self, hits: Iterable[Hit]) -> None:
        """Count failures and logins."""
        failures, logins = self.failures, self.logins
        for hit in hits:
            counts = logins if hit.success else failures
            address = hit.address
            counts[address] = counts.pop(address, 0) + 1
        for counts in (failures, logins):
            self._bound(counts)

    def add_ban(self, ban: Ban) -> None:
        """Count a ban."""
        before = self.bans.pop(ban.address, None) or FirstBan(math.inf, "", 0)
        at, jail = min((before.at, before.jail), (ban.at, configured_name(ban.jail)))
        self.bans[ban.address] = FirstBan(at, jail, before.bans + 1)
        self._bound(self.bans)

    def most_failures(self, count: int) -> list[Address]:
        """Return the addresses with the most failures, those that were banned first before others."""
        never = FirstBan(math.inf, "", 0)
        return heapq.nsmallest(
            count,
            self.failures.keys() | self.bans.keys(),
            key=lambda each: (-self.failures.get(each, 0), self.bans.get(each, never).at, each),
        )

    def logins_within(self, address: Address) -> int:
        """Return how many proofs of a login came from an address, or from a network."""
        if not is_wide(address):
            return self.logins.get(address, 0)
        return sum(count for each, count in self.logins.items() if is_within(each, address))

    def _bound(self, table: dict[Address, T]) -> None:
        while len(table) > self._limit:
            self.dropped += len(drop_oldest(table))


class TimeCounts:
    """How often something happened, over time. The longer the time, the coarser the counts."""

    def __init__(self, limit: int = MAX_TIMES) -> None:
        self.step_s = STEPS_S[0]
        self._limit = limit
        # Number of the step since 1970 -> count.
        self._counts: Counter[int] = Counter()

    def add(self, times: Iterable[float]) -> None:
        """Count something at each of these unix times."""
        step_s = self.step_s
        self._counts.update([int(at) // step_s for at in times])
        while len(self._counts) > self._limit and self.step_s < STEPS_S[-1]:
            self._joined(STEPS_S[STEPS_S.index(self.step_s) + 1])

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
    """Return the finest step by which the time between the two has at most this many columns."""
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

    def add_hits(self, hits: Sequence[Hit]) -> None:
        """Count failures and logins."""
        # Not one by one: this is done for each hit of the log.
        failures = [hit for hit in hits if not hit.success]
        if len(failures) < len(hits):
            self.logins.update(hit.jail for hit in hits if hit.success)
        self.failures.update(map(_JAIL, failures))
        self.failures_at.add(map(_AT, failures))
        self.by_address.add_hits(hits)

    def add_ban(self, ban: Ban) -> None:
        """Count a ban."""
        self.by_address.add_ban(ban)
        self.bans[configured_name(ban.jail)] += 1
        self.dry_runs += ban.dry_run
        self.bans_at.add([ban.at])


_JAIL: Final[Callable[[Hit], str]] = attrgetter("jail")
_AT: Final[Callable[[Hit], float]] = attrgetter("at")


class OneSided(NamedTuple):
    """An address that only one of two policies bans. `logins` are proofs of a login, by either policy."""

    address: Address
    first: FirstBan
    failures: int
    logins: int


class Comparison(NamedTuple):
    """What two policies decide differently: addresses that only the first bans, that only the second does, and both."""

    only_first: list[OneSided]
    only_second: list[OneSided]
    both: int


def compare(first: Totals, second: Totals) -> Comparison:
    """Return what the two decide differently. Who is banned with a network is banned."""
    only_first = _not_in(first, second)
    return Comparison(only_first, _not_in(second, first), both=len(first.by_address.bans) - len(only_first))


def _not_in(policy: Totals, other: Totals) -> list[OneSided]:
    """Return the addresses that a policy bans and the other does not."""
    mine, others = policy.by_address, other.by_address
    found = [
        OneSided(
            address,
            first,
            mine.failures.get(address, 0),
            max(mine.logins_within(address), others.logins_within(address)),
        )
        for address, first in mine.bans.items()
        if address not in others.bans and not any(network in others.bans for network in networks_of(address))
    ]
    # Those who logged in first: their bans may be mistakes.
    return sorted(found, key=lambda each: (-each.logins, each.first.at))
