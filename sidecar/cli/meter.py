"""How far a long log is read, for a person who waits: a bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from sidecar.cli.stdio import write_line

# A log from this size on takes seconds.
SHOWN_FROM_BYTES: Final = 8 << 20


class Meter(Protocol):
    """Shows how much was read, and writes the lines that are shown meanwhile."""

    def advance(self, size: int) -> None:
        """Note that this many bytes more were read."""

    def write_line(self, text: str) -> None:
        """Write a line to standard output."""

    def close(self) -> None:
        """Note that all is read."""


class NoMeter:
    """Shows nothing."""

    def advance(self, size: int) -> None: ...

    def write_line(self, text: str) -> None:
        write_line(text)

    def close(self) -> None: ...


NO_METER: Final[Meter] = NoMeter()


def is_long(log: str) -> bool:
    """Return whether a file takes seconds to read; of standard input that is not known."""
    return _size(log) >= SHOWN_FROM_BYTES


def meter_of(logs: Iterable[str]) -> Meter:
    """Return what shows how far these files are read."""
    return meter(sum(map(_size, logs)))


def _size(log: str) -> int:
    try:
        return Path(log).stat().st_size if log != "-" and Path(log).is_file() else 0
    except (OSError, ValueError):
        # The code that opens it reports why.
        return 0


def meter(size: int | None) -> Meter:
    """Return what shows how many of these bytes are read (None: it is not known how many there are)."""
    if size is not None and size < SHOWN_FROM_BYTES:
        return NO_METER
    # Such a terminal has no cursor to move, so each step would be a line.
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return NO_METER

    from sidecar.cli.progress import Progress  # noqa: PLC0415 - rich is loaded only where it is needed

    return Progress(size)
