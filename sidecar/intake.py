"""Batches in, hits on to the loop. Runs in the sources' threads, so that only what matters crosses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from sidecar.core.events import Batch, Cursor, Read
from sidecar.filters.matcher import Matcher
from sidecar.loop import Closed, Inbox


class Intake:
    """What sources are given as `emit`."""

    def __init__(self, matcher: Matcher, inbox: Inbox, clock: Callable[[], float]) -> None:
        self._matcher, self._inbox, self._clock = matcher, inbox, clock

    def __call__(self, batch: Batch, cursor: Cursor | None) -> None:
        """Scan, and put what was found before the loop; waits while the loop is behind.

        Once the loop has stopped, what is read is not taken and its cursor not stored: the next run reads it again.
        """
        hits = self._matcher.scan(batch, self._clock())
        with contextlib.suppress(Closed):
            self._inbox.read(Read(batch.origin, tuple(hits), cursor))
