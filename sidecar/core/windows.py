"""How failures are counted until they are too many: `maxretry` within `findtime`, on the log's own time.

Each way to count is a class with the methods of `FailureWindow` and a row in `WINDOWS`, by the word that the jails file
uses for it (`window =`). Nothing else has to know it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Container, Mapping
from typing import Final, Protocol

from sidecar.core.address import Address
from sidecar.core.bounded_dict import drop_oldest, drop_while, halved

# One weighs about 240 bytes. A botnet seldom has a tenth as many.
MAX_TRACKED_ADDRESSES: Final = 1_000_000
# This many are tracked however short memory is.
MIN_TRACKED_ADDRESSES: Final = 1_000


class FailureWindow(Protocol):
    """Counts the failures of each address of one jail.

    `dropped` is how many addresses were given up because there were too many.
    """

    dropped: int

    def __len__(self) -> int: ...

    def __contains__(self, address: object) -> bool: ...

    def failures(self, address: Address, since: float) -> int:
        """Return how many failures count now, of those since then."""

    def times(self, address: Address, since: float) -> tuple[float, ...]:
        """Return when these failures were, the earliest first; nothing where that is not kept."""

    def add(self, address: Address, at: float, maxretry: int, findtime: float, weight: int = 1) -> bool:
        """Count a failure, or as many as `weight` says. True: they are too many, and counting begins again."""

    def clear(self, address: Address) -> bool:
        """Forget the failures of this address. Return whether there were any."""

    def forget(self, before: float) -> None:
        """Forget addresses whose last failure was earlier. Some that came late are forgotten by a later call."""

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""

    def shrink(self) -> None:
        """Forget the half of the addresses that was silent for longest, and track no more than are left.

        Where they are few, nothing is forgotten: they take no memory worth it, and memory that stays short for another
        reason would have every slow guesser forgotten for as long as it does.
        """

    def grow(self) -> None:
        """Track as many addresses as ever again."""


class SlidingWindow:
    """A true sliding window for each address: `window = sliding`.

    It keeps the newest failures of an address, twice as many as fill the window: half of them would do if every line
    arrived in order, and the rest is for late ones. So memory is bounded by how many addresses fail, not by how often.
    """

    def __init__(self, max_addresses: int = MAX_TRACKED_ADDRESSES) -> None:
        self.dropped = 0
        self._max_addresses = max_addresses
        # The address that was silent for longest comes first.
        self._times: dict[Address, tuple[float, ...]] = {}

    def __len__(self) -> int:
        return len(self._times)

    def __contains__(self, address: object) -> bool:
        return address in self._times

    def failures(self, address: Address, since: float) -> int:
        return sum(at >= since for at in self._times.get(address, ()))

    def times(self, address: Address, since: float) -> tuple[float, ...]:
        return tuple(at for at in self._times.get(address, ()) if at >= since)

    def add(self, address: Address, at: float, maxretry: int, findtime: float, weight: int = 1) -> bool:
        # Lines do not arrive in order: there are two streams, several containers, and backlogs. A late one is
        # sorted in, and may complete a burst of its own time.
        times = self._times.pop(address, ())
        if not times or at >= times[-1]:
            times = (*times, at) if weight == 1 else (*times, *(at,) * weight)
            full = len(times) >= maxretry and at - times[-maxretry] <= findtime
        else:
            late = list(times)
            for _ in range(weight):
                insort(late, at)
            times = tuple(late)
            full = _is_full(times, at, maxretry, findtime)
            # A burst of long ago, which an author of log lines can make up, uses up no later failures.
            if full and (later := tuple(time for time in times if time > at + findtime)):
                self._times[address] = later
        if full:
            return True
        self._times[address] = times if len(times) <= 2 * maxretry else times[-2 * maxretry :]
        if len(self._times) > self._max_addresses:
            self.dropped += len(drop_oldest(self._times))
        return False

    def clear(self, address: Address) -> bool:
        return self._times.pop(address, None) is not None

    def forget(self, before: float) -> None:
        drop_while(self._times, lambda times: times[-1] < before)

    def shift(self, by_s: float) -> None:
        for address, times in self._times.items():
            self._times[address] = tuple([at + by_s for at in times])

    def shrink(self) -> None:
        self._times, dropped = halved(self._times, MIN_TRACKED_ADDRESSES)
        self.dropped += dropped
        self._max_addresses = max(MIN_TRACKED_ADDRESSES, len(self._times))

    def grow(self) -> None:
        self._max_addresses = MAX_TRACKED_ADDRESSES


class Fail2banWindow:
    """fail2ban's count, exactly: `window = fail2ban`.

    A count that began more than `findtime` ago is scaled down to it, as if its failures had come evenly. So a slow
    guesser is banned a little earlier than by a true window, and after some bursts a little later or never.
    """

    def __init__(self, max_addresses: int = MAX_TRACKED_ADDRESSES) -> None:
        self.dropped = 0
        self._max_addresses = max_addresses
        # Address -> failures, and the times of the first and the last one.
        self._counts: dict[Address, tuple[int, float, float]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, address: object) -> bool:
        return address in self._counts

    def failures(self, address: Address, since: float) -> int:
        count, _, last = self._counts.get(address, (0, since, since))
        return count if last >= since else 0

    def times(self, address: Address, since: float) -> tuple[float, ...]:
        """Return nothing: only a count is kept."""
        del address, since
        return ()

    def add(self, address: Address, at: float, maxretry: int, findtime: float, weight: int = 1) -> bool:
        count, first, last = self._counts.pop(address, (0, at, at))
        if at > last:
            if first < at - findtime:
                count, first = round(count / (at - first) * findtime), at - findtime
            last = at
        count += weight
        if count >= maxretry:
            return True
        self._counts[address] = count, first, last
        if len(self._counts) > self._max_addresses:
            self.dropped += len(drop_oldest(self._counts))
        return False

    def clear(self, address: Address) -> bool:
        return self._counts.pop(address, None) is not None

    def forget(self, before: float) -> None:
        drop_while(self._counts, lambda count: count[2] <= before)

    def shift(self, by_s: float) -> None:
        for address, (count, first, last) in self._counts.items():
            self._counts[address] = count, first + by_s, last + by_s

    def shrink(self) -> None:
        self._counts, dropped = halved(self._counts, MIN_TRACKED_ADDRESSES)
        self.dropped += dropped
        self._max_addresses = max(MIN_TRACKED_ADDRESSES, len(self._counts))

    def grow(self) -> None:
        self._max_addresses = MAX_TRACKED_ADDRESSES


WINDOWS: Final[Mapping[str, Callable[[], FailureWindow]]] = {
    "sliding": SlidingWindow,
    "fail2ban": Fail2banWindow,
}


class DistinctTargets:
    """The targets of each address, where a filter names them (`<F-TARGET>`): the same target again does not count."""

    def __init__(self) -> None:
        # Hashes, because an attacker's text is not worth its memory.
        self._hashes: dict[Address, tuple[int, ...]] = {}

    def is_repeated(self, address: Address, target: str) -> bool:
        """Return whether this target of this address has counted, as far as it is remembered."""
        return hash(target) in self._hashes.get(address, ())

    def add(self, address: Address, target: str, most: int) -> None:
        """Remember a target; of each address the last `most`."""
        self._hashes[address] = (*self._hashes.get(address, ()), hash(target))[-most:]

    def clear(self, address: Address) -> None:
        self._hashes.pop(address, None)

    def forget(self, counted: Container[Address]) -> None:
        """Forget the addresses that are not counted any more."""
        for address in [address for address in self._hashes if address not in counted]:
            del self._hashes[address]


def _is_full(times: tuple[float, ...], at: float, maxretry: int, findtime: float) -> bool:
    """Return whether `maxretry` failures, the one at this time among them, lie within `findtime`."""
    spans = zip(times, times[maxretry - 1 :], strict=False)
    return any(last - first <= findtime for first, last in spans if first <= at <= last)
