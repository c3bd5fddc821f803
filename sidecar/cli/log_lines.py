"""Read a log, from a file or from standard input, as chunks of whole lines in constant memory. It may be gzipped."""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, cast

from sidecar.cli.meter import NO_METER, Meter
from sidecar.cli.stdio import write_error
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.core.events import Framing
from sidecar.filters.framing import recognise
from sidecar.filters.line_text import CUT_MARK, MAX_LINE_BYTES

# Large enough that the fixed cost of a scan does not matter.
CHUNK_BYTES: Final = 1 << 20
# Nothing looks further into a line, so the rest of a longer one is dropped.
MAX_KEPT_BYTES: Final = 1 << 16
# Of a gzipped log this much is searched at once.
MAX_UNZIPPED_BYTES: Final = 1 << 19
# How each gzipped file begins (RFC 1952).
GZIP_MAGIC: Final = b"\x1f\x8b"

# The head of a line of Kubernetes' container runtime, its stream, and whether it is a partial (P) or a full (F) one.
_CRI = re.compile(rb"(\S+ )(stdout|stderr) ([PF])(?::\S*)? ")


class Reader(Protocol):
    """A binary file that returns what there is, so that a pipe is read as it is written."""

    def read1(self, size: int, /) -> bytes: ...


@contextmanager
def open_log(log: str, meter: Meter = NO_METER) -> Iterator[Reader]:
    """Open the file of this name, gzipped or not; `-` is standard input. Raises Failed."""
    if log == "-":
        # It is a BufferedReader, which typeshed does not say.
        yield _unzipped(log, cast("Reader", sys.stdin.buffer), meter)
        return
    try:
        # Not by pathlib, because the name may be any text.
        stream = open(log, "rb")  # noqa: PTH123, SIM115 - closed below
        stream.read(0)
    except OSError as err:
        raise Failed(ExitCode.NO_INPUT, f"{log} cannot be read: {err.strerror}") from err
    with stream:
        yield _unzipped(log, cast("Reader", stream), meter)


def _unzipped(log: str, stream: Reader, meter: Meter) -> Reader:
    """Return what a stream has, unzipped if it is gzipped. A pipe cannot be read twice, so its beginning is kept."""
    begun = MeteredStream(stream, meter)
    return UnzippedStream(log, begun) if begun.begins_with(GZIP_MAGIC) else begun


class MeteredStream:
    """A stream that reports to the meter how much was read, and whose beginning may be looked at."""

    def __init__(self, stream: Reader, meter: Meter) -> None:
        self._stream, self._meter = stream, meter
        self._beginning = b""

    def begins_with(self, magic: bytes) -> bool:
        """Return whether the stream begins so. It is read as if nobody had asked."""
        while len(self._beginning) < len(magic) and (data := self._stream.read1(CHUNK_BYTES)):
            self._beginning += data
        return self._beginning.startswith(magic)

    def read1(self, size: int, /) -> bytes:
        data = self._beginning[:size]
        if data:
            self._beginning = self._beginning[size:]
        else:
            data = self._stream.read1(size)
        self._meter.advance(len(data))
        return data

    # What `gzip` calls.
    read = read1


class UnzippedStream:
    """A gzipped stream, as plain bytes. One that is damaged ends where the damage begins, and that is reported."""

    def __init__(self, log: str, zipped: MeteredStream) -> None:
        self._log = log
        # GzipFile asks its file for no more than `read`.
        self._plain = gzip.GzipFile(fileobj=zipped)  # type: ignore[call-overload]
        self._is_damaged = False

    def read1(self, size: int, /) -> bytes:
        # One call unzips 8 KiB, and each chunk of lines has fixed costs.
        pieces: list[bytes] = []
        left = min(size, MAX_UNZIPPED_BYTES)
        try:
            while left > 0 and not self._is_damaged and (data := self._plain.read1(left)):
                pieces.append(data)
                left -= len(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as err:
            self._is_damaged = True
            write_error(f"{self._log} is damaged ({err}): its rest is not read")
        return b"".join(pieces)


def line_chunks(stream: Reader) -> Iterator[bytes]:
    """Yield whole lines, each with its newline, about a MiB at a time."""
    rest = b""
    while data := stream.read1(CHUNK_BYTES):
        end = data.rfind(b"\n") + 1
        if end:
            # Without a copy of the data for the cut alone.
            yield rest + memoryview(data)[:end]
            rest = data[end:]
        elif len(rest) < MAX_KEPT_BYTES:
            rest += data
    if rest:
        yield rest + b"\n"


def with_framing(chunks: Iterator[bytes], given: Framing | None) -> Iterator[tuple[bytes, Framing]]:
    """Yield each chunk with its framing: the given one, or what is detected.

    A log may begin without stamps: a banner, or a first line that a pipe passed alone. What was detected stays.
    """
    joiner, framing = CriJoiner(), given or Framing.NONE
    for chunk in chunks:
        if given is None and framing is Framing.NONE:
            framing = recognise(chunk)
        yield joiner.join(chunk) if framing is Framing.CRI else chunk, framing


def decode_line(line: bytes) -> str:
    """Return a line as the filters see it. One over the limit is cut, and the mark says that it does not end there."""
    text = line[:MAX_LINE_BYTES].decode(errors="replace")
    return text + CUT_MARK if len(line) > MAX_LINE_BYTES else text


class CriJoiner:
    """Joins the partial lines of a container runtime's log.

    What follows the end of a partial line is text that a visitor may have chosen, so it must not begin a line. A
    partial line leaves an empty one behind, so that lines keep their numbers.
    """

    def __init__(self) -> None:
        # Stream -> the line so far.
        self._partial: dict[bytes, bytes] = {}

    def join(self, chunk: bytes) -> bytes:
        if b" P" not in chunk and not self._partial:
            return chunk
        return b"\n".join(map(self._joined, chunk.split(b"\n")))

    def _joined(self, line: bytes) -> bytes:
        found = _CRI.match(line)
        if not found:
            return line
        head, stream, tag = found.groups()
        text = line[found.end() :]
        if tag == b"P":
            partial = self._partial.get(stream, head + stream + b" F ")
            self._partial[stream] = (partial + text)[: 2 * MAX_KEPT_BYTES]
            return b""
        return self._partial.pop(stream) + text if stream in self._partial else line
