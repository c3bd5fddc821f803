"""Counts over time as blocks of text, and as `#` where the output has no blocks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Final

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
# One character stands for a whole row.
PLAIN_BLOCKS: Final = " #"
ROWS: Final = 4


def has_blocks() -> bool:
    """Return whether standard output can show blocks: its encoding has them, and it is not a dumb terminal."""
    if os.environ.get("TERM") == "dumb" and sys.stdout.isatty():
        return False
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def bars(counts: Sequence[int], *, blocks: bool, rows: int = ROWS) -> Iterator[str]:
    """Yield rows, the highest first, with a bar for each count. What is more than nothing is seen."""
    levels = BLOCKS if blocks else PLAIN_BLOCKS
    most, full = max(counts, default=0), len(levels) - 1
    label = len(str(most))
    # Rounded up, so that one failure beside a thousand has a mark.
    heights = [-(-count * rows * full // most) if most else 0 for count in counts]
    for row in range(rows - 1, -1, -1):
        scale = most if row == rows - 1 else 0
        head = f"{scale:>{label}}" if row in (rows - 1, 0) else " " * label
        yield f"{head} {''.join(levels[min(max(height - row * full, 0), full)] for height in heights)}".rstrip()
