"""Times and counts as the command line shows them."""

from __future__ import annotations

import time

from sidecar.core.durations import format_duration


def local_time(at: float) -> str:
    """Return a unix time in this machine's time zone: `2026-11-22 08:40:04`."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        # A line of the log may name a year that no calendar has.
        return f"{at:.0f} s"


def times(count: int) -> str:
    """Return `1 time`, `2 times`."""
    return f"{count} time{'s' * (count != 1)}"


def until_text(until: float | None) -> str:
    """Return `until 2026-11-22 08:40:04 (2h)`, or `for good`."""
    if until is None:
        return "for good"
    return f"until {local_time(until)} ({format_duration(until - time.time())})"
