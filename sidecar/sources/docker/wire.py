"""Bytes of the Engine's log API -> frames. Pure: no socket, no clock, no state but the bytes that wait.

    HTTP chunks ──ChunkDecoder──▶ body ──FrameDecoder──▶ frames ──▶ lines      MultiplexedLines
                                  body ───────────────────────────▶ lines      TerminalLines (a container with a TTY)

Lines that Docker cut into parts are joined in `line_joiner`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

# The Engine writes nine digits of a second, in UTC, so stamps compare as bytes. A blank is between stamp and text.
STAMP_BYTES = len("2026-11-22T08:40:04.123456789Z")
TEXT_OFFSET = STAMP_BYTES + 1

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


class UnfinishedError(ProtocolError):
    """A chunk or a frame began, and its end does not come."""

    def __init__(self) -> None:
        super().__init__("a chunk or a frame of its log began and did not end")


class LogReadError(ProtocolError):
    """The Engine cannot read the log's file: it is damaged, or gone."""


class ChunkDecoder:
    """HTTP's chunked body -> the body (RFC 9112, section 7.1).

    The Engine sends every line as a chunk of its own, and http.client would need several calls for each.
    """

    def __init__(self) -> None:
        self.ended = False
        self._rest = b""

    @property
    def is_inside(self) -> bool:
        """Whether a chunk began that has not ended."""
        return bool(self._rest)

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

    @property
    def is_inside(self) -> bool:
        """Whether a frame began that has not ended."""
        return bool(self._rest)

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


def checked_stamp(line: bytes) -> bytes:
    """Return the line's stamp. Raises ProtocolError unless it is as the Engine writes it: others do not compare."""
    if not _STAMPED_LINE(line):
        raise ProtocolError(f"a line without Docker's timestamp: {line[:40]!r}")
    return line[:STAMP_BYTES]


_STAMPED_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ").match


def unix_seconds(stamp: bytes) -> float:
    """Return the unix time of a stamp, in whole seconds. Raises ValueError where it is not one."""
    return datetime.fromisoformat(stamp[:19].decode() + "+00:00").timestamp()


def precise_unix_seconds(stamp: bytes) -> float:
    """Return the unix time of a stamp. Raises ValueError where it is not one."""
    return unix_seconds(stamp) + float(stamp[19 : STAMP_BYTES - 1])


def joined(lines: Sequence[bytes]) -> bytes:
    """Return the bytes of one batch.

    A newline inside a line, which a log driver may let through, becomes a blank: what follows it would look like a
    line of its own.
    """
    data = b"".join(lines)
    if data.count(b"\n") > len(lines):
        data = b"".join(line[:-1].replace(b"\n", b" ") + b"\n" for line in lines if line)
    return data
