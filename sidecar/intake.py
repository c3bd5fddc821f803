"""Batches in, hits on to the loop. Runs in the sources' threads, so that only what matters crosses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from sidecar.core.events import Batch, Cursor, Hit, Read
from sidecar.filters.matcher import Matcher, Named
from sidecar.loop import Closed, Inbox


class Intake:
    """What sources are given as `emit`."""

    def __init__(
        self,
        matcher: Matcher,
        inbox: Inbox,
        clock: Callable[[], float],
        resolve: Callable[[str, Sequence[Hit]], None] | None = None,
    ) -> None:
        """`resolve(name, hits)` is given what failed by name, where a filter says `usedns`; None: nobody does."""
        self._matcher, self._inbox, self._clock, self._resolve = matcher, inbox, clock, resolve

    def __call__(self, batch: Batch, cursor: Cursor | None) -> None:
        """Scan, and put what was found before the loop; waits while the loop is behind.

        Once the loop has stopped, what is read is not taken and its cursor not stored: the next run reads it again.
        """
        named: list[Named] | None = [] if self._resolve else None
        hits = self._matcher.scan(batch, self._clock(), named)
        with contextlib.suppress(Closed):
            self._inbox.read(Read(batch.origin, tuple(hits), cursor))
            for name, whose in named or ():
                if self._resolve:
                    self._resolve(name, whose)
