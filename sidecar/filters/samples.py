"""The `.samples` file beside a filter: a line of a log, then `=> address` or `=> -`, and perhaps a reason.

203.0.113.7 - - [01/Oct/2026:10:00:00 +0000] "POST /wp-login.php HTTP/1.1" 302 0 "-" "Mozilla/5.0"
=> - (the login worked)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EXPECTED: Final = re.compile(r"=> (\S+)(?: \(.*\))?")


@dataclass(frozen=True, slots=True)
class Sample:
    """One line, its number in the file, and the address that it has to count against (None: it is not a failure)."""

    number: int
    line: str
    address: str | None


def samples(path: Path) -> Iterator[Sample]:
    """Yield a file's samples; empty lines and those that begin with `#` are skipped. Raises ValueError, OSError."""
    line, at = "", 0
    for number, text in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not text or text.startswith("#"):
            continue
        if not at:
            line, at = text, number
            continue
        found = EXPECTED.fullmatch(text)
        if not found:
            raise ValueError(f"{path}:{number}: expected `=> address` or `=> -` after a line, got {text!r}")
        yield Sample(at, line, None if found[1] == "-" else found[1])
        at = 0
    if at:
        raise ValueError(f"{path}:{at}: this line has no verdict; add `=> address` or `=> -` below it")
