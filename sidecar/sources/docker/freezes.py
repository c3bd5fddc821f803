"""Whether this process was frozen for a while: paused, stopped, or in a virtual machine that was moved.

Where a log was rotated twice meanwhile, Docker goes on with what is left and does not say so. So after a freeze every
log is opened again.
"""

from __future__ import annotations

import time

from sidecar.sources.docker.connection import Interrupt

# Seconds without running, or with one batch, after which a log is opened again.
MAX_FREEZE_S = 2.0


class FreezeDetector:
    """Counts freezes. Times are of any one clock; any thread may ask."""

    def __init__(self, now: float) -> None:
        # The count, and when it was right: one value, since other threads read it.
        self._last = 0, now

    def beat(self, now: float) -> None:
        """Note that the process runs. Call this several times in MAX_FREEZE_S."""
        self._last = self.count(now), now

    def watch(self, closed: Interrupt) -> None:
        """Beat until `closed` is set."""
        while not closed.wait(MAX_FREEZE_S / 4):
            self.beat(time.monotonic())

    def count(self, now: float) -> int:
        """Return how many freezes there were so far. The thread that asks may be the first to wake up."""
        count, at = self._last
        return count + (now - at > MAX_FREEZE_S)
