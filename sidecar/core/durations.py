"""Durations as people read them: tables, messages and logs all show them in this one form."""

from __future__ import annotations

import math
from typing import Final

UNITS_S: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def format_duration(seconds: float) -> str:
    """Return the duration in its two largest units: `1d 12h`, `10m`, `45s`; `math.inf` is `for good`."""
    if seconds == math.inf:
        return "for good"
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size_s in UNITS_S.items():
        number, left = divmod(left, size_s)
        if number or parts:
            parts.append(f"{number:,}{unit}" if number else "")
    return " ".join(filter(None, parts[:2])) or "0s"
