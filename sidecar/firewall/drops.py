"""How much was dropped."""

from __future__ import annotations

import threading

from sidecar.firewall import kernel
from sidecar.firewall.changes import COUNTERS


class Drops:
    """Packets and bytes by IP version. They never fall, whatever becomes of the table. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before = dict.fromkeys(COUNTERS.values(), (0, 0))  # what counters that are gone had counted
        self._last = dict.fromkeys(COUNTERS.values(), (0, 0))
        self._table = b""

    def read(self) -> dict[str, tuple[int, int]]:
        """Returns `{"4": (packets, bytes), "6": (packets, bytes)}`."""
        with self._lock:
            table, now = kernel.table(), kernel.dropped()
            handle = table[4] if table else b""  # each table has another one, so this tells one made anew
            for name, last in self._last.items():
                count = now.get(name, (0, 0))
                if handle != self._table or count < last:
                    self._before[name] = _sum(self._before[name], last)
                self._last[name] = count
            self._table = handle
            return {
                str(version): _sum(self._before[name], self._last[name]) for version, name in COUNTERS.items()
            }


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]
