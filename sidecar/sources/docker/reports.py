"""What is published about each container's log, under the name that the container has now.

Listeners and people know a log by its container's name, and a name passes from one container to the next: compose
renames the old container before it makes the new one. So everything is published under one lock, and only for the
container that holds the name. A thread that ends late cannot say anything about its successor.
"""

from __future__ import annotations

import enum
import logging
import threading

from sidecar.core.events import Origin
from sidecar.sources.base import Outputs, ReopenReason
from sidecar.sources.docker.wire import STDERR, STDOUT

log = logging.getLogger(__name__)

STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr"}


class LogState(enum.Enum):
    """How reading a log goes."""

    NEW = enum.auto()
    OPEN = enum.auto()
    CLOSED = enum.auto()
    UNREADABLE = enum.auto()


class NameHolders:
    """Which log's report holds each container name."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs
        self.by_name: dict[str, LogReport] = {}
        self.lock = threading.RLock()


class LogReport:
    """Publishes about one container's log, as long as it holds the container's name. Any thread may call it."""

    def __init__(self, holders: NameHolders, container: str) -> None:
        self.name = container[:12]
        # Whether the log may be tried. False: its driver cannot be read, and that was published.
        self.readable = True
        self._holders = holders
        self._state = LogState.NEW
        self._origins: dict[int, Origin] = {}

    def hold_name(self, name: str, jails: tuple[str, ...]) -> None:
        """Publish under this name from now on, with these jails; another log that held the name no longer does."""
        with self._holders.lock:
            if name != self.name or not self._holds_name:
                self.release_name()
                if holder := self._holders.by_name.get(name):
                    holder.release_name()
                self.name, self._holders.by_name[name] = name, self
                self._publish_state()
            self._origins = {
                number: Origin("docker", name, stream, jails) for number, stream in STREAM_NAMES.items()
            }

    def rename(self, name: str) -> None:
        """Publish under this name from now on, if anything was published before."""
        with self._holders.lock:
            if self._holds_name:
                jails = self._origins[STDOUT].jails
                self.hold_name(name, jails)

    def release_name(self) -> None:
        """Publish nothing any more, until a name is held again."""
        with self._holders.lock:
            if self._holds_name:
                self._report(None)
                self.sound()
                self._holders.outputs.listener.log_removed(self.name)
                del self._holders.by_name[self.name]
                # Under another name it is published again that the log cannot be read.
                self.readable = True

    @property
    def is_open(self) -> bool:
        """Whether the log is being read."""
        return self._state is LogState.OPEN

    def opened(self) -> None:
        self._show(LogState.OPEN)

    def closed(self) -> None:
        """The log is not being read for now, or cannot be."""
        self._show(LogState.CLOSED if self.readable else LogState.UNREADABLE)

    def reopened(self, reason: ReopenReason) -> None:
        with self._holders.lock:
            if self._holds_name:
                self._holders.outputs.listener.log_reopened(self.name, reason)

    def batch_read(self, stream: int, lines: int, size: int, last: float) -> Origin:
        """Publish that lines were read; return where they are from."""
        with self._holders.lock:
            origin = self._origins[stream]
            if self._holds_name:
                self._holders.outputs.listener.batch_read(origin, lines, size, last)
            return origin

    def read_late(self, count: int) -> None:
        """Log that this many lines were read late: Docker had left them out of what it sent."""
        log.info(
            "%d lines of the log of %s were read late: Docker had left them out of what it sent",
            count,
            self.name,
        )

    def truncated(self, count: int) -> None:
        with self._holders.lock:
            if self._holds_name:
                self._holders.outputs.listener.lines_truncated(self.name, count)

    def gap(self) -> None:
        """Publish that lines may be lost: once, since nobody can restore them."""
        with self._holders.lock:
            if self._holds_name:
                self._holders.outputs.listener.log_gap(self.name)
            self._report(None)
            self._report(
                f"the log of container {self.name} no longer has what was read last: lines that were rotated away or "
                "truncated before they were read do not count. Give its log more files (max-file) or larger ones "
                "(max-size)",
                critical=False,
            )
            self._report(None)

    def unreadable(self, driver: str) -> None:
        """Publish that the container's log driver cannot be read, and that the log is not tried again."""
        with self._holders.lock:
            if self._holds_name:
                self.readable = False
                # Somebody made it so, and the other containers are watched.
                self._report(
                    f"container {self.name} is not watched: its log driver {driver} cannot be read. "
                    "Use json-file, local or journald, or leave Docker's own cache on (cache-disabled=false)",
                    critical=False,
                )

    def failing(self, why: str) -> None:
        """Publish that Docker is there, and yet the log cannot be read."""
        with self._holders.lock:
            self._report(
                f"the log of container {self.name} cannot be read ({why}). If this lasts, restart the container; if "
                "its file is damaged, create the container again (docker compose up -d --force-recreate)"
            )

    def working(self) -> None:
        """Publish that the log is read again, if anything was wrong with it."""
        with self._holders.lock:
            self._report(None)

    def impaired(self, sentence: str) -> None:
        """Publish, until `sound`, that something is wrong with the log's file, though its lines are read."""
        with self._holders.lock:
            if self._holds_name:
                self._holders.outputs.problems.report(self._file_problem, sentence, critical=False)

    def sound(self) -> None:
        """Publish that nothing is wrong with the log's file any more."""
        with self._holders.lock:
            if self._holds_name:
                self._holders.outputs.problems.report(self._file_problem, None)

    @property
    def _file_problem(self) -> str:
        return f"log file of container {self.name}"

    @property
    def _holds_name(self) -> bool:
        return self._holders.by_name.get(self.name) is self

    def _show(self, state: LogState) -> None:
        with self._holders.lock:
            self._state = state
            if self._holds_name:
                self._publish_state()

    def _publish_state(self) -> None:
        listener = self._holders.outputs.listener
        match self._state:
            case LogState.OPEN:
                listener.log_opened(self.name)
            case LogState.CLOSED:
                listener.log_closed(self.name)
            case LogState.UNREADABLE:
                listener.log_unreadable(self.name)

    def _report(self, sentence: str | None, *, critical: bool = True) -> None:
        if self._holds_name:
            self._holders.outputs.problems.report(f"container {self.name}", sentence, critical=critical)
