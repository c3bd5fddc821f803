"""The logs of all containers that are or were watched: a reader for each."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from sidecar.sources.base import Outputs
from sidecar.sources.docker.api import DockerHost
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.cursor import DockerCursor
from sidecar.sources.docker.docker_log import DockerLog, cursor_key
from sidecar.sources.docker.freezes import FreezeDetector
from sidecar.sources.docker.log_reader import LogReader
from sidecar.sources.docker.reports import LogReport, NameHolders

log = logging.getLogger(__name__)

MAX_CLOSE_S = 2.0
# A log that is open is read on for this long after its container was removed.
MAX_GONE_S = 5.0
# Each log that is opened before its container is listed has a thread. The others wait for their list.
MAX_UNLISTED = 32


class WatchedLogs:
    """Starts and stops log readers, by container id. Called by one thread."""

    def __init__(self, host: DockerHost, outputs: Outputs, cursors: Mapping[str, bytes]) -> None:
        """`cursors`: how far the last run has read."""
        self._host, self._outputs = host, outputs
        self._cursors = dict(cursors)
        self._freezes = FreezeDetector(time.monotonic())
        self._holders = NameHolders(outputs)
        self._readers: dict[str, LogReader] = {}
        # Ids of containers that were removed while their logs are read, and when that was first seen (monotonic).
        self._gone: dict[str, float] = {}
        # Whether all containers were listed that ran before.
        self._is_listed = False
        # Of containers that do not run.
        self._to_end: set[str] = set()
        # Of containers that were not listed since their log was opened: their names and jails.
        self._unlisted: dict[str, tuple[str, tuple[str, ...]]] = {}

    def watch_freezes(self, closed: Interrupt) -> None:
        """Detect freezes in a thread of its own, until `closed` is set."""
        thread = threading.Thread(
            target=self._freezes.watch, args=(closed,), name="docker freezes", daemon=True
        )
        thread.start()

    def has_cursor(self, container: str) -> bool:
        """Return whether the last run read this log, and this one did not yet."""
        return cursor_key(container) in self._cursors

    def was_read(self, container: str) -> bool:
        """Return whether this log is or was read in this run."""
        return container in self._readers

    @property
    def open_count(self) -> int:
        """How many logs are being read."""
        return sum(reader.log.report.is_open for reader in self._readers.values())

    @property
    def reading_to_end(self) -> int:
        """How many logs of stopped containers are not read to the end yet."""
        self._to_end = {
            each for each in self._to_end & self._readers.keys() if self._readers[each].is_reading
        }
        return len(self._to_end)

    def read_to_end(self, container: str, name: str, jails: tuple[str, ...], since: float) -> None:
        """Read what there is in the log of a container that does not run; otherwise as `read`."""
        self.read(container, name, jails, since)
        self._to_end.add(container)

    def read(self, container: str, name: str, jails: tuple[str, ...], since: float) -> None:
        """Read the container's log for these jails; one without a cursor from `since` on (unix time)."""
        self._unlisted.pop(container, None)
        self._reader(container, since).start(name, jails)

    def open_unlisted(self, container: str, name: str, jails: tuple[str, ...], since: float) -> None:
        """Open the log of a container that starts now; otherwise as `read`.

        What comes is handed on once the container is listed.
        """
        if container in self._unlisted or (
            container not in self._readers and len(self._unlisted) < MAX_UNLISTED
        ):
            self._unlisted[container] = name, jails
            self._reader(container, since).open_unlisted(name)

    def admit_unlisted(self, but: AbstractSet[str]) -> None:
        """Have what was read of these containers handed on, but for some. Those that run were given to `read`."""
        for container in self._unlisted.keys() - but:
            name, jails = self._unlisted.pop(container)
            if reader := self._readers.get(container):
                reader.start(name, jails)

    def _reader(self, container: str, since: float) -> LogReader:
        if container not in self._readers:
            cursor = _decoded(self._cursors.pop(cursor_key(container), b""), since)
            report = LogReport(self._holders, container)
            found = DockerLog(container, cursor, self._outputs.emit, report)
            found.may_be_long = bool(cursor.stamp) or not self._is_listed
            self._readers[container] = LogReader(self._host, self._freezes, found)
        return self._readers[container]

    def listed(self) -> None:
        """Note that what is to be read from now on has just started."""
        self._is_listed = True

    @property
    def has_gone(self) -> bool:
        """Whether logs of containers that were removed are still being read."""
        return bool(self._gone)

    def rename(self, container: str, name: str) -> None:
        """A container that does not run has this name."""
        if reader := self._readers.get(container):
            reader.log.report.rename(name)

    def leave(self, container: str) -> None:
        """The container is not watched, or not any more. Its cursor is kept."""
        self._unlisted.pop(container, None)
        if reader := self._readers.get(container):
            reader.remove()

    def keep(self, containers: AbstractSet[str]) -> None:
        """There are only these containers any more. What is still coming of a log that was removed is read."""
        self._gone = {
            each: self._gone.get(each, time.monotonic()) for each in self._readers.keys() - containers
        }
        for gone, since in list(self._gone.items()):
            reader = self._readers[gone]
            if not reader.is_reading or time.monotonic() - since > MAX_GONE_S:
                self._readers.pop(gone).remove()
                del self._gone[gone]

    def close(self) -> None:
        """Stop all readers, and wait for them a little."""
        for reader in self._readers.values():
            reader.stop()
        deadline = time.monotonic() + MAX_CLOSE_S
        for reader in self._readers.values():
            reader.join(max(0.0, deadline - time.monotonic()))


def _decoded(stored: bytes, since: float) -> DockerCursor:
    """Return the stored cursor, or a new one where there is none that can be read."""
    try:
        return DockerCursor.decode(stored) if stored else DockerCursor(int(since))
    except ValueError as err:
        log.warning("a cursor is not understood (%s); reading from %s on", err, since)
        return DockerCursor(int(since))
