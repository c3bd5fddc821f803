"""Joins the parts of long lines: frames, or the body of a terminal's log -> whole lines. Pure, as `wire` is.

Docker stores a long line in parts of 16 KiB. Text behind a cut is text that an attacker chose: two long headers and a
user agent make a part that begins as he likes. So parts are joined here, and nothing behind this module sees one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.core.text import printable
from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.docker.wire import (
    STDERR,
    STDOUT,
    SYSTEM_ERROR,
    TEXT_OFFSET,
    FrameDecoder,
    Line,
    LogReadError,
    ProtocolError,
    checked_stamp,
)

# Docker's copier cuts lines there (moby daemon/logger/copier.go); only drivers with a buffer of their own cut later.
PART_BYTES = 16 * 1024


def is_terminals(data: bytes) -> bool:
    """Return whether a body that begins like this is of a container with a TTY: a stamp, and no frame.

    Before API 1.42 the head of the answer does not say it, and the container may be removed before it is asked about.
    """
    return data[:1].isdigit()


def decoder_of(data: bytes, headless: Mapping[int, bytes] | None = None) -> LineDecoder:
    """Return what decodes a body that begins like this. `headless`: as for `MultiplexedLines`."""
    return TerminalLines() if is_terminals(data) else MultiplexedLines(headless)


class LineDecoder(Protocol):
    """A log's body -> whole lines."""

    # How many lines were longer than MAX_LINE_BYTES.
    truncated: int
    # Why nothing comes behind the lines that were returned.
    failure: LogReadError | None

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that are complete by now. Raises ProtocolError."""

    @property
    def unfinished(self) -> dict[int, bytes]:
        """The stamp of each stream's line whose end has not come yet."""

    @property
    def is_inside_frame(self) -> bool:
        """Whether a frame began that has not ended."""


@dataclass(slots=True)
class _UnfinishedLine:
    """A line whose end has not come yet."""

    stamp: bytes
    text: bytearray = field(default_factory=bytearray)
    last_part_bytes: int = 0
    # Its beginning was never read, so it is not a line.
    headless: bool = False

    def is_continued_by(self, stamp: bytes) -> bool:
        """Return whether a frame with this stamp is the rest of the line.

        If it is not, the writer died in the middle of the line and a new one began. All parts carry the stamp of the
        first one; with the journald driver each has its own. But a full part is always continued.
        """
        return stamp == self.stamp or self.last_part_bytes >= PART_BYTES


class MultiplexedLines:
    """Frames of a container without a TTY -> whole lines. Parts of each stream are joined."""

    def __init__(self, headless: Mapping[int, bytes] | None = None) -> None:
        """`headless`: by stream, the stamp of a line whose beginning will not come again."""
        self.truncated = 0
        self.failure: LogReadError | None = None
        self._frames = FrameDecoder()
        self._open = {
            stream: _UnfinishedLine(stamp, headless=True) for stream, stamp in (headless or {}).items()
        }

    @property
    def unfinished(self) -> dict[int, bytes]:
        return {stream: line.stamp for stream, line in self._open.items()}

    @property
    def is_inside_frame(self) -> bool:
        return self._frames.is_inside

    def feed(self, data: bytes) -> list[Line]:
        whole: list[Line] = []
        unfinished = self._open
        for frame in self._frames.feed(data):
            stream, payload = frame
            if (
                payload[-1:] == b"\n"
                and len(payload) <= MAX_LINE_BYTES
                and stream not in unfinished
                and 0 < stream < 3
            ):
                whole.append(frame)
            elif stream == SYSTEM_ERROR:
                # The lines before it are as good as any.
                self.failure = LogReadError(printable(payload.decode(errors="replace").strip(), 200))
                break
            else:
                whole += self._join(stream, payload)
        return whole

    def _join(self, stream: int, payload: bytes) -> list[Line]:
        if stream not in (STDOUT, STDERR):
            raise ProtocolError(f"stream {stream}")
        stamp, text = checked_stamp(payload), payload[TEXT_OFFSET:]
        line = self._open.get(stream)
        continued = line is not None and line.is_continued_by(stamp)
        if line is None or not continued:
            line = self._open[stream] = _UnfinishedLine(stamp)
        line.last_part_bytes = len(text)
        if text[-1:] != b"\n" and continued and len(text) < PART_BYTES:
            # This is the last part: the `local` driver of Docker 20.10 leaves the newline out.
            text += b"\n"
        if len(line.text) <= MAX_LINE_BYTES:
            # One byte more than allowed is kept, to know that the line is too long.
            line.text += text[: MAX_LINE_BYTES + 1]
        if text[-1:] != b"\n":
            return []
        del self._open[stream]
        return [(stream, self._finished(line))]

    def _finished(self, line: _UnfinishedLine) -> bytes:
        if line.headless:
            return b""
        whole = line.stamp + b" " + line.text
        if len(whole) > MAX_LINE_BYTES:
            self.truncated += 1
            whole = whole[: MAX_LINE_BYTES - 1] + b"\n"
        return whole


class TerminalLines:
    """The log of a container with a TTY -> whole lines: it has no frames, one stream, and CRLF at the ends."""

    def __init__(self) -> None:
        self.truncated = 0
        self.failure: LogReadError | None = None
        self._rest = b""

    is_inside_frame = False

    @property
    def unfinished(self) -> dict[int, bytes]:
        return {STDOUT: checked_stamp(self._rest)} if len(self._rest) >= TEXT_OFFSET else {}

    def feed(self, data: bytes) -> list[Line]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = [(STDOUT, self._joined(line)) for line in whole]
        # Twice the longest line, since the stamps of the parts in it do not count.
        if len(self._rest) > 2 * MAX_LINE_BYTES:
            self._rest = self._rest[: 2 * MAX_LINE_BYTES]
        return lines

    def _joined(self, line: bytes) -> bytes:
        """Return the line without the stamps where Docker cut it; only their place distinguishes them from text."""
        text = line[TEXT_OFFSET:]
        if len(text) > PART_BYTES:
            step = TEXT_OFFSET + PART_BYTES
            later = (
                text[at + TEXT_OFFSET : at + TEXT_OFFSET + PART_BYTES]
                for at in range(PART_BYTES, len(text), step)
            )
            text = b"".join([text[:PART_BYTES], *later])
        line = line[:TEXT_OFFSET] + text.removesuffix(b"\r") + b"\n"
        if len(line) > MAX_LINE_BYTES:
            self.truncated += 1
            line = line[: MAX_LINE_BYTES - 1] + b"\n"
        return line
