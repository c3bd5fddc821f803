"""Too many failures in too short a time: `maxretry` within `findtime`, on the log's own time."""

from __future__ import annotations

from bisect import insort
from collections.abc import Container
from typing import Protocol

from sidecar.core.address import Address
from sidecar.core.bounded_dict import drop_oldest, drop_while

TRACKED = 1_000_000  # addresses a window remembers, about 240 bytes each; a botnet is seldom a tenth of it


class Count(Protocol):
    """How failures of an address are counted; `Window` and `Rate` are two ways."""

    forgotten: int  # addresses given up because there were too many

    def __len__(self) -> int: ...

    def __contains__(self, address: object) -> bool: ...

    def failures(self, address: Address, since: float) -> int:
        """How many count against this one now, of those since."""

    def add(self, address: Address, at: float, maxretry: int, findtime: float, weight: int = 1) -> bool:
        """Count a failure, or so many. True: it was one too many; the count starts afresh."""

    def clear(self, address: Address) -> bool:
        """Forget what counted against this one. Was there anything?"""

    def forget(self, before: float) -> None:
        """Drop those whose last failure was before; stragglers go the next time."""


class Window:
    """A true sliding window for each address: `window = sliding`.

    It keeps the newest failures of an address, twice as many as fill the window: in order half would do, the rest is
    for late lines. So memory is bounded by how many addresses fail, not by how often.
    """

    def __init__(self, tracked: int = TRACKED) -> None:
        self.forgotten = 0
        self._tracked = tracked
        self._times: dict[Address, tuple[float, ...]] = {}  # the longest silent first

    def __len__(self) -> int:
        return len(self._times)

    def __contains__(self, address: object) -> bool:
        return address in self._times

    def failures(self, address: Address, since: float) -> int:
        return sum(at >= since for at in self._times.get(address, ()))

    def add(self, address: Address, at: float, maxretry: int, findtime: float, weight: int = 1) -> bool:
        # Logs do not arrive in order (two streams, several containers, a backlog): a late line is sorted in, and may
        # complete a burst of its own time.
        times = self._times.pop(address, ())
        if not times or at >= times[-1]:
            times = (*times, at) if weight == 1 else (*times, *(at,) * weight)
            full = len(times) >= maxretry and at - times[-maxretry] <= findtime
        else:
            late = list(times)
            for _ in range(weight):
                insort(late, at)
            times = tuple(late)
            full = _full(times, at, maxretry, findtime)
        if full:
            return True
        self._times[address] = times[-2 * maxretry :]
        if len(self._times) > self._tracked:
            self.forgotten += len(drop_oldest(self._times))
        return False

    def clear(self, address: Address) -> bool:
        return self._times.pop(address, None) is not None

    def forget(self, before: float) -> None:
        drop_while(self._times, lambda times: times[-1] < before)


class Rate:
    """fail2ban's count, exactly: `window = fail2ban`.

    A count that began over `findtime` ago is scaled down to it, as if its failures had come evenly. So who guesses
    slowly is banned a little earlier than by a true window, and after some bursts a little later or never.
    """

    def __init__(self, tracked: int = TRACKED) -> None:
        self.forgotten = 0
        self._tracked = tracked
        self._counts: dict[Address, tuple[int, float, float]] = {}  # failures, the first and the last time

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, address: object) -> bool:
        return address in self._counts

    def failures(self, address: Address, since: float) -> int:
        count, _, last = self._counts.get(address, (0, since, since))
        return count if last >= since else 0

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
        if len(self._counts) > self._tracked:
            self.forgotten += len(drop_oldest(self._counts))
        return False

    def clear(self, address: Address) -> bool:
        return self._counts.pop(address, None) is not None

    def forget(self, before: float) -> None:
        drop_while(self._counts, lambda count: count[2] <= before)


class Targets:
    """What each address aimed at, where a filter says: the same target again does not count again."""

    def __init__(self) -> None:
        self._seen: dict[Address, tuple[int, ...]] = {}  # hashes: an attacker's text is not worth keeping

    def repeats(self, address: Address, target: str) -> bool:
        """Did this target of theirs count already? It does not again, for as long as they are remembered."""
        return hash(target) in self._seen.get(address, ())

    def add(self, address: Address, target: str, most: int) -> None:
        """They aimed at it; at most so many are remembered."""
        self._seen[address] = (*self._seen.get(address, ()), hash(target))[-most:]

    def clear(self, address: Address) -> None:
        self._seen.pop(address, None)

    def forget(self, counted: Container[Address]) -> None:
        """Drop those who are not counted any more."""
        for address in [address for address in self._seen if address not in counted]:
            del self._seen[address]


def _full(times: tuple[float, ...], at: float, maxretry: int, findtime: float) -> bool:
    """Do `maxretry` failures, the one at this time among them, lie within `findtime`?"""
    spans = zip(times, times[maxretry - 1 :], strict=False)
    return any(last - first <= findtime for first, last in spans if first <= at <= last)
