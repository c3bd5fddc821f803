"""A line's bytes -> its text, as filters see it."""

from __future__ import annotations

from typing import Final

# Apache and nginx refuse requests with header lines of more than 8 KiB, so what a filter looks at stands before this.
MAX_LINE_BYTES: Final = 64 * 1024
# Stands where a line was cut, so that no `$` takes the cut for the line's end.
CUT_MARK: Final = "…"


def decoded(line: bytes) -> str:
    """Return the text of a line, given without its newline."""
    if len(line) > MAX_LINE_BYTES:
        return line[:MAX_LINE_BYTES].decode(errors="replace") + CUT_MARK
    text = str(line, "utf-8", "replace")
    return text.rstrip("\r") if text.endswith("\r") else text
