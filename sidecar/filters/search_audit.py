"""A few lines of what is read are decided by `re` alone, to notice that the search for lines loses some.

The check at load (`search_check.py`) cannot try every line. What the search loses later is counted and reported, and
the failregexes that it lost are tried on every line from then on.
"""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from sidecar.access.reader import Reading, RequestReader
from sidecar.core.events import Batch
from sidecar.filters.database import FailregexId, PatternDatabase
from sidecar.filters.date_cutter import DateCutter
from sidecar.filters.framing import unwrapper
from sidecar.filters.line_text import decoded
from sidecar.filters.loader import Filter
from sidecar.filters.search import ID_BITS, ID_MASK
from sidecar.filters.verdict import date_in_header, decide
from sidecar.runtime.clock import Clock

# Of the time of one processor.
SHARE: Final = 0.01
# One batch takes no longer than this.
MAX_ALLOWANCE_S: Final = 0.005
# A check takes some 50 microseconds. With less than this there is none, so that few of the batches that come in quick
# succession wait for one.
MIN_ALLOWANCE_S: Final = 0.0005
# Every other time the end of a batch is checked, because that is where searches have lost lines.
TAIL_BYTES: Final = 1_024
# In longer lines an expression may take long.
MAX_AUDITED_BYTES: Final = 4_096


class AuditedFilter(NamedTuple):
    """A filter, what cuts its dates, and the length of text up to which it surely decides quickly (None: any)."""

    filter: Filter
    cutter: DateCutter
    safe_length: int | None


class SearchAudit:
    """Checks lines of the batches that it is given, within its share of the processor. Any thread may call it.

    `lost` is how many lines a search had lost.
    """

    def __init__(
        self, database: PatternDatabase, filters: Sequence[AuditedFilter], clock: Clock = time.perf_counter
    ) -> None:
        """The numbers of `filters` are those of the database."""
        self.lost = 0
        self._database, self._filters, self._clock = database, filters, clock
        self._checked_at, self._allowance = clock(), 0.0
        self._tail = False
        self._lock = threading.Lock()

    def check(self, batch: Batch, reader: RequestReader, now: float) -> None:
        """Check some lines of a batch that was scanned; `reader` is that of its log."""
        # One check at a time is enough, and no source waits for another's.
        if not self._lock.acquire(blocking=False):
            return
        try:
            at = self._clock()
            self._allowance = min(MAX_ALLOWANCE_S, self._allowance + SHARE * (at - self._checked_at))
            self._checked_at = at
            if self._allowance >= MIN_ALLOWANCE_S:
                began = time.thread_time()
                self._check(batch, reader, now, began + self._allowance)
                # The rest is not kept, so that of lines that come at once only the first waits.
                self._allowance = min(0.0, self._allowance - (time.thread_time() - began))
        finally:
            self._lock.release()

    def _check(self, batch: Batch, reader: RequestReader, now: float, until: float) -> None:
        """Check lines from some place of the batch on, `until` this thread has had this much processor time."""
        data = batch.data
        self._tail = not self._tail
        somewhere = random.randrange(len(data) + 1)  # noqa: S311  no secret
        start = data.rfind(b"\n", 0, max(0, len(data) - TAIL_BYTES) if self._tail else somewhere) + 1
        matches = self._database.matches(data)
        i = bisect_left(matches, start + 1 << ID_BITS)
        while start < len(data) and time.thread_time() < until:
            end = data.find(b"\n", start)
            end = len(data) if end < 0 else end
            patterns = 0
            while i < len(matches) and matches[i] >> ID_BITS <= end + 1:
                patterns |= 1 << (matches[i] & ID_MASK)
                i += 1
            if end - start <= MAX_AUDITED_BYTES:
                line = data[start:end]
                lost = self._lost(line, self._database.confirmed(line, patterns), batch, reader, now)
                if lost:
                    self.lost += 1
                    self._database.distrust(lost)
                    return
            start = end + 1

    def _lost(
        self, line: bytes, patterns: int, batch: Batch, reader: RequestReader, now: float
    ) -> list[FailregexId]:
        """Return failregexes that match a line though the search did not find them there, one of each filter."""
        whole = decoded(line)
        _, text = unwrapper(batch.framing)(whole, now, None)
        dated_header = date_in_header(batch.framing, whole, text)
        found = {*self._database.failregexes(patterns)}
        lost = []
        readings: Sequence[Reading] | None = None
        for number, (log_filter, cutter, safe_length) in enumerate(self._filters):
            if safe_length is not None and len(text) > safe_length:
                continue
            others = [i for i in range(len(log_filter.failregex)) if FailregexId(number, i) not in found]
            if not others:
                continue
            if log_filter.reads_requests:
                readings = reader.peek(text) if readings is None else readings
                seen = [log_filter.line_of(reading) for reading in readings]
            else:
                seen = [text if dated_header else cutter.cut(text, now)[0]]
            failure = next((failure for one in seen if (failure := decide(log_filter, one, others))), None)
            if failure:
                lost.append(FailregexId(number, failure.rule))
        return lost
