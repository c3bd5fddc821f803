"""The lines that counted against an address, so that a ban can say why. Bounded in bytes: the oldest go first."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from sidecar.core.address import Address
from sidecar.core.bounded_dict import drop_oldest

# Of all lines together: some 80,000 lines of an access log.
MAX_EVIDENCE_BYTES: Final = 16 * 1024 * 1024
# Enough to explain some hundred bans, however short memory is.
MIN_EVIDENCE_BYTES: Final = 128 * 1024


class Evidence:
    """The last lines of each address in each jail. `dropped` is how many were given up for want of room.

    The jail that has lines of the most addresses makes room first, so a flood in one leaves those of others alone.
    """

    def __init__(self, max_bytes: int = MAX_EVIDENCE_BYTES) -> None:
        self.dropped = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        # By jail, and in each the address that was silent for longest comes first. One table for all would be of pairs,
        # and to make and compare a pair takes a third of the time.
        self._lines: defaultdict[str, dict[Address, tuple[str, ...]]] = defaultdict(dict)

    def add(self, jail: str, address: Address, line: str, most: int) -> None:
        """Remember a line, and at most this many of the same address."""
        # The hot path: most attackers fail for the first time, or have fewer lines than are kept.
        by_address = self._lines[jail]
        self._bytes += len(line)
        lines = by_address.pop(address, None)
        if lines is None:
            by_address[address] = (line,)
        elif len(lines) < most:
            by_address[address] = (*lines, line)
        else:
            kept = lines[len(lines) + 1 - most :]
            self._bytes -= sum(map(len, lines)) - sum(map(len, kept))
            by_address[address] = (*kept, line)
        if self._bytes > self._max_bytes:
            self._drop_excess()

    def shrink(self) -> None:
        """Forget half of the lines, and keep no more than are left."""
        self._max_bytes = max(MIN_EVIDENCE_BYTES, self._bytes // 2)
        self._drop_excess()

    def grow(self) -> None:
        """Keep as many lines as ever again."""
        self._max_bytes = MAX_EVIDENCE_BYTES

    def lines(self, jail: str, address: Address) -> tuple[str, ...]:
        """Return the lines that are kept, the oldest first."""
        return self._lines[jail].get(address, ())

    def take(self, jail: str, address: Address) -> tuple[str, ...]:
        """Return the lines that were kept, the oldest first, and forget them."""
        lines = self._lines[jail].pop(address, ())
        if lines:
            self._bytes -= sum(map(len, lines))
        return lines

    def _drop_excess(self) -> None:
        while self._bytes > self._max_bytes:
            for _, dropped in drop_oldest(max(self._lines.values(), key=len)):
                self._bytes -= sum(map(len, dropped))
                self.dropped += len(dropped)
