"""Too many failures in too short a time: `maxretry` within `findtime`, on the log's own time."""

from __future__ import annotations

from bisect import insort

from sidecar.core.events import Who

TRACKED = 1_000_000  # addresses a window remembers, about 240 bytes each; a botnet is seldom a tenth of it


class Window:
    """A true sliding window for each address.

    It keeps the newest failures of an address, twice as many as fill the window: in order half would do, the rest is
    for late lines. So memory is bounded by how many addresses fail, not by how often.
    """

    def __init__(self, maxretry: int, findtime: float, tracked: int = TRACKED) -> None:
        self.maxretry = maxretry
        self.findtime = findtime
        self.forgotten = 0  # addresses given up because `tracked` was reached
        self._tracked = tracked
        self._times: dict[Who, tuple[float, ...]] = {}  # the longest silent first
        self._targets: dict[Who, tuple[int, ...]] = {}  # hashes: an attacker's text is not worth keeping

    def __len__(self) -> int:
        return len(self._times)

    def repeats(self, who: Who, target: str) -> bool:
        """Did this target of theirs count already? It does not again, for as long as they are remembered."""
        return hash(target) in self._targets.get(who, ())

    def add(self, who: Who, at: float, target: str = "") -> bool:
        """Count a failure. True: with this one there are `maxretry` within `findtime`; the count starts afresh.

        Logs do not arrive in order (two streams, several containers, a backlog), so a late line is sorted in and
        may complete a burst of its own time.
        """
        if target:
            self._targets[who] = (*self._targets.get(who, ()), hash(target))[-2 * self.maxretry :]
        times = self._times.pop(who, ())
        if not times or at >= times[-1]:
            times = (*times, at)
            full = len(times) >= self.maxretry and at - times[-self.maxretry] <= self.findtime
        else:
            insort(late := list(times), at)
            times = tuple(late)
            full = self._full(times, at)
        if full:
            self._targets.pop(who, None)
            return True
        self._times[who] = times[-2 * self.maxretry :]
        if len(self._times) > self._tracked:
            self.clear(next(iter(self._times)))
            self.forgotten += 1
        return False

    def clear(self, who: Who) -> None:
        """Forget what counted against this one."""
        self._times.pop(who, None)
        self._targets.pop(who, None)

    def forget(self, now: float) -> None:
        """Drop those whose last failure can no longer count.

        It stops at the first that still can: arrival order is time order but for stragglers, and they go next time.
        """
        stale = []
        for who, times in self._times.items():
            if times[-1] >= now - self.findtime:
                break
            stale.append(who)
        for who in stale:
            self.clear(who)

    def _full(self, times: tuple[float, ...], at: float) -> bool:
        """Do `maxretry` failures, the one at this time among them, lie within `findtime`?"""
        spans = zip(times, times[self.maxretry - 1 :], strict=False)
        return any(last - first <= self.findtime for first, last in spans if first <= at <= last)
