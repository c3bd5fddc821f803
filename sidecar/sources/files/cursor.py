"""How far a log was read, and the format in which that is stored.

An inode number does not identify a file, because a new file often gets the number of a removed one. So a position also
has a checksum of the file's first bytes, which stay the same when the file is renamed, grows or is compressed.

Cursors outlive upgrades. A format may get a new version, but version 1 has to load for ever.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

# About two lines of an access log. As lines have times, no two files of a log begin with the same ones.
HEAD_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class FilePosition:
    """An offset in one file.

    `offset`: where the next line begins, in bytes; of a compressed file, in uncompressed bytes.
    `head_size`, `head_crc`: how many of the file's first bytes are known, and their CRC-32.
    """

    inode: int
    offset: int = 0
    head_size: int = 0
    head_crc: int = 0

    def moved(self, offset: int, head: bytes) -> FilePosition:
        """Return the position at another offset of the same file. `head`: the first bytes of the file."""
        return FilePosition(self.inode, offset, len(head), zlib.crc32(head))

    def encode(self) -> bytes:
        """Return the position as the stored cursor of a log file that a jail names in `logpath`."""
        return b"1 %d %d %d %d" % (self.inode, self.offset, self.head_size, self.head_crc)

    @classmethod
    def decode(cls, state: bytes) -> FilePosition:
        """Return the position of a stored cursor; NOWHERE if it cannot be parsed or has another version."""
        numbers = _version_1(state, 4)
        return cls(*numbers) if numbers else NOWHERE


NOWHERE: Final = FilePosition(0)


@dataclass(frozen=True, slots=True)
class LogCursor:
    """How far the lines of a log were handed on.

    `position`: the last position at which no stream had an unfinished line.
    `handed_on`: by stream, the number of whole lines after the position that were handed on as well.
    `partial`: streams in which the first line after the position may be the end of a line that began before.
    `restart_count`: the container's, when it wrote the file at the position.
    """

    position: FilePosition = NOWHERE
    handed_on: Mapping[str, int] = field(default_factory=dict)
    partial: frozenset[str] = frozenset()
    restart_count: int = 0

    def encode(self, streams: Sequence[str]) -> bytes:
        """Return the cursor as the stored cursor of a container's log, which has these two streams."""
        position, partial = (
            self.position,
            sum(1 << at for at, stream in enumerate(streams) if stream in self.partial),
        )
        first, second = (self.handed_on.get(stream, 0) for stream in streams)
        return b"1 %d %d %d %d %d %d %d %d" % (
            position.inode, position.offset, position.head_size, position.head_crc,
            first, second, partial, self.restart_count,
        )  # fmt: skip

    @classmethod
    def decode(cls, state: bytes, streams: Sequence[str]) -> LogCursor:
        """Return the stored cursor; an empty one if it cannot be parsed or has another version."""
        numbers = _version_1(state, 8)
        if not numbers:
            return cls()
        inode, offset, head_size, head_crc, *counts, partial, restart_count = numbers
        return cls(
            FilePosition(inode, offset, head_size, head_crc),
            {stream: count for stream, count in zip(streams, counts, strict=True) if count},
            frozenset(stream for at, stream in enumerate(streams) if partial & 1 << at),
            restart_count,
        )


def _version_1(state: bytes, count: int) -> list[int]:
    """Return the numbers of a stored cursor of version 1; no numbers if the state is anything else."""
    try:
        version, *numbers = map(int, state.split(b" "))
    except ValueError:
        return []
    return numbers if version == 1 and len(numbers) == count else []
