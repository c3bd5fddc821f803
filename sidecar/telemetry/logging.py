"""The daemon's own log: stderr, as text or as JSON, written by a thread of its own.

Docker reads stderr through a pipe. When nobody reads the pipe, a write blocks, and a blocked write must not
delay a ban. So `BackgroundHandler` queues records for its thread. The queue is bounded: what does not fit is
dropped and counted, and the next line that is written says how many lines are missing.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from copy import copy
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

# Lines that wait to be written, about 10 MB; the lines of one record more may come in.
MAX_WAITING_LINES: Final = 20_000
# For this long an exit waits for the lines that are not yet written.
EXIT_TIMEOUT_S: Final = 2.0
STDERR: Final = 2


class Lines(NamedTuple):
    """The only argument of a record that stands for many lines.

    `make_line` makes a line of an item, in the thread that writes it.
    """

    items: tuple[Any, ...]
    make_line: Callable[[Any], object]

    def __str__(self) -> str:
        return "\n".join(str(self.make_line(item)) for item in self.items)


def configure_logging(level: str, *, as_json: bool) -> None:
    """Log to stderr, one line for each record."""
    stderr = DescriptorHandler(STDERR)
    stderr.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(level=level, handlers=[BackgroundHandler(stderr)], force=True)
    # The debug lines of urllib3 contain the URL of the Slack webhook, which is a secret.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    # docker-py logs each place where it looks for a configuration file.
    logging.getLogger("docker").setLevel(logging.INFO)


def records_dropped() -> int:
    """Return how many lines were dropped so far because stderr was blocked."""
    handlers = logging.getLogger().handlers
    return sum(handler.dropped for handler in handlers if isinstance(handler, BackgroundHandler))


class DescriptorHandler(logging.Handler):
    """Writes lines without Python's buffer. Its lock, held by a thread that cannot write, would block the exit."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        try:
            rest = f"{self.format(record)}\n".encode(errors="backslashreplace")
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        # The handlers of the standard library do the same: a log line must not break anything.
        except Exception:  # noqa: BLE001
            self.handleError(record)


class BackgroundHandler(logging.Handler):
    """Passes records to another handler in a thread of its own. `emit` never blocks."""

    def __init__(self, writer: logging.Handler, max_waiting: int = MAX_WAITING_LINES) -> None:
        super().__init__()
        self.dropped = 0
        self._writer, self._max_waiting = writer, max_waiting
        # Both count lines. The first is changed under the handler's lock, the second by the writing thread alone.
        self._queued = self._written = 0
        self._queue: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        lines = _line_count(record)
        if self._queued - self._written >= self._max_waiting:
            self.dropped += lines
        else:
            self._queued += lines
            self._queue.put(record)

    def close(self) -> None:
        """Write what waits, for at most EXIT_TIMEOUT_S. The logging module calls this at the exit."""
        self._queue.put(None)
        self._thread.join(EXIT_TIMEOUT_S)
        super().close()

    def _write(self) -> None:
        reported = 0
        while record := self._queue.get():
            reported = self._report_dropped(reported)
            for line in _split(record):
                self._written += 1
                self._writer.emit(line)
        self._report_dropped(reported)

    def _report_dropped(self, reported: int) -> int:
        """Write how many lines are missing here, if any are; return how many were dropped so far."""
        dropped = self.dropped
        if dropped > reported:
            self._writer.emit(_missing(dropped - reported))
        return dropped


def _lines(record: logging.LogRecord) -> Lines | None:
    """Return the lines that the record stands for; None: it is one line itself."""
    if isinstance(record.args, tuple) and len(record.args) == 1 and isinstance(record.args[0], Lines):
        return record.args[0]
    return None


def _line_count(record: logging.LogRecord) -> int:
    lines = _lines(record)
    return len(lines.items) if lines else 1


def _split(record: logging.LogRecord) -> Iterator[logging.LogRecord]:
    """Return a record for each line."""
    lines = _lines(record)
    if lines is None:
        yield record
        return
    for item in lines.items:
        line = copy(record)
        line.args = (lines.make_line(item),)
        yield line


def _missing(lines: int) -> logging.LogRecord:
    message = "%d log lines are missing here, because they could not be written in time"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, (lines,), None)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "thread": record.threadName,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class TextFormatter(logging.Formatter):
    """Formats a record for people: time, level, thread and message.

    A service's thread has the service's name, with which many of its messages begin: it stands there once.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(who)s%(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        name = record.threadName or ""
        record.who = "" if record.message.startswith((f"{name}:", f"{name} ")) else f"{name}: "
        return super().formatMessage(record)
