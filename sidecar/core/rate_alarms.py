"""Which of many things happen too often lately. The time is an argument."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from sidecar.core.rate import Rate

Key = TypeVar("Key", bound=Hashable)

# An alarm ends when the rate is below this part of the limit, so that it does not come and go.
QUIET_SHARE: Final = 0.5


class RateAlarms(Generic[Key]):
    """Counts by key over the last `period_s` seconds, and raises an alarm for each key with more than `limit`."""

    def __init__(self, limit: int, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._rates: dict[Key, Rate] = {}
        self._raised: set[Key] = set()

    def __len__(self) -> int:
        """Return how many keys have a count."""
        return len(self._rates)

    def add(self, key: Key, now: float, count: int = 1) -> None:
        """Count this many more of this key."""
        self._rates.setdefault(key, Rate(self._period_s)).add(now, count)

    def raised(self, now: float) -> dict[Key, int]:
        """Return the keys with an alarm, and their counts. Keys with a count of zero are forgotten."""
        counts = {key: int(rate.count(now)) for key, rate in self._rates.items()}
        self._rates = {key: self._rates[key] for key, count in counts.items() if count}
        self._raised = {
            key
            for key, count in counts.items()
            if count > self._limit * (QUIET_SHARE if key in self._raised else 1)
        }
        return {key: counts[key] for key in self._raised}
