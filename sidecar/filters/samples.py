"""The `.samples` beside a filter: a line of a log, then `=> address` or `=> -`, and perhaps a reason in parentheses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EXPECTED: Final = re.compile(r"=> (\S+)(?: \(.*\))?")


@dataclass(frozen=True, slots=True)
class Sample:
    """One line, where it stands, and whom it is to count against (None: nobody)."""

    number: int
    line: str
    address: str | None


def samples(path: Path) -> Iterator[Sample]:
    """Empty lines and those that begin with `#` are for people. Raises ValueError, OSError."""
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
        raise ValueError(f"{path}:{at}: nothing is said about this line; add `=> address` or `=> -` below it")
