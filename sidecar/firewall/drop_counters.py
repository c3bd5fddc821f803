"""How much was dropped: counts that go on when the table is replaced."""

from __future__ import annotations

import threading

from sidecar.firewall.backend import Dropped
from sidecar.firewall.kernel import Kernel
from sidecar.firewall.schema import DROP_COUNTERS


class DropCounters:
    """Packets and bytes by IP version. They never fall, whatever becomes of the table. Any thread may read them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kernel = Kernel()
        self._table = 0
        # By counter: what it had counted in tables that are gone, and what it said at the last look.
        self._before = dict.fromkeys(DROP_COUNTERS.values(), (0, 0))
        self._last = dict.fromkeys(DROP_COUNTERS.values(), (0, 0))

    def read(self) -> dict[int, Dropped]:
        """Return what was dropped so far, by IP version. Raises FirewallError."""
        with self._lock:
            table, counts = self._kernel.counters()
            for name, last in self._last.items():
                count = counts.get(name, (0, 0))
                # The table is another one, or its counters were reset.
                if table != self._table or count < last:
                    self._before[name] = _sum(self._before[name], last)
                self._last[name] = count
            self._table = table
            return {
                version: Dropped(*_sum(self._before[name], self._last[name]))
                for version, name in DROP_COUNTERS.items()
            }

    def close(self) -> None:
        """Release the connection to the kernel."""
        with self._lock:
            self._kernel.close()


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]
