"""What is read, by container. A container that is gone takes its series along.

The label `container` is the name of a container, or the path of a log file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from sidecar.core.events import Origin
from sidecar.runtime.clock import Clock
from sidecar.telemetry.metrics.declare import LATER, Declaration, begin_at_zero


class SourceMetrics:
    """Figures about logs. Any thread may report."""

    def __init__(
        self, declare: Declaration, *, reopen_reasons: Iterable[str] = (), clock: Clock = time.time
    ) -> None:
        """`reopen_reasons`: why a log can be opened again, as `sources.base` names the reasons."""
        self._clock = clock
        self._reopen_reasons = tuple(reopen_reasons)
        self._lines = declare.counter("log_lines_total", "Log lines read.", container=LATER, stream=LATER)
        self._bytes = declare.counter(
            "log_bytes_total", "Bytes of the log lines read.", container=LATER, stream=LATER
        )
        self._up = declare.gauge("log_up", "Whether the log is being read (1) or not (0).", container=LATER)
        self._by_container = {
            "truncated": declare.counter(
                "log_lines_truncated_total", "Log lines that were too long and were cut.", container=LATER
            ),
            "gaps": declare.counter(
                "log_gaps_total", "Times that lines were rotated away before they were read.", container=LATER
            ),
        }
        self._reopens = declare.counter(
            "log_reopens_total",
            "Times that the log was opened again, by reason.",
            container=LATER,
            reason=LATER,
        )
        self._last = declare.gauge(
            "log_last_line_timestamp_seconds",
            "Unix time of the last log line read; where the log's lines have none that is known, of its reading.",
            container=LATER,
        )
        # (container, stream) -> counters of lines and bytes, and the time of the last line. Looking them up takes
        # longer than counting.
        self._read: dict[tuple[str, str], tuple[Counter, Counter, Gauge]] = {}

    def batch_read(self, origin: Origin, lines: int, size: int, last: float | None = None) -> None:
        """Count one batch: its lines, its bytes, and the unix time of its last line where that is known."""
        key = (origin.name, origin.stream)
        if (series := self._read.get(key)) is None:
            series = self._lines.labels(*key), self._bytes.labels(*key), self._last.labels(origin.name)
            self._read[key] = series
        count, count_bytes, last_at = series
        count.inc(lines)
        count_bytes.inc(size)
        last_at.set(self._clock() if last is None else last)

    def log_opened(self, container: str) -> None:
        self._up.labels(container).set(1)
        for counter in self._by_container.values():
            counter.labels(container)
        begin_at_zero(self._reopens, container=(container,), reason=self._reopen_reasons)

    def log_closed(self, container: str) -> None:
        self._up.labels(container).set(0)

    def log_unreadable(self, container: str) -> None:
        self._up.labels(container).set(0)

    def log_reopened(self, container: str, reason: str) -> None:
        self._reopens.labels(container, reason).inc()

    def log_gap(self, container: str) -> None:
        self._by_container["gaps"].labels(container).inc()

    def lines_truncated(self, container: str, count: int = 1) -> None:
        self._by_container["truncated"].labels(container).inc(count)

    def log_removed(self, container: str) -> None:
        """Remove the series of the container."""
        for key in [key for key in list(self._read) if key[0] == container]:
            del self._read[key]
        metrics = (
            self._lines,
            self._bytes,
            self._up,
            self._reopens,
            self._last,
            *self._by_container.values(),
        )
        for metric in metrics:
            metric.remove_by_labels({"container": container})
