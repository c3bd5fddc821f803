"""How far a container's log was read, and which of the lines that come were not read before.

The Engine can only be asked for lines since a time, in whole seconds, and the stamps of stdout and stderr are not in
order. So reading begins a little before the cursor, and `CursorTracker` drops the lines up to it. The cursor is:

    the line with the highest stamp so far (the mark), and how many lines of each stream came after that line

The mark is the first line in the log with so high a stamp, so it is found again whatever came before. This is exact
with equal stamps, with equal lines and with clocks that are set back, and it is of constant size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sidecar.sources.docker.line_joiner import LineDecoder, decoder_of
from sidecar.sources.docker.wire import STAMP_BYTES, STDERR, STDOUT, Line, checked_stamp, unix_seconds

# Two streams' stamps may be out of order by this much; if it is more, the clock was set back.
MAX_DISORDER_S = 2.0
# An unfinished line is read again from its beginning, unless that is further back than this.
MAX_UNFINISHED_S = 60


@dataclass(frozen=True, slots=True)
class DockerCursor:
    """How far a container's log was read, in the order in which the log has its lines."""

    # Unix time to begin at as long as no line was read.
    since: int
    # The mark's.
    stamp: bytes = b""
    # Lines of stdout read after the mark.
    out: int = 0
    err: int = 0
    # The highest stamp before the clock was set back, until it is passed again.
    top: bytes = b""
    # The stamp of an unfinished line of stdout.
    open_out: bytes = b""
    open_err: bytes = b""

    def encode(self) -> bytes:
        """Return the cursor as one short text; every batch carries one."""
        fields = (b"%d" % self.since, self.stamp, b"%d" % self.out, b"%d" % self.err)
        return b" ".join((b"1", *fields, self.top, self.open_out, self.open_err))

    @classmethod
    def decode(cls, text: bytes) -> DockerCursor:
        """Return the cursor of a stored text. Raises ValueError where it is not one."""
        version, since, stamp, out, err, top, open_out, open_err = text.split(b" ")
        if version != b"1":
            raise ValueError(f"a cursor of another version: {text[:40]!r}")
        return cls(int(since), stamp, int(out), int(err), top, open_out, open_err)

    @property
    def start(self) -> int:
        """The unix time to ask the Engine for: nothing unread is before it.

        Engines before 24 leave out every line that is older, later ones only those before the first that is not.
        """
        if not self.stamp:
            return self.since
        mark = unix_seconds(self.stamp)
        unfinished = [unix_seconds(stamp) for stamp in (self.open_out, self.open_err) if stamp]
        return (
            int(min([mark, *(at for at in unfinished if at >= mark - MAX_UNFINISHED_S)]) - MAX_DISORDER_S) - 1
        )

    def headless(self, start: float) -> dict[int, bytes]:
        """By stream, the stamp of an unfinished line that begins before `start` (unix time): its end is not a line."""
        unfinished = ((STDOUT, self.open_out), (STDERR, self.open_err))
        return {stream: stamp for stream, stamp in unfinished if stamp and unix_seconds(stamp) < start}


class CursorTracker:
    """Separates lines that were not read before from those that are read again, and moves the cursor on."""

    def __init__(self, cursor: DockerCursor) -> None:
        # The mark is no longer in the log.
        self.gap = False
        self._since = cursor.since
        self._stamp, self._top = cursor.stamp, cursor.top
        # Indexed by stream: lines after the mark that were read, and that came by on this connection.
        self._read = [0, cursor.out, cursor.err]
        self._passed = [0, 0, 0]
        # Also where a line came that is later than the mark.
        self.mark_found = not cursor.stamp

    def cursor(self, unfinished: Mapping[int, bytes]) -> DockerCursor:
        """Return how far the log is read now. `unfinished`: by stream, the stamp of a line without its end."""
        _, out, err = self._read
        begun = unfinished.get(STDOUT, b""), unfinished.get(STDERR, b"")
        return DockerCursor(self._since, self._stamp, out, err, self._top, *begun)

    def unread(self, lines: list[Line]) -> list[Line]:
        """Return the lines that were not read before; from now on they are read."""
        if self.mark_found and self._passed == self._read:
            self._advance(lines)
            return lines
        return [line for line in lines if self._is_unread(line)]

    def give_up_search(self) -> None:
        """Take what comes as unread, if the mark was not found yet."""
        if self.mark_found:
            return
        self.mark_found = self.gap = True
        self._stamp, self._top = b"", b""
        self._read, self._passed = [0, 0, 0], [0, 0, 0]

    def _advance(self, lines: Sequence[Line]) -> None:
        """Move the mark to the first of these lines, all unread, that has the highest stamp."""
        if not lines:
            return
        stamps = [text[:STAMP_BYTES] for _, text in lines]
        highest = max(stamps)
        after = 0
        if highest > self._stamp:
            after = stamps.index(highest) + 1
            self._move_mark(lines[after - 1][1])
        # These are few, unless the clock was set back.
        for stream, text in lines[after:]:
            if self._becomes_mark(text[:STAMP_BYTES]):
                self._move_mark(text)
            else:
                self._read[stream] += 1
                self._passed[stream] += 1

    def _is_unread(self, line: Line) -> bool:
        stream, text = line
        stamp = text[:STAMP_BYTES]
        if not self.mark_found:
            if stamp == self._stamp:
                self.mark_found = True
                return False
            # The mark is the first line with so high a stamp, so this line was before it.
            if stamp <= max(self._stamp, self._top):
                return False
            self.give_up_search()
        self._passed[stream] += 1
        unread = self._passed[stream] > self._read[stream]
        if unread:
            self._read[stream] = self._passed[stream]
        if self._becomes_mark(stamp):
            self._move_mark(text)
        return unread

    def _becomes_mark(self, stamp: bytes) -> bool:
        return stamp > self._stamp or (bool(stamp) and _was_set_back(self._stamp, stamp))

    def _move_mark(self, text: bytes) -> None:
        stamp = checked_stamp(text)
        top = max(self._top, self._stamp)
        self._top = top if top > stamp else b""
        self._stamp = stamp
        # Lines that were read beyond this one stay read; in the steady state there are none.
        self._read = [max(0, read - passed) for read, passed in zip(self._read, self._passed, strict=True)]
        self._passed = [0, 0, 0]


def _was_set_back(mark: bytes, stamp: bytes) -> bool:
    """Return whether the clock was set back between these two."""
    return (
        stamp < mark and stamp[:19] != mark[:19] and unix_seconds(stamp) < unix_seconds(mark) - MAX_DISORDER_S
    )


class UnreadBatch(NamedTuple):
    """Lines of one stream that were not read before."""

    stream: int
    lines: list[bytes]
    # Holds once these lines count.
    cursor: DockerCursor


class UnreadLines:
    """The bytes of one connection -> each stream's unread lines, with the cursor that holds once they count."""

    def __init__(
        self,
        cursor: DockerCursor,
        *,
        headless: Mapping[int, bytes] | None = None,
    ) -> None:
        """`headless`: as `DockerCursor.headless`, where the bytes do not begin at the cursor's start."""
        self._headless = cursor.headless(cursor.start) if headless is None else headless
        # Known from the first byte on.
        self._decoder: LineDecoder | None = None
        self._cursor = cursor
        self._tracker = CursorTracker(cursor)

    def feed(self, data: bytes) -> list[UnreadBatch]:
        """Return what is unread of these bytes, stdout before stderr. Raises ProtocolError."""
        return self.unread(self.whole(data))

    def whole(self, data: bytes) -> list[Line]:
        """Return the lines that are complete by now, read before or not. Raises ProtocolError."""
        if not data:
            return []
        if self._decoder is None:
            self._decoder = decoder_of(data, self._headless)
        return self._decoder.feed(data)

    @property
    def is_inside_frame(self) -> bool:
        """Whether a frame began that has not ended."""
        return self._decoder is not None and self._decoder.is_inside_frame

    def unread(self, lines: list[Line]) -> list[UnreadBatch]:
        """Return what is unread of these lines, without those that must not be seen."""
        return self.batches(self.unread_lines(lines))

    def unread_lines(self, lines: list[Line]) -> list[Line]:
        """Return which of these lines are unread, in order; from now on they are read."""
        return self._tracker.unread(lines)

    def batches(self, unread: list[Line]) -> list[UnreadBatch]:
        """Return the batches of the unread lines that were returned last."""
        if not unread:
            return []
        streams: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}
        for stream, text in unread:
            streams[stream].append(text)
        before, self._cursor = self._cursor, self._tracker.cursor(self._unfinished)
        cursors = [self._cursor]
        if streams[STDOUT] and streams[STDERR]:
            # The lines of stdout may count while those of stderr do not yet.
            cursors.insert(0, replace(before, out=before.out + len(streams[STDOUT])))
        found = ((stream, texts) for stream, texts in streams.items() if texts)
        return [
            UnreadBatch(stream, [*filter(None, texts)], cursor)
            for (stream, texts), cursor in zip(found, cursors, strict=True)
        ]

    def raise_failure(self) -> None:
        """Raise LogReadError if the Engine has failed to read what follows the lines that came."""
        if self._decoder and (failure := self._decoder.failure):
            raise failure

    @property
    def _unfinished(self) -> Mapping[int, bytes]:
        return self._decoder.unfinished if self._decoder else self._headless

    def resume(self, cursor: DockerCursor) -> None:
        """Go on where another connection has read up to."""
        self._cursor, self._tracker = cursor, CursorTracker(cursor)

    def give_up_search(self) -> None:
        """Take what comes as unread, if the line that was read last was not found yet."""
        self._tracker.give_up_search()

    @property
    def mark_found(self) -> bool:
        """Whether the line that was read last came, or a later one."""
        return self._tracker.mark_found

    @property
    def gap(self) -> bool:
        """Whether the line that was read last is no longer in the log."""
        return self._tracker.gap

    def take_gap(self) -> bool:
        """Return whether there was a gap since the last call."""
        gap, self._tracker.gap = self._tracker.gap, False
        return gap

    def take_truncated(self) -> int:
        """Return how many lines were too long since the last call."""
        if self._decoder is None:
            return 0
        truncated, self._decoder.truncated = self._decoder.truncated, 0
        return truncated
