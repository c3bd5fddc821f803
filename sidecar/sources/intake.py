"""Batches in, hits on to the loop. Runs in the sources' threads, so that only hits and cursors cross to the loop.

A source is given the intake as its `emit`. A reload gives it another matcher: a batch that is being scanned is
finished by the matcher it began with, which is closed after that.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

from sidecar.core.events import Batch, Cursor, Hit, Read
from sidecar.core.jail import configured_name
from sidecar.core.text import printable
from sidecar.filters.line_explainer import LineExplanation
from sidecar.filters.matcher import Matcher, Scan
from sidecar.runtime.clock import Clock
from sidecar.runtime.loop import Closed, Inbox
from sidecar.runtime.problems import Problem

FilterUsage: TypeAlias = dict[str, tuple[float, int]]
"""Filter -> seconds that lines were decided for, and how many lines were failures."""


# This many batches of one log in a row that cannot be scanned are a problem. One alone may be an unlucky line.
MIN_FAILURES = 3
MAX_FAILURE_AGE_S = 600.0


class NameResolver(Protocol):
    """Looks up the addresses of names, and puts the hits before the loop later."""

    def ask(self, name: str, hits: Sequence[Hit]) -> None: ...


class Intake:
    """Scans batches and puts the result before the loop. Any thread may call all of it."""

    def __init__(
        self,
        matcher: Matcher,
        inbox: Inbox,
        resolver: NameResolver,
        clock: Clock,
        problem: Problem,
    ) -> None:
        """`resolver` is asked about failures of names, where a filter says `usedns`.

        `problem` is set while batch after batch of a log cannot be scanned.
        """
        self._matcher, self._inbox, self._resolver, self._clock = matcher, inbox, resolver, clock
        self._failures = BatchFailures(problem)
        self._lock = threading.Lock()
        # How many scans are under way with each matcher.
        self._scans: Counter[Matcher] = Counter({matcher: 0})
        # The figures of the matchers that are closed.
        self._closed_usage: FilterUsage = {}
        self._closed_invalid = 0
        self._closed_lost = 0

    def __call__(self, batch: Batch, cursor: Cursor | None) -> None:
        """Scan a batch and put its hits before the loop; waits while the loop is behind.

        Once the loop has stopped nothing is put there, and the cursor is not stored: the next run reads the batch
        again.
        """
        with self._scanning() as matcher:
            scan = self._scanned(matcher, batch)
            with contextlib.suppress(Closed):
                self._inbox.read(Read(batch.origin, tuple(scan.hits), cursor))
                for name, hits in scan.named:
                    self._resolver.ask(name, hits)
            # Behind the hits, so that no ban waits for it.
            matcher.audit(batch, self._clock())

    def _scanned(self, matcher: Matcher, batch: Batch) -> Scan:
        """Scan a batch. Raises whatever the matcher does; many such batches in a row are a problem."""
        try:
            scan = matcher.scan(batch, self._clock())
        except Exception as err:
            self._failures.failed(batch.origin.name, err, self._clock())
            raise
        self._failures.succeeded(batch.origin.name, self._clock())
        return scan

    def reconfigure(self, matcher: Matcher) -> None:
        """Scan with this matcher from now on. The one before is closed when its last scan ends."""
        matcher.continue_from(self._matcher)
        with self._lock:
            before, self._matcher = self._matcher, matcher
            self._scans[matcher] = 0
        self._close_if_idle(before)

    def close(self) -> None:
        """Close the matcher; no source reads any more."""
        self._matcher.close()

    def explain(self, jail: str, lines: Iterable[str]) -> list[LineExplanation | None]:
        """Return which expressions of the jail's filter these lines of evidence match. Any thread may ask."""
        with self._scanning() as matcher:
            return [matcher.explain(configured_name(jail), line, self._clock()) for line in lines]

    @property
    def usage(self) -> FilterUsage:
        """What each filter has taken and found. It never falls, also when the matcher changes."""
        with self._lock:
            return _sum([self._closed_usage, *(matcher.usage for matcher in self._scans)])

    @property
    def misses(self) -> dict[str, int]:
        """By jail with a filter that matched no line so far: lines that looked as if it would."""
        with self._lock:
            return self._matcher.misses

    @property
    def invalid(self) -> int:
        """How many failures named no valid address. It never falls."""
        with self._lock:
            return self._closed_invalid + sum(matcher.invalid for matcher in self._scans)

    @property
    def lost_lines(self) -> int:
        """How many lines that match a filter the search for lines was found to have lost. It never falls."""
        with self._lock:
            return self._closed_lost + sum(matcher.lost_lines for matcher in self._scans)

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
                self._close_if_idle(matcher)

    def _close_if_idle(self, matcher: Matcher) -> None:
        with self._lock:
            if matcher is self._matcher or self._scans.get(matcher) != 0:
                return
            del self._scans[matcher]
            self._closed_usage = _sum([self._closed_usage, matcher.usage])
            self._closed_invalid += matcher.invalid
            self._closed_lost += matcher.lost_lines
        matcher.close()


class BatchFailures:
    """Which logs' batches fail, one after the other. Any thread may call it."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        # Log -> how many batches have failed in a row, when the last one did, and why.
        self._failing: dict[str, tuple[int, float, str]] = {}
        self._lock = threading.Lock()

    def failed(self, name: str, err: Exception, now: float) -> None:
        """Note that a batch of this log could not be scanned."""
        with self._lock:
            count, _, _ = self._failing.get(name, (0, 0.0, ""))
            self._failing[name] = count + 1, now, printable(repr(err), 200)
            self._publish()

    def succeeded(self, name: str, now: float) -> None:
        """Note that a batch of this log was scanned."""
        # The usual case, for every batch.
        if not self._failing:
            return
        with self._lock:
            self._failing = {
                other: failure
                for other, failure in self._failing.items()
                # A log that has gone never succeeds again.
                if other != name and now - failure[1] < MAX_FAILURE_AGE_S
            }
            self._publish()

    def _publish(self) -> None:
        lasting = [(name, *failure) for name, failure in self._failing.items() if failure[0] >= MIN_FAILURES]
        if not lasting:
            self._problem.clear()
            return
        name, count, _, why = lasting[0]
        self._problem.set(
            f"the last {count} batches of lines of {printable(name)} could not be filtered ({why}): its failures do "
            f"not count. {len(lasting)} logs are affected. Our own log has the whole error; please report it"
        )


def _sum(usages: Iterable[FilterUsage]) -> FilterUsage:
    total: FilterUsage = {}
    for usage in usages:
        for name, (seconds, matches) in usage.items():
            before = total.get(name, (0.0, 0))
            total[name] = before[0] + seconds, before[1] + matches
    return total
