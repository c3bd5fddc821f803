"""What a clock is: most objects are given one, so that tests set the time. And the two clocks of the host."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

from sidecar.core.clock_steps import ClockReading, clock_step

Clock: TypeAlias = Callable[[], float]
"""Returns the time in seconds: unix time, or a monotonic or CPU clock where the parameter's default says so."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
# A thread that was not run between two looks would take that time for a step of the clock.
_MAX_LOOK_S: Final = 0.5


def seconds_since_boot() -> float:
    """Return a time that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def boot_id() -> str:
    """Return what the kernel calls this run of the machine."""
    return _BOOT_ID.read_text().strip()


def read_clock(clock: Clock = time.time, since_boot: Clock = seconds_since_boot) -> ClockReading:
    """Look at the wall clock, and at the one that nobody sets."""
    while True:
        before, at, after = since_boot(), clock(), since_boot()
        if after - before < _MAX_LOOK_S:
            return ClockReading(boot_id(), after, at)


class HostClock:
    """The host's clocks at the last look. `reading` is that look. Owned by one thread."""

    def __init__(self, clock: Clock = time.time, since_boot: Clock = seconds_since_boot) -> None:
        self._clocks = clock, since_boot
        self.reading = read_clock(*self._clocks)

    def look(self) -> float:
        """Look again. Return by how many seconds the wall clock was set since the last look; 0: it was not."""
        before, self.reading = self.reading, read_clock(*self._clocks)
        return clock_step(before, self.reading)
