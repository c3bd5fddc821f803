"""What outlives the process: bans, the failures that may lead to one, and how far each log was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.core.ban_history import Past
from sidecar.core.events import Ban, Hit


class StoreError(OSError):
    """The store cannot be read or written; the message says what to change. The loop goes on without it."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a store held: bans in force, bans that are over, failures oldest first, and cursors by key."""

    bans: tuple[Ban, ...] = ()  # without their evidence
    history: tuple[Past, ...] = ()
    hits: tuple[Hit, ...] = ()
    cursors: Mapping[str, bytes] = field(default_factory=dict)
