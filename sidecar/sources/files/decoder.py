"""Raw lines of a log's files -> the log's own lines, each batch with the cursor that is stored once it counts.

The follower reads files and knows nothing of what stands in them; a `Decoder` knows nothing of files. `PlainLines` is
the decoder of files that a program writes itself. `cri_lines.ContainerLines` is the decoder of containers' logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sidecar.core.events import Framing
from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.files.cursor import FilePosition, LogCursor


@dataclass(frozen=True, slots=True)
class DecodedLines:
    """Whole lines of one stream, how many they are, and the cursor once they are handed on."""

    stream: str
    data: bytes
    count: int
    cursor: LogCursor


class Decoder(Protocol):
    """Decodes one log. It may keep the beginnings of lines whose ends have not come yet.

    `overlong`: how many lines were cut at MAX_LINE_BYTES. `unrecognised`: how many were left out because they are not
    in the format of the log. The follower reports both and sets them back to 0.
    """

    framing: Framing
    streams: tuple[str, ...]
    overlong: int
    unrecognised: int

    def resume(self, cursor: LogCursor) -> None:
        """Forget all that was fed: reading begins again at this cursor."""

    def begin(self, position: FilePosition, restart_count: int) -> None:
        """The lines that follow begin here, which is where the cursor is."""

    def begin_elsewhere(self, position: FilePosition, restart_count: int, *, mid_line: bool) -> LogCursor:
        """The lines that follow begin here, after others that are not read. `mid_line`: perhaps with a line's rest.

        Return the cursor of this place.
        """

    def begin_again(self, position: FilePosition) -> None:
        """The file was truncated; the lines that follow begin at its start."""

    def next_segment(self, position: FilePosition, restart_count: int) -> None:
        """The segment is read to its end; the lines that follow are those of the next, from here on."""

    def prepare(self, raw: bytes) -> tuple[bytes, int]:
        """Return what to feed of these whole raw lines, and how many of the raw bytes that is."""

    def feed(self, data: bytes, position: FilePosition) -> list[DecodedLines]:
        """Return the lines that are whole now. `position`: where the data ends."""

    def last_time(self, lines: bytes) -> float | None:
        """Return the time of the last of these lines (unix seconds), if their framing has one."""

    def encode(self, cursor: LogCursor) -> bytes:
        """Return the cursor as it is stored."""

    def decode(self, state: bytes) -> LogCursor:
        """Return the stored cursor; one that is NOWHERE if the state is none of ours."""


class PlainLines:
    """The decoder of a file whose lines are the log's lines."""

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

    def last_time(self, lines: bytes) -> float | None:  # noqa: ARG002  a file's lines have no time that is known here
        return None

    def encode(self, cursor: LogCursor) -> bytes:
        return cursor.position.encode()

    def decode(self, state: bytes) -> LogCursor:
        return LogCursor(FilePosition.decode(state))


def count_lines(data: bytes) -> int:
    """Return how many lines end in the data. `bytes.count` compares byte by byte and takes three times as long."""
    return len(data.split(b"\n")) - 1


def shorten_lines(data: bytes) -> tuple[bytes, int]:
    """Return whole lines with those over MAX_LINE_BYTES cut, and how many were cut.

    There are hardly ever any, so they are looked for in strides and not line by line.
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
