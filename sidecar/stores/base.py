"""What outlives the process: bans, the failures that may lead to one, and how far each log was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import NamedTuple

from sidecar.core.address import Address, is_wide, is_within, wider_networks
from sidecar.core.allowed import Allow
from sidecar.core.ban_history import PastBans
from sidecar.core.clock_steps import ClockReading
from sidecar.core.events import Ban, Hit
from sidecar.core.jail import is_asked_for


class StoreError(OSError):
    """The store cannot be read or written. The message says what to change; the loop goes on without the store."""


class ReadBans(NamedTuple):
    """The bans of a store that are not over, and the clocks when they were read."""

    bans: tuple[Ban, ...]
    clock: ClockReading


class EndedBan(NamedTuple):
    """A ban that is over. `ended_by` is an `UnbanCause`, or "replaced" by a ban by hand."""

    ban: Ban
    ended: float
    ended_by: str


@dataclass(frozen=True)
class PastBansWanted:
    """Which bans of the history are asked for: made since a unix time, by a jail, at a container or file (a glob).

    An address stands for the networks that hold it too, and a network for all that it holds.
    """

    address: Address | None = None
    since: float = 0.0
    jail: str = ""
    site: str = ""
    limit: int = 100

    @cached_property
    def holders(self) -> frozenset[Address]:
        """The address with all networks that hold it."""
        return frozenset((self.address, *wider_networks(self.address))) if self.address else frozenset()

    def has(self, ban: Ban) -> bool:
        """Return whether this ban is asked for."""
        if ban.at < self.since or not is_asked_for(ban.jail, self.jail):
            return False
        if self.site and not fnmatchcase(ban.origin_name, self.site):
            return False
        if not self.address or ban.address in self.holders:
            return True
        return is_wide(self.address) and is_within(ban.address, self.address)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a store held: bans in force, without their evidence; bans that are over; failures, oldest first; cursors.

    `allowed` is what people put on the allowlist.
    """

    bans: tuple[Ban, ...] = ()
    history: tuple[PastBans, ...] = ()
    hits: tuple[Hit, ...] = ()
    cursors: Mapping[str, bytes] = field(default_factory=dict)
    allowed: tuple[Allow, ...] = ()
