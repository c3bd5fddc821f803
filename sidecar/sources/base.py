"""What every source shares: where its results go, and who observes how it reads.

A source is a service with a thread of its own. It turns the bytes of logs into batches of whole lines and hands each
batch on together with a cursor, which says how far the log is read once the batch counts.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from sidecar.core.containers import LabelTrust
from sidecar.core.events import Batch, Cursor, Origin, Topology
from sidecar.core.jail import Jail
from sidecar.runtime.problems import Problems

# Docker stores a long line in parts of 16 KiB, so this is four of them. Apache and nginx refuse request lines over
# 8 KiB by default: all that a filter looks at comes before.
MAX_LINE_BYTES = 64 * 1024


class SourceUnavailable(Exception):  # noqa: N818
    """A source cannot start. The message says why, and what to change."""


class Emit(Protocol):
    """Takes the batches. The intake is one."""

    def __call__(self, batch: Batch, cursor: Cursor | None, /) -> None:
        """Take a batch, and the cursor that holds once the batch counts. Blocks while the loop is behind."""


class ReopenReason(enum.StrEnum):
    """Why a log was opened again. The values are labels of a metric."""

    # The connection ended before the log did.
    ENDED = "ended"
    # The container stopped, and runs again.
    STOPPED = "stopped"
    # Nothing came for too long.
    IDLE = "idle"
    # It could not be opened, or an error ended it.
    LOST = "lost"
    # The log has more lines than Docker sends.
    STUCK = "stuck"
    # Docker left lines out between others that came.
    INCOMPLETE = "incomplete"
    # What was read last was not found, or the log's file is damaged.
    DAMAGED = "damaged"
    # This process did not run, or did not read, for a while.
    FROZEN = "frozen"
    # The file was renamed, and a new one begun.
    ROTATED = "rotated"
    # The file became shorter than what was read of it.
    TRUNCATED = "truncated"


class LogListener(Protocol):
    """Observes how logs are read. Called from the sources' threads; `name` is a container's name or a file's path."""

    def log_opened(self, name: str) -> None:
        """The log is being read."""

    def log_closed(self, name: str) -> None:
        """The log is not being read for now."""

    def log_unreadable(self, name: str) -> None:
        """The log cannot be read, until `log_opened` says otherwise."""

    def log_reopened(self, name: str, reason: ReopenReason) -> None:
        """The log was opened again."""

    def log_gap(self, name: str) -> None:
        """What was read last is no longer there: lines may be lost that nobody read."""

    def log_removed(self, name: str) -> None:
        """The log is gone for good, or is not watched any more."""

    def batch_read(self, origin: Origin, lines: int, size: int, last: float | None = None) -> None:
        """One batch was read: its number of lines, its size in bytes, and the unix time of its last line."""

    def lines_truncated(self, name: str, count: int = 1) -> None:
        """A number of lines were longer than MAX_LINE_BYTES, and their ends were dropped."""


class NullLogListener:
    """A LogListener that does nothing."""

    def log_opened(self, name: str) -> None: ...
    def log_closed(self, name: str) -> None: ...
    def log_unreadable(self, name: str) -> None: ...
    def log_reopened(self, name: str, reason: ReopenReason) -> None: ...
    def log_gap(self, name: str) -> None: ...
    def log_removed(self, name: str) -> None: ...
    def batch_read(self, origin: Origin, lines: int, size: int, last: float | None = None) -> None: ...
    def lines_truncated(self, name: str, count: int = 1) -> None: ...


class TopologyListener(Protocol):
    """Is given what the container engine says about this host."""

    def on_topology_changed(self, topology: Topology) -> None:
        """Networks, ports or watched containers are now these. Called before any line is read under them."""


class TopologyNotifier:
    """Notifies a listener of each topology that differs from the last one."""

    def __init__(self, listener: TopologyListener) -> None:
        self._listener = listener
        self._last: Topology | None = None

    def notify(self, topology: Topology) -> None:
        if topology != self._last:
            self._listener.on_topology_changed(topology)
            self._last = topology


@dataclass(frozen=True, slots=True)
class ContainerSelection:
    """The jails that choose containers, and where reading starts in logs that were never read (unix seconds).

    `labels` is what the containers' own labels may decide about it.
    """

    jails: tuple[Jail, ...]
    since: float
    labels: LabelTrust = LabelTrust.STRENGTHEN


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the results of all sources go. Every member may be called from any thread."""

    emit: Emit
    listener: LogListener
    problems: Problems
