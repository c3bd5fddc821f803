"""The lines that counted against an address, so that a ban can say why. Bounded in bytes: the oldest go first."""

from __future__ import annotations

from typing import Final

from sidecar.core.address import Address
from sidecar.core.bounded_dict import drop_oldest

# Of all lines together: some 80,000 lines of an access log.
MAX_EVIDENCE_BYTES: Final = 16 * 1024 * 1024
# Enough to explain some hundred bans, however short memory is.
MIN_EVIDENCE_BYTES: Final = 128 * 1024


class Evidence:
    """The last lines of each address in each jail. `dropped` is how many were given up for want of room."""

    def __init__(self, max_bytes: int = MAX_EVIDENCE_BYTES) -> None:
        self.dropped = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        # The address that was silent for longest comes first.
        self._lines: dict[tuple[str, Address], tuple[str, ...]] = {}

    def add(self, jail: str, address: Address, line: str, most: int) -> None:
        """Remember a line, and at most this many of the same address."""
        # The hot path: most attackers fail for the first time, or have fewer lines than are kept.
        key = jail, address
        self._bytes += len(line)
        lines = self._lines.pop(key, None)
        if lines is None:
            self._lines[key] = (line,)
        elif len(lines) < most:
            self._lines[key] = (*lines, line)
        else:
            kept = lines[len(lines) + 1 - most :]
            self._bytes -= sum(map(len, lines)) - sum(map(len, kept))
            self._lines[key] = (*kept, line)
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
        return self._lines.get((jail, address), ())

    def take(self, jail: str, address: Address) -> tuple[str, ...]:
        """Return the lines that were kept, the oldest first, and forget them."""
        lines = self._lines.pop((jail, address), ())
        self._bytes -= sum(map(len, lines))
        return lines

    def _drop_excess(self) -> None:
        while self._bytes > self._max_bytes:
            for _, dropped in drop_oldest(self._lines):
                self._bytes -= sum(map(len, dropped))
                self.dropped += len(dropped)
