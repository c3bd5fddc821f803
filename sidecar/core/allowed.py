"""What people put on the allowlist while the daemon runs, with an end if they gave one, and how it changes."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sidecar.core.address import Address


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


@dataclass(frozen=True, slots=True)
class Disallow:
    """What a person allowed is not allowed any more. Other reasons of the allowlist may hold all the same."""

    address: Address
    at: float
    cause: DisallowCause


AllowChange: TypeAlias = Allow | Disallow


class AllowedAddresses:
    """The entries in force, in the order in which they were made."""

    def __init__(self, entries: Iterable[Allow] = ()) -> None:
        self._entries = {each.address: each for each in entries}

    def __iter__(self) -> Iterator[Allow]:
        return iter(self._entries.values())

    def put(self, entry: Allow) -> bool:
        """Make or replace the entry of an address: the last word of a person holds. Return whether that changes it."""
        before = self._entries.get(entry.address)
        if before and (before.until, before.comment) == (entry.until, entry.comment):
            return False
        self._entries[entry.address] = entry
        return True

    def end(self, address: Address, at: float, cause: DisallowCause) -> Disallow | None:
        """End the entry of an address; None: it has none."""
        return Disallow(address, at, cause) if self._entries.pop(address, None) else None

    def expired(self, now: float) -> list[Address]:
        """Return the addresses whose time is over."""
        return [entry.address for entry in self if entry.until <= now]
