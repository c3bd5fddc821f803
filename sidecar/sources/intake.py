"""Batches in, hits on to the loop. Runs in the sources' threads, so that only what matters crosses."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from sidecar.core.events import Batch, Cursor, Hit, Read
from sidecar.filters.matcher import Matcher, Named
from sidecar.runtime.loop import Closed, Inbox

Spent: TypeAlias = dict[str, tuple[float, int]]  # filter -> seconds, and lines that were failures


class Intake:
    """What sources are given as `emit`. Any thread may call all of it."""

    def __init__(
        self,
        matcher: Matcher,
        inbox: Inbox,
        clock: Callable[[], float],
        resolve: Callable[[str, Sequence[Hit]], None] | None = None,
    ) -> None:
        """`resolve(name, hits)` is given what failed by name, where a filter says `usedns`; None: nobody does."""
        self._matcher, self._inbox, self._clock, self._resolve = matcher, inbox, clock, resolve
        self._lock = threading.Lock()
        self._scans: Counter[Matcher] = Counter({matcher: 0})  # how many are under way with each
        self._spent: Spent = {}  # by the filters of matchers that are closed
        self._invalid = 0  # what those found that named no valid address

    def __call__(self, batch: Batch, cursor: Cursor | None) -> None:
        """Scan, and put what was found before the loop; waits while the loop is behind.

        Once the loop has stopped, what is read is not taken and its cursor not stored: the next run reads it again.
        """
        named: list[Named] | None = [] if self._resolve else None
        with self._scanning() as matcher:
            hits = matcher.scan(batch, self._clock(), named)
        with contextlib.suppress(Closed):
            self._inbox.read(Read(batch.origin, tuple(hits), cursor))
            for name, whose in named or ():
                if self._resolve:
                    self._resolve(name, whose)

    def use(self, matcher: Matcher) -> None:
        """Scan with this one from now on. What is being scanned is finished by the one before, which then ends."""
        matcher.inherit(self._matcher)
        with self._lock:
            before, self._matcher = self._matcher, matcher
            self._scans[matcher] = 0
        self._end_if_idle(before)

    def close(self) -> None:
        self._matcher.close()

    @property
    def spent(self) -> Spent:
        """By filter: seconds that lines were decided for, and how many lines were failures. They never fall."""
        with self._lock:
            return _sum([self._spent, *(matcher.spent for matcher in self._scans)])

    @property
    def invalid(self) -> int:
        """Failures that named no valid address. It never falls."""
        with self._lock:
            return self._invalid + sum(matcher.invalid for matcher in self._scans)

    @contextlib.contextmanager
    def _scanning(self) -> Iterator[Matcher]:
        with self._lock:
            matcher = self._matcher
            self._scans[matcher] += 1
        try:
            yield matcher
        finally:
            with self._lock:
                self._scans[matcher] -= 1
            if matcher is not self._matcher:
                self._end_if_idle(matcher)

    def _end_if_idle(self, matcher: Matcher) -> None:
        with self._lock:
            if matcher is self._matcher or self._scans.get(matcher) != 0:
                return
            del self._scans[matcher]
            self._spent, self._invalid = _sum([self._spent, matcher.spent]), self._invalid + matcher.invalid
        matcher.close()


def _sum(figures: Iterable[Spent]) -> Spent:
    total: Spent = {}
    for name, (seconds, matches) in (each for some in figures for each in some.items()):
        before = total.get(name, (0.0, 0))
        total[name] = before[0] + seconds, before[1] + matches
    return total
