"""A log, from a file or standard input -> chunks of whole lines, in constant memory."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

from sidecar.control import exit_codes
from sidecar.control.exit_codes import Failed
from sidecar.core.events import Framing
from sidecar.filters.framing import recognise

CHUNK = 1 << 20  # bytes: large enough that a scan's fixed cost is lost in it
LONGEST = 1 << 16  # bytes of a line that anything looks at; the rest of a longer one is dropped


class Reader(Protocol):
    """A binary file that gives what there is, so that a pipe is read as it is written."""

    def read1(self, size: int, /) -> bytes: ...


@contextmanager
def opened(log: str) -> Iterator[Reader]:
    """The file of this name; `-` is standard input. Raises Failed."""
    if log == "-":
        yield cast("Reader", sys.stdin.buffer)  # it is a BufferedReader
        return
    try:
        stream = open(log, "rb")  # noqa: PTH123, SIM115 - its name may be any text; closed below
        stream.read(0)
    except OSError as err:
        raise Failed(exit_codes.NO_INPUT, f"{log} cannot be read: {err.strerror}") from err
    with stream:
        yield stream


def chunks(stream: Reader) -> Iterator[bytes]:
    """Whole lines, each with its newline, about a MiB at a time."""
    rest = b""
    while data := stream.read1(CHUNK):
        end = data.rfind(b"\n") + 1
        if end:
            yield rest + data[:end]
            rest = data[end:]
        elif len(rest) < LONGEST:
            rest += data
    if rest:
        yield rest + b"\n"


def framed(chunked: Iterator[bytes], given: Framing | None) -> Iterator[tuple[bytes, Framing]]:
    """Each chunk with its framing: the given one, else what it looks like.

    Once a stamp was recognised it stays. A log may begin without: a banner, a first line that a pipe gave alone.
    """
    join, framing = Join(), given or Framing.NONE
    for chunk in chunked:
        if given is None and framing is Framing.NONE:
            framing = recognise(chunk)
        yield join.feed(chunk) if framing is Framing.CRI else chunk, framing


class Join:
    """CRI's partial lines -> whole ones. What follows a cut is text that somebody chose, and begins no line.

    A part that goes on (tag `P`) leaves an empty line, so that lines keep their numbers.
    """

    def __init__(self) -> None:
        self._begun: dict[bytes, bytes] = {}  # stream -> the line so far

    def feed(self, chunk: bytes) -> bytes:
        return b"\n".join(map(self._line, chunk.split(b"\n"))) if b" P" in chunk or self._begun else chunk

    def _line(self, line: bytes) -> bytes:
        found = _PARTED.match(line)
        if not found:
            return line
        head, stream, tag = found.groups()
        text = line[found.end() :]
        if tag == b"P":
            begun = self._begun.get(stream, head + stream + b" F ")
            self._begun[stream] = (begun + text)[: 2 * LONGEST]
            return b""
        return self._begun.pop(stream) + text if stream in self._begun else line


_PARTED = re.compile(rb"(\S+ )(stdout|stderr) ([PF])(?::\S*)? ")
