"""How many failures of the last run are loaded where memory is limited.

Bans come first. Of a failure its line may weigh the most, and attackers choose how long it is. A start that loads more
than fits is ended by the kernel, and so is the next one: for ever.
"""

from __future__ import annotations

import math
from typing import Final

# Measured with 100,000 of each, with what the guard makes of them; of a failure without its line.
BAN_BYTES: Final = 600
HIT_BYTES: Final = 600
# This many count however short memory is.
MIN_HITS: Final = 1_000


def hits_that_fit(room_bytes: float, bans: int) -> int | None:
    """Return how many failures without lines fit beside this many bans, present and past; None: all."""
    if room_bytes == math.inf:
        return None
    return max(MIN_HITS, int(room_beside(room_bytes, bans) / HIT_BYTES))


def room_beside(room_bytes: float, bans: int) -> float:
    """Return how many bytes are left for failures beside this many bans."""
    return room_bytes - bans * BAN_BYTES
