"""How many failures of the last run are loaded where memory is limited.

Bans come first. A start that loads more than fits is ended by the kernel, and so is the next one: for ever.
"""

from __future__ import annotations

import math
from typing import Final

# Measured with 100,000 of each, with what the guard makes of them.
BAN_BYTES: Final = 600
HIT_BYTES: Final = 700
# This many count however short memory is.
MIN_HITS: Final = 1_000


def hits_that_fit(room_bytes: float, bans: int) -> int | None:
    """Return how many failures fit beside this many bans, present and past; None: all."""
    if room_bytes == math.inf:
        return None
    return max(MIN_HITS, int((room_bytes - bans * BAN_BYTES) / HIT_BYTES))
