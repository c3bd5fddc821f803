"""A line's bytes -> its text, as filters see it."""

from __future__ import annotations

from typing import Final

from sidecar.core.text import printable

# Apache and nginx refuse requests with header lines of more than 8 KiB, so what a filter looks at stands before this.
MAX_LINE_BYTES: Final = 64 * 1024
# How much of a line becomes a hit's evidence.
MAX_EVIDENCE_CHARS: Final = 1_024
# Stands where a line was cut, so that no `$` takes the cut for the line's end.
CUT_MARK: Final = "…"
# Turns each byte that is not printable ASCII into a blank. A line that stays the same is printable; `str.isprintable()`
# says so too, but takes three times as long.
PRINTABLE: Final = bytes(code if 32 <= code < 127 else 32 for code in range(256))


def decoded(line: bytes) -> str:
    """Return the text of a line, given without its newline."""
    if len(line) > MAX_LINE_BYTES:
        return line[:MAX_LINE_BYTES].decode(errors="replace") + CUT_MARK
    return str(line, "utf-8", "replace").rstrip("\r")


def evidence(line: bytes, text: str) -> str:
    """Return what of a line's text may be shown to people."""
    text = text.strip()[:MAX_EVIDENCE_CHARS]
    return text if line.translate(PRINTABLE) == line else printable(text, MAX_EVIDENCE_CHARS)
