"""Text for a terminal. Log lines are attackers' words: nothing of them may move a cursor or set a title."""

from __future__ import annotations

import time
import unicodedata

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, bidi overrides, half characters, line breaks


def safe(text: str) -> str:
    """The text with everything that a terminal would obey written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if unicodedata.category(char) not in UNSEEN else ascii(char)[1:-1] for char in text)


def when(at: float) -> str:
    """A unix time in this machine's zone: `2026-11-22 08:40:04`."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):  # a year that no calendar has; the log said so
        return f"{at:.0f} s"
