"""What people put on the allowlist while the daemon runs, with an end if they gave one, and how it changes."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sidecar.core.address import Address

# The allowlist is built again whenever networks change. With these it takes some 50 ms of the loop's time; longer lists
# belong into the settings.
MAX_ALLOWED: Final = 1_000


class DisallowCause(enum.StrEnum):
    """Why an address is allowed no more. The values are logged."""

    # Its time was over.
    EXPIRED = "expired"
    # A person asked for it.
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Allow:
    """A person allowed this address or network at a time, until a time (`math.inf`: for good), and said why."""

    address: Address
    at: float
    until: float = math.inf
    comment: str = ""

    @property
    def is_permanent(self) -> bool:
        return self.until == math.inf

    def shifted(self, by_s: float) -> Allow:
        """Return the same by a clock that was set."""
        return replace(self, at=self.at + by_s, until=self.until + by_s)


@dataclass(frozen=True, slots=True)
class Disallow:
    """What a person allowed is not allowed any more. Other reasons of the allowlist may hold all the same."""

    address: Address
    at: float
    cause: DisallowCause

    def shifted(self, by_s: float) -> Disallow:
        """Return the same by a clock that was set."""
        return replace(self, at=self.at + by_s)


AllowChange: TypeAlias = Allow | Disallow


class AllowedAddresses:
    """The entries in force, in the order in which they were made, and what changed since somebody asked."""

    def __init__(self, entries: Iterable[Allow] = ()) -> None:
        self._entries = {each.address: each for each in entries}
        self._changes: list[AllowChange] = []

    def __iter__(self) -> Iterator[Allow]:
        return iter(self._entries.values())

    def says(self, entry: Allow) -> bool:
        """Return whether the same is allowed already, until the same time and with the same comment."""
        before = self._entries.get(entry.address)
        return before is not None and (before.until, before.comment) == (entry.until, entry.comment)

    def put(self, entries: Iterable[Allow]) -> None:
        """Make or replace the entries of these addresses: the last word of a person holds."""
        for entry in entries:
            if not self.says(entry):
                self._entries[entry.address] = entry
                self._changes.append(entry)

    def end(self, addresses: Iterable[Address], at: float) -> list[Disallow]:
        """End the entries of these addresses, because a person asks. Return what ended."""
        return self._end(addresses, at, DisallowCause.MANUAL)

    def end_expired(self, now: float) -> list[Disallow]:
        """End the entries whose time is over. Return what ended."""
        return self._end([entry.address for entry in self if entry.until <= now], now, DisallowCause.EXPIRED)

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set. That is not a change of what is allowed."""
        for address, each in self._entries.items():
            self._entries[address] = each.shifted(by_s)

    def room(self, addresses: Iterable[Address]) -> int:
        """Return how many more entries there may be once these addresses have one; less than 0: that is too many."""
        return MAX_ALLOWED - len(self._entries.keys() | set(addresses))

    def take_changes(self) -> tuple[AllowChange, ...]:
        """Return what changed since the last call."""
        changes, self._changes = self._changes, []
        return tuple(changes)

    def _end(self, addresses: Iterable[Address], at: float, cause: DisallowCause) -> list[Disallow]:
        ended = [Disallow(each, at, cause) for each in addresses if self._entries.pop(each, None)]
        self._changes += ended
        return ended
