"""Reads a long log in a process of its own, which passes on only the lines that may be failures.

Where few lines fail, to read, unzip and search a log is a large part of the work, and needs nothing that was decided
before. So a second processor does that, while this process decides about what is passed on. What is passed on is
searched again, so the verdicts are the same. The beginning is passed on whole: a log's format shows in any line.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final, NamedTuple

from sidecar.access.sample import MIN_LINES
from sidecar.cli.meter import Meter
from sidecar.cli.replay_logs import LogPart, ReplayLog, UnreadableError
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.filters.database import PatternDatabase
from sidecar.filters.search import ID_BITS

# This many parts of a log are passed on at once: to take one has a fixed cost, and few of its lines are left.
PARTS_AT_ONCE: Final = 16

# What the pipe holds: enough that neither process waits for the other all the time. 1 MiB is what users may ask for.
PIPE_BYTES: Final = 1 << 20


class Passed(NamedTuple):
    """A part of a log with the lines that may be failures. `read` is for the meter."""

    part: LogPart
    read: int


class Ended(NamedTuple):
    """The end of a log. `sentence` says why its rest is not read, and `code` that nothing of it can be."""

    sentence: str = ""
    code: ExitCode = ExitCode.OK


class SievedLog:
    """A log, read by a process that is running already."""

    def __init__(self, log: ReplayLog, databases: Sequence[PatternDatabase]) -> None:
        """Start the process. `databases` are those of all policies."""
        self.source, self.name = log.source, log.name
        reading, writing = os.pipe()
        with contextlib.suppress(OSError):
            import fcntl  # noqa: PLC0415 - Linux alone has the size of a pipe

            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._pid = os.fork()
        if not self._pid:
            _run(log, databases, reading, writing)
        os.close(writing)
        self._pipe = open(reading, "rb")  # noqa: PTH123, SIM115 - `parts` closes it

    def parts(self, meter: Meter) -> Iterator[LogPart]:
        """Yield what the process passes on. Raises UnreadableError and Failed."""
        try:
            while isinstance(message := _received(self._pipe), Passed):
                meter.advance(message.read)
                yield message.part
        finally:
            # Without a reader the process ends.
            self._pipe.close()
            os.waitpid(self._pid, 0)
        if message.code:
            raise Failed(message.code, message.sentence)
        if message.sentence:
            raise UnreadableError(message.sentence)


def _received(pipe: BinaryIO) -> Passed | Ended:
    try:
        # Our own process wrote it.
        found: Passed | Ended = pickle.load(pipe)  # noqa: S301
    except (EOFError, pickle.UnpicklingError):
        return Ended("the process that read it has ended")
    return found


def _run(log: ReplayLog, databases: Sequence[PatternDatabase], reading: int, writing: int) -> None:
    """Be the process: pass on what may be failures, and end."""
    code = 1
    try:
        os.close(reading)
        with open(writing, "wb") as pipe:
            for message in messages(log, databases):
                pickle.dump(message, pipe, pickle.HIGHEST_PROTOCOL)
                pipe.flush()
        code = 0
    finally:
        # Nothing of the process that was forked is to be ended here: no buffer written, no handler called.
        os._exit(code)


def messages(log: ReplayLog, databases: Sequence[PatternDatabase]) -> Iterator[Passed | Ended]:
    """Yield what is passed on of a log, and its end."""
    read, end = CountedBytes(), Ended()
    gathered: list[LogPart] = []
    try:
        for part in _sieved_parts(log, read, databases):
            if len(gathered) == PARTS_AT_ONCE or (gathered and not _is_of_same(part, gathered[0])):
                yield Passed(_joined(gathered), read.take())
                gathered.clear()
            gathered.append(part)
    except UnreadableError as err:
        end = Ended(str(err))
    except Failed as err:
        end = Ended(str(err), err.code)
    if gathered:
        yield Passed(_joined(gathered), read.take())
    yield end


def _sieved_parts(log: ReplayLog, read: Meter, databases: Sequence[PatternDatabase]) -> Iterator[LogPart]:
    lines = 0
    for part in log.parts(read):
        if lines < MIN_LINES:
            lines += part.data.count(b"\n")
            yield part
        else:
            yield part._replace(data=sieved(part.data, databases))


def _is_of_same(part: LogPart, other: LogPart) -> bool:
    return (part.stream, part.framing) == (other.stream, other.framing)


def _joined(parts: Sequence[LogPart]) -> LogPart:
    """Return parts of one stream as one."""
    return parts[0]._replace(
        data=b"".join(part.data for part in parts), size=sum(part.size for part in parts)
    )


def sieved(data: bytes, databases: Iterable[PatternDatabase]) -> bytes:
    """Return the lines in which any of these finds something, and the last line, which shows how far the log goes."""
    kept, end = [], 0
    for match in sorted(match for each in databases for match in each.matches(data)):
        # Behind the match: an expression may take the newline, too.
        if (last_byte := (match >> ID_BITS) - 1) >= end:
            start, end = data.rfind(b"\n", 0, last_byte) + 1, data.find(b"\n", last_byte) + 1
            kept.append(data[start:end])
    if end < len(data):
        kept.append(data[data.rfind(b"\n", 0, len(data) - 1) + 1 :])
    return b"".join(kept)


class CountedBytes:
    """A meter that counts, for the other process's meter."""

    def __init__(self) -> None:
        self._size = 0

    def advance(self, size: int) -> None:
        self._size += size

    def take(self) -> int:
        """Return what was read since the last call."""
        size, self._size = self._size, 0
        return size

    def write_line(self, text: str) -> None: ...

    def close(self) -> None: ...
