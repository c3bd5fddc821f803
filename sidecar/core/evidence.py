"""The lines that counted against someone, so that a ban can say why. Bounded in bytes: the oldest go first."""

from __future__ import annotations

from sidecar.core.address import Address
from sidecar.core.bounded_dict import drop_oldest

KEPT = 16 * 1024 * 1024  # bytes of all lines together: some 80,000 access-log lines


class Evidence:
    """The last lines of each address in each jail."""

    def __init__(self, kept: int = KEPT) -> None:
        self.dropped = 0  # lines given up because `kept` was reached
        self._kept = kept
        self._size = 0
        self._lines: dict[tuple[str, Address], tuple[str, ...]] = {}  # the longest silent first

    def add(self, jail: str, address: Address, line: str, most: int) -> None:
        """Remember a line, and at most this many of the same address."""
        lines = self._lines.pop((jail, address), ())
        self._size += len(line) - (len(lines[0]) if len(lines) >= most else 0)
        self._lines[jail, address] = (*lines[max(0, len(lines) + 1 - most) :], line)
        while self._size > self._kept:
            for _, dropped in drop_oldest(self._lines):
                self._size -= sum(map(len, dropped))
                self.dropped += len(dropped)

    def take(self, jail: str, address: Address) -> tuple[str, ...]:
        """The lines that were kept, oldest first; they are not kept any longer."""
        lines = self._lines.pop((jail, address), ())
        self._size -= sum(map(len, lines))
        return lines
