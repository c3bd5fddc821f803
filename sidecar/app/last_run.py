"""What the last run left: the store's contents, the kernel's bans, and failures that may still lead to a ban."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from sidecar.app.memory_watch import ENOUGH
from sidecar.app.restore import RestoredBans
from sidecar.core.events import Ban, Decision, Hit, Turn
from sidecar.core.guard import Guard
from sidecar.core.jail import configured_name
from sidecar.runtime.memory import MemoryCgroup
from sidecar.runtime.problems import Problems
from sidecar.stores.base import Remembered, StoreError
from sidecar.stores.sqlite import SqliteStore

log = logging.getLogger(__name__)


class AdoptableBans(Protocol):
    """Knows the bans in the kernel: the firewall."""

    def adoptable(self, now: float) -> Sequence[Ban]: ...


def load(
    store: SqliteStore,
    firewall: AdoptableBans,
    now: float,
    cgroup: MemoryCgroup | None = None,
    restored: RestoredBans | None = None,
) -> Remembered:
    """Return what the store holds; if it begins with nothing, the bans in the kernel. Raises StoreError.

    `cgroup` is None where nothing limits the memory. `restored` has bans of the store that have been read already.
    """
    use = cgroup.use() if cgroup else None
    room_bytes = use.limit * ENOUGH - use.used if use else math.inf
    remembered = store.load(now, room_bytes, restored.read if restored else None)
    if not store.is_new:
        return remembered
    adopted = tuple(firewall.adoptable(now))
    if adopted:
        log.warning("the store has no bans: the %d in the kernel stay in force", len(adopted))
        # The store reports that it cannot be written, and writes them later.
        with contextlib.suppress(StoreError):
            store.apply(Turn(now, adopted))
    return replace(remembered, bans=adopted)


def report_store(store: SqliteStore, problems: Problems) -> None:
    """Report that nothing is remembered for now, or that a damaged file was replaced."""
    if store.unavailable:
        problems.report(store.name, f"bans are not remembered: {store.unavailable}")
    if store.repaired:
        # It is over already.
        replaced = problems.problem("the store")
        replaced.set(store.repaired)
        replaced.clear()


class PendingHits:
    """The failures of the last run. They count once it is known which addresses are never banned.

    Owned by the loop's thread.
    """

    def __init__(self, hits: Iterable[Hit], jails: Collection[str]) -> None:
        """Failures of jails that are not among these count no more."""
        self._hits = tuple(hit for hit in hits if configured_name(hit.jail) in jails)

    def __bool__(self) -> bool:
        """Return whether any wait."""
        return bool(self._hits)

    def count(self, guard: Guard, now: float) -> Sequence[Decision]:
        """Count them, the first time this is called. A lower maxretry may ban now. A command."""
        hits, self._hits = self._hits, ()
        return guard.hits(guard.located(hits), now)
