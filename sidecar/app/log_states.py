"""How each log is being read, for `wp-sidecar status` and for the metrics."""

from __future__ import annotations

from collections import Counter

from sidecar.core.events import Origin
from sidecar.sources.base import ReopenReason
from sidecar.telemetry.metrics import Metrics


class LogStates:
    """A LogListener. `states` has "open", "closed" or "unreadable" by the log's name, `lines` has a count by jail.

    `last_lines` has the unix time of each log's last line, where that is known, and `jails` the names of those that
    look at it.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.states: dict[str, str] = {}
        self.lines: Counter[str] = Counter()
        self.last_lines: dict[str, float] = {}
        self.jails: dict[str, tuple[str, ...]] = {}
        self._allowlist = metrics.allowlist
        self._sites = metrics.sites
        self._metrics = metrics.sources

    def log_opened(self, name: str) -> None:
        self.states[name] = "open"
        self._metrics.log_opened(name)

    def log_closed(self, name: str) -> None:
        self.states[name] = "closed"
        self._metrics.log_closed(name)

    def log_unreadable(self, name: str) -> None:
        self.states[name] = "unreadable"
        self._metrics.log_unreadable(name)

    def log_reopened(self, name: str, reason: ReopenReason) -> None:
        self._metrics.log_reopened(name, reason)

    def log_gap(self, name: str) -> None:
        self._metrics.log_gap(name)

    def log_removed(self, name: str) -> None:
        for known in (self.states, self.last_lines, self.jails):
            known.pop(name, None)
        self._metrics.log_removed(name)
        self._allowlist.log_removed(name)
        self._sites.log_removed(name)

    def batch_read(self, origin: Origin, lines: int, size: int, last: float | None = None) -> None:
        for jail in origin.jails:
            self.lines[jail] += lines
        self._sites.begin(origin)
        self.jails[origin.name] = origin.jails
        if last is not None:
            self.last_lines[origin.name] = last
        self._metrics.batch_read(origin, lines, size, last)

    def lines_truncated(self, name: str, count: int = 1) -> None:
        self._metrics.lines_truncated(name, count)
