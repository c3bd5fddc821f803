"""From the raw lines of a log's files to the lines that were logged, each batch with its cursor.

The follower reads files and does not know their format. A `Decoder` knows one format and does not read files.
`PlainLines` decodes files that a program writes itself, `cri_lines.ContainerLines` those of a container runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sidecar.core.events import Framing
from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.files.cursor import FilePosition, LogCursor


@dataclass(frozen=True, slots=True)
class DecodedLines:
    """Whole lines of one stream, their number, and the cursor that holds once they are handed on."""

    stream: str
    data: bytes
    count: int
    cursor: LogCursor


class Decoder(Protocol):
    """Decodes one log. It may keep the beginnings of unfinished lines.

    `streams`: the names of the log's streams. `overlong`: how many lines were cut at MAX_LINE_BYTES.
    `unrecognised`: how many lines were dropped because they are not in the format. The follower reports both counts and
    resets them.
    """

    framing: Framing
    streams: tuple[str, ...]
    overlong: int
    unrecognised: int

    def resume(self, cursor: LogCursor) -> None:
        """Drop all state: reading starts again at this cursor."""

    def begin(self, position: FilePosition, restart_count: int) -> None:
        """Prepare for the lines from this position on, which is the one of the cursor."""

    def begin_elsewhere(self, position: FilePosition, restart_count: int, *, mid_line: bool) -> LogCursor:
        """Prepare for the lines from this position on, though others before them were not read.

        `mid_line`: the first of them may be the end of a line that began before. Return the cursor of this position.
        """

    def begin_again(self, position: FilePosition) -> None:
        """Prepare for the lines from the start of the file, which was truncated."""

    def next_segment(self, position: FilePosition, restart_count: int) -> None:
        """Prepare for the lines of the next segment, from this position on. The one before was read to its end."""

    def prepare(self, raw: bytes) -> tuple[bytes, int]:
        """Return the data to feed of these whole raw lines, and how many of the raw bytes it stands for."""

    def feed(self, data: bytes, position: FilePosition) -> list[DecodedLines]:
        """Return the lines that are whole now. `position`: the end of the data in the file."""

    def last_time(self, lines: bytes) -> float | None:
        """Return the time of the last of these lines (unix seconds); None if the format has no times."""

    def encode(self, cursor: LogCursor) -> bytes:
        """Return the cursor as it is stored."""

    def decode(self, state: bytes) -> LogCursor:
        """Return the stored cursor; an empty one if it cannot be parsed."""


class PlainLines:
    """Decodes files of plain lines."""

    streams: tuple[str, ...] = ("",)

    def __init__(self, framing: Framing = Framing.NONE) -> None:
        self.framing = framing
        self.overlong = self.unrecognised = 0

    def resume(self, cursor: LogCursor) -> None: ...
    def begin(self, position: FilePosition, restart_count: int) -> None: ...
    def begin_again(self, position: FilePosition) -> None: ...
    def next_segment(self, position: FilePosition, restart_count: int) -> None: ...

    def begin_elsewhere(self, position: FilePosition, restart_count: int, *, mid_line: bool) -> LogCursor:  # noqa: ARG002
        return LogCursor(position)

    def prepare(self, raw: bytes) -> tuple[bytes, int]:
        return raw, len(raw)

    def feed(self, data: bytes, position: FilePosition) -> list[DecodedLines]:
        data, cut = shorten_lines(data)
        self.overlong += cut
        return [DecodedLines("", data, count_lines(data), LogCursor(position))]

    def last_time(self, lines: bytes) -> float | None:  # noqa: ARG002
        return None

    def encode(self, cursor: LogCursor) -> bytes:
        return cursor.position.encode()

    def decode(self, state: bytes) -> LogCursor:
        return LogCursor(FilePosition.decode(state))


def count_lines(data: bytes) -> int:
    """Return how many lines end in the data.

    `bytes.count` takes three times as long, as it compares byte by byte.
    """
    return len(data.split(b"\n")) - 1


def shorten_lines(data: bytes) -> tuple[bytes, int]:
    """Return these whole lines with those over MAX_LINE_BYTES cut, and how many were cut.

    Long lines are rare, so the data is searched in strides of MAX_LINE_BYTES and not line by line.
    """
    at = cut = 0
    while len(data) - at > MAX_LINE_BYTES:
        newline = data.rfind(b"\n", at, at + MAX_LINE_BYTES)
        if newline >= 0:
            at = newline + 1
            continue
        end = data.find(b"\n", at)
        data = data[: at + MAX_LINE_BYTES - 1] + data[end:]
        at += MAX_LINE_BYTES
        cut += 1
    return data, cut
