"""Reports that somebody set the clock: bans end by it, so some end early and others last too long."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from sidecar.core.durations import format_duration
from sidecar.core.events import Decision
from sidecar.core.guard import Guard
from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problem

# NTP slews smaller errors, and a ban of minutes does not suffer from them.
TOLERANCE_S: Final = 60.0


def seconds_since_boot() -> float:
    """Return a time that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockWatch:
    """A chore. A step is alerted once; bans that last too long are a problem until there are none."""

    def __init__(self, step: Problem, too_long: Problem, steady: Clock = seconds_since_boot) -> None:
        self._step = step
        self._too_long = too_long
        self._steady = steady
        # Unix time at boot, by the clock as it was. None: not looked yet.
        self._began: float | None = None
        # Whether there may be bans from a time that is still to come: a look at all of them.
        self._may_be_ahead = True

    def run(self, guard: Guard, now: float) -> Sequence[Decision]:
        """Compare the clock with one that nobody sets. A command."""
        began = now - self._steady()
        if self._began is None:
            self._began = began
        moved = began - self._began
        if abs(moved) > TOLERANCE_S:
            self._began = began
            self._may_be_ahead = True
            # It is over already.
            self._step.set(_stepped(moved))
            self._step.clear()
        if self._may_be_ahead:
            count = sum(ban.at > now + TOLERANCE_S for ban in guard.view.bans)
            self._may_be_ahead = bool(count)
            self._report(count)
        return ()

    def _report(self, count: int) -> None:
        if count:
            self._too_long.set(
                f"{count:,} bans were made at a time that is still to come, because the clock was set back, and last "
                "too long. Look at `wp-sidecar bans`, and unban those that should be over"
            )
        else:
            self._too_long.clear()


def _stepped(moved: float) -> str:
    length = format_duration(abs(moved))
    if moved > 0:
        return f"the clock was set {length} forward: bans that are over by the new time have ended"
    return f"the clock was set {length} back: bans that were made before last so much longer"
