"""What outlives the process: bans, the failures that may lead to one, and how far each log was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.core.allowed import Allow
from sidecar.core.ban_history import PastBans
from sidecar.core.events import Ban, Hit


class StoreError(OSError):
    """The store cannot be read or written. The message says what to change; the loop goes on without the store."""


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
