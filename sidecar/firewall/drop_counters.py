"""How much was dropped."""

from __future__ import annotations

import threading

from sidecar.firewall.kernel import Kernel
from sidecar.firewall.ruleset import COUNTERS


class Drops:
    """Packets and bytes by IP version. They never fall, whatever becomes of the table. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kernel = Kernel()
        self._table = 0
        self._before = dict.fromkeys(COUNTERS.values(), (0, 0))  # what counters that are gone had counted
        self._last = dict.fromkeys(COUNTERS.values(), (0, 0))

    def read(self) -> dict[str, tuple[int, int]]:
        """Returns `{"4": (packets, bytes), "6": (packets, bytes)}`."""
        with self._lock:
            table, counts = self._kernel.counters()
            for name, last in self._last.items():
                count = counts.get(name, (0, 0))
                if table != self._table or count < last:  # made anew, or reset
                    self._before[name] = _sum(self._before[name], last)
                self._last[name] = count
            self._table = table
            return {str(v): _sum(self._before[name], self._last[name]) for v, name in COUNTERS.items()}

    def close(self) -> None:
        with self._lock:
            self._kernel.close()


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]
