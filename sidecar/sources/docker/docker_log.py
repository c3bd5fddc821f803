"""One container's log: how far it is read, and where its lines go."""

from __future__ import annotations

import time

from sidecar.core.events import Batch, Cursor, Framing
from sidecar.sources.base import Emit
from sidecar.sources.docker.api import Engine, LogStream
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.cursor import DockerCursor, UnreadBatch, UnreadLines
from sidecar.sources.docker.endings import Ending, ReadingEnded
from sidecar.sources.docker.reports import LogReport
from sidecar.sources.docker.wire import joined, unix_seconds


class DockerLog:
    """Owned by the thread that reads the log; `interrupt` and `report` are for any thread."""

    def __init__(self, container: str, cursor: DockerCursor, emit: Emit, report: LogReport) -> None:
        self.container = container
        self.cursor = cursor
        self.report = report
        # Set while the log is not to be read.
        self.interrupt = Interrupt()
        self._emit = emit

    def open(self, engine: Engine, *, follow: bool = True) -> LogStream:
        """Return the log from the cursor on. Raises OSError and EngineError."""
        return engine.logs(self.container, self._start(engine), follow=follow)

    def hand_on(self, lines: UnreadLines, batches: list[UnreadBatch]) -> None:
        """Emit each stream's new lines as one batch, and move the cursor on. Raises ReadingEnded."""
        # First: once these lines count, nobody would find the gap again.
        if lines.take_gap():
            self.report.gap()
        for batch in batches:
            if self.interrupt.is_set:
                raise ReadingEnded(Ending.ENDED)
            # Before the batch is emitted: one that breaks a filter must not be read for ever.
            self.cursor = batch.cursor
            data = joined(batch.lines)
            if data:
                last = unix_seconds(batch.lines[-1])
                origin = self.report.batch_read(batch.stream, len(batch.lines), len(data), last)
                self._emit(Batch(origin, data, Framing.DOCKER), self._stored(batch.cursor))
            if truncated := lines.take_truncated():
                self.report.truncated(truncated)
        self.report.working()

    def _stored(self, cursor: DockerCursor) -> Cursor:
        return Cursor(cursor_key(self.container), cursor.encode())

    def _start(self, engine: Engine) -> int:
        """Return the unix time to ask for lines from; if it is still to come, the clock was set back, and it is 0.

        The Engine would leave out whatever is older until that time comes again.
        """
        start = self.cursor.start
        return 0 if start > time.time() and start > engine.now() else start


def cursor_key(container: str) -> str:
    """Return the key under which the container's cursor is stored."""
    return f"docker:{container}"
