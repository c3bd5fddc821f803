"""Batches in, hits on to the loop. Runs in the sources' threads, so that only what matters crosses."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping

from sidecar.core.events import Batch, Cursor, Read
from sidecar.filters.loader import Filter
from sidecar.filters.matcher import Matcher
from sidecar.loop import Closed, Inbox


class Intake:
    """What sources are given as `emit`. One compiled scanner for each thread and each set of jails."""

    def __init__(self, filters: Mapping[str, Filter], inbox: Inbox, clock: Callable[[], float]) -> None:
        self._filters, self._inbox, self._clock = filters, inbox, clock
        self._matchers = threading.local()

    def __call__(self, batch: Batch, cursor: Cursor | None) -> None:
        """Scan, and put what was found before the loop; waits while the loop is behind.

        Once the loop has stopped, what is read is not taken and its cursor not stored: the next run reads it again.
        """
        hits = self._matcher(batch.origin.jails).scan(batch, self._clock())
        with contextlib.suppress(Closed):
            self._inbox.read(Read(batch.origin, tuple(hits), cursor))

    def _matcher(self, jails: tuple[str, ...]) -> Matcher:
        matchers: dict[tuple[str, ...], Matcher] = self._matchers.__dict__
        if jails not in matchers:
            matchers[jails] = Matcher({name: self._filters[name] for name in jails})
        return matchers[jails]
