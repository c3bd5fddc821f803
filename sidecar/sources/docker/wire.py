"""Bytes of the Engine's log API -> whole lines. Pure: no socket, no clock, no state but the bytes that wait.

    HTTP chunks ──ChunkDecoder──▶ body ──FrameDecoder──▶ frames ──▶ lines      MultiplexedLines
                                  body ───────────────────────────▶ lines      TerminalLines (a container with a TTY)

Docker stores a long line in parts of 16 KiB. Text behind a cut is text that an attacker chose: two long headers and a
user agent make a part that begins as he likes. So parts are joined here, and nothing behind this module sees one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from sidecar.core.text import printable
from sidecar.sources.base import MAX_LINE_BYTES

# The Engine writes nine digits of a second, in UTC, so stamps compare as bytes. A blank is between stamp and text.
STAMP_BYTES = len("2026-11-22T08:40:04.123456789Z")
TEXT_OFFSET = STAMP_BYTES + 1

# Docker's copier cuts lines there (moby daemon/logger/copier.go); only drivers with a buffer of their own cut later.
PART_BYTES = 16 * 1024
# A frame is a part of a line. The largest that a driver makes is 1 MB (logging plugins).
MAX_FRAME_BYTES = 4 * 1024 * 1024
# The Engine sends each frame as a chunk; a proxy may put several into one.
MAX_CHUNK_BYTES = 4 * MAX_FRAME_BYTES
# The line before a chunk: its size, and extensions, which nobody uses (RFC 9112, section 7.1.1).
MAX_CHUNK_HEADER_BYTES = 1024

# The first byte of a frame (moby pkg/stdcopy).
STDOUT, STDERR, SYSTEM_ERROR = 1, 2, 3

# A frame's stream, and `stamp text` with a newline. No bytes: a line that must not be seen, and that counts as one.
Line: TypeAlias = tuple[int, bytes]


class EngineError(Exception):
    """The Engine answered, and not with what it was asked for."""


class ProtocolError(EngineError):
    """The Engine reports a failure inside a log, or sends what it never sends: open the log again."""


class LogReadError(ProtocolError):
    """The Engine cannot read the log's file: it is damaged, or gone."""


class ChunkDecoder:
    """HTTP's chunked body -> the body (RFC 9112, section 7.1).

    The Engine sends every line as a chunk of its own, and http.client would need several calls for each.
    """

    def __init__(self) -> None:
        self.ended = False
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the bytes of all chunks that are complete by now. Raises ProtocolError."""
        buffer = self._rest + data if self._rest else data
        found, at, size = [], 0, len(buffer)
        while (head := buffer.find(b"\r\n", at)) >= 0:
            begin = head + 2
            try:
                end = begin + int(buffer[at:head], 16)
            except ValueError:
                end = begin + _size_before_extension(buffer[at:head])
            if end <= begin:
                if end < begin:
                    raise ProtocolError(f"not the size of an HTTP chunk: {buffer[at:head][:20]!r}")
                self.ended = True
                break
            if end + 2 > size:
                if end - begin > MAX_CHUNK_BYTES:
                    raise ProtocolError(
                        f"an HTTP chunk of over {MAX_CHUNK_BYTES} bytes; is this the Docker Engine?"
                    )
                break
            found.append(buffer[begin:end])
            at = end + 2
        else:
            if size - at > MAX_CHUNK_HEADER_BYTES:
                raise ProtocolError(f"not an HTTP chunk: {buffer[at : at + 20]!r}")
        self._rest = buffer[at:]
        return b"".join(found)


def _size_before_extension(header: bytes) -> int:
    """Return the size in the header of a chunk with an extension. Raises ProtocolError."""
    size, semicolon, _ = header.partition(b";")
    try:
        if semicolon and len(header) <= MAX_CHUNK_HEADER_BYTES:
            return int(size, 16)
    except ValueError:
        pass
    raise ProtocolError(f"not an HTTP chunk: {header[:20]!r}")


class FrameDecoder:
    """Docker's multiplexed stream -> frames: a byte for the stream, three zeros, the payload's length, the payload."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Line]:
        """Return the frames that are complete by now. Raises ProtocolError."""
        buffer = self._rest + data if self._rest else data
        found: list[Line] = []
        at, size, header = 0, len(buffer), _FRAME_HEADER
        while size - at >= 8:
            stream, length = header(buffer, at)
            end = at + 8 + length
            if end > size:
                if length > MAX_FRAME_BYTES:
                    raise ProtocolError(f"a frame of {length} bytes; is this the Docker Engine?")
                break
            found.append((stream, buffer[at + 8 : end]))
            at = end
        self._rest = buffer[at:]
        return found


_FRAME_HEADER = struct.Struct(">BxxxL").unpack_from


class LineDecoder(Protocol):
    """A log's body -> whole lines."""

    # How many lines were longer than MAX_LINE_BYTES.
    truncated: int

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that are complete by now. Raises ProtocolError."""

    @property
    def unfinished(self) -> dict[int, bytes]:
        """The stamp of each stream's line whose end has not come yet."""


@dataclass(slots=True)
class _UnfinishedLine:
    """A line whose end has not come yet."""

    stamp: bytes
    text: bytearray = field(default_factory=bytearray)
    last_part_bytes: int = 0
    # Its beginning was never read, so it is no line.
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
        self._frames = FrameDecoder()
        self._open = {
            stream: _UnfinishedLine(stamp, headless=True) for stream, stamp in (headless or {}).items()
        }

    @property
    def unfinished(self) -> dict[int, bytes]:
        return {stream: line.stamp for stream, line in self._open.items()}

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
            else:
                whole += self._join(stream, payload)
        return whole

    def _join(self, stream: int, payload: bytes) -> list[Line]:
        if stream == SYSTEM_ERROR:
            raise LogReadError(printable(payload.decode(errors="replace").strip(), 200))
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
        self._rest = b""

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


def checked_stamp(line: bytes) -> bytes:
    """Return the line's stamp. Raises ProtocolError unless it is as the Engine writes it: others do not compare."""
    if not _STAMPED_LINE(line):
        raise ProtocolError(f"a line without Docker's timestamp: {line[:40]!r}")
    return line[:STAMP_BYTES]


_STAMPED_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ").match


def unix_seconds(stamp: bytes) -> float:
    """Return the unix time of a stamp, in whole seconds. Raises ValueError where it is none."""
    return datetime.fromisoformat(stamp[:19].decode() + "+00:00").timestamp()


def joined(lines: Sequence[bytes]) -> bytes:
    """Return the bytes of one batch.

    A newline inside a line, which a log driver may let through, becomes a blank: what follows it would look like a
    line of its own.
    """
    data = b"".join(lines)
    if data.count(b"\n") > len(lines):
        data = b"".join(line[:-1].replace(b"\n", b" ") + b"\n" for line in lines if line)
    return data
