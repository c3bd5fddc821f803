"""The Engine's log: HTTP chunks -> frames -> whole lines -> those not read before. Bytes in, lines out."""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from sidecar.sources.base import MAX_LINE_BYTES

STAMP = len("2026-11-22T08:40:04.123456789Z")  # always nine digits and UTC, so stamps compare as bytes
TEXT = STAMP + 1  # where a line's text begins
PART = 16 * 1024  # Docker's copier cuts there; only drivers with a buffer of their own cut later
LARGEST = 4 * 1024 * 1024  # a frame is a part of a line; the largest that a driver makes is 1 MB (plugins)
STEP = 2.0  # seconds of disorder between stdout and stderr; more than that, and the clock was set back
RECENT = 32 * 1024  # lines among which one is looked for that came twice: what 16,000 a second write in 2 s
HELD = 60  # seconds that an unfinished line may hold back where reading starts anew
OUT, ERR, BROKEN = 1, 2, 3

Line: TypeAlias = tuple[int, bytes]  # stream, `stamp text\n`


class Broken(Exception):  # noqa: N818
    """The Engine says that it failed, or what it never says: open the log anew."""


class Chunks:
    """HTTP's chunked body -> the body.

    The Engine sends every line as a chunk of its own; http.client would need a call for each.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in whole chunks so far; the rest waits."""
        buffer = self._rest + data if self._rest else data
        found, at, size = [], 0, len(buffer)
        while (head := buffer.find(b"\r\n", at)) >= 0:
            begin = head + 2
            try:
                end = begin + int(buffer[at:head], 16)
            except ValueError:
                end = begin + _length(buffer[at:head])
            if end == begin:
                self.ended = True
                break
            if end + 2 > size:
                break
            found.append(buffer[begin:end])
            at = end + 2
        self._rest = buffer[at:]
        return b"".join(found)


def _length(head: bytes) -> int:
    """Of a chunk with an extension, which nobody uses. Raises Broken."""
    try:
        return int(head.partition(b";")[0], 16)
    except ValueError:
        raise Broken(f"not an HTTP chunk: {head[:20]!r}") from None


class Frames:
    """The Engine's frames (stream, three zeros, length, payload) -> (stream, payload)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Line]:
        """Whole frames so far; the rest waits."""
        buffer = self._rest + data if self._rest else data
        found: list[Line] = []
        at, size, head = 0, len(buffer), _HEAD
        while size - at >= 8:
            stream, length = head(buffer, at)
            end = at + 8 + length
            if end > size:
                if length > LARGEST:
                    raise Broken(f"a frame of {length} bytes; is this the Docker Engine?")
                break
            found.append((stream, buffer[at + 8 : end]))
            at = end
        self._rest = buffer[at:]
        return found


_HEAD = struct.Struct(">BxxxL").unpack_from


@dataclass(slots=True)
class _Part:
    """A line whose end has not come yet."""

    stamp: bytes
    text: bytearray = field(default_factory=bytearray)
    last: int = 0  # length of the last part
    lost: bool = False  # its beginning was never seen

    def continued_by(self, stamp: bytes) -> bool:
        """Is the next frame the rest of this line? No: its writer died in the middle, and a new one began.

        All parts carry the first one's stamp; with the journald driver, each its own. A full part is always
        continued: what follows it is text that an attacker chose, and no line.
        """
        return stamp == self.stamp or self.last >= PART


class Lines:
    """Frames -> whole lines. What Docker cut at 16 KiB is joined; a part is never a line."""

    def __init__(self, lost: Mapping[int, bytes] | None = None) -> None:
        """`lost`: stamps of lines, by stream, whose beginning will not come again."""
        self.cut = 0  # lines that were too long
        self._open = {stream: _Part(stamp, lost=True) for stream, stamp in (lost or {}).items()}

    @property
    def open(self) -> dict[int, bytes]:
        """The stamps of unfinished lines, by stream."""
        return {stream: part.stamp for stream, part in self._open.items()}

    def feed(self, frames: list[Line]) -> list[Line]:
        """The lines that are now whole. One that must not be seen comes as no bytes: it counts as a line."""
        whole: list[Line] = []
        held = self._open
        for frame in frames:
            stream, payload = frame
            if (
                payload[-1:] == b"\n"
                and len(payload) <= MAX_LINE_BYTES
                and stream not in held
                and 0 < stream < 3
            ):
                whole.append(frame)
            else:
                whole += self._join(stream, payload)
        return whole

    def _join(self, stream: int, payload: bytes) -> list[Line]:
        if stream not in (OUT, ERR):
            raise Broken(
                payload[:200].decode(errors="replace").strip() if stream == BROKEN else f"stream {stream}"
            )
        stamp, text = _stamped(payload), payload[TEXT:]
        part = self._open.get(stream)
        further = part is not None and part.continued_by(stamp)
        if part is None or not further:
            part = self._open[stream] = _Part(stamp)
        part.last = len(text)
        if text[-1:] != b"\n" and further and len(text) < PART:
            text += b"\n"  # the last part: the local driver of Docker 20.10 leaves the newline out
        if len(part.text) <= MAX_LINE_BYTES:  # one byte more tells that it is too long
            part.text += text[: MAX_LINE_BYTES + 1]
        if text[-1:] != b"\n":
            return []
        del self._open[stream]
        return [(stream, self._whole(part))]

    def _whole(self, part: _Part) -> bytes:
        if part.lost:
            return b""
        line = part.stamp + b" " + part.text
        if len(line) > MAX_LINE_BYTES:
            self.cut += 1
            line = line[: MAX_LINE_BYTES - 1] + b"\n"
        return line


class Terminal:
    """A TTY container's log -> whole lines: it has no frames, one stream, and CRLF at the ends."""

    def __init__(self) -> None:
        self.cut = 0
        self._rest = b""

    @property
    def open(self) -> dict[int, bytes]:
        """The stamp of the unfinished line, if there is enough of it."""
        return {OUT: _stamped(self._rest)} if len(self._rest) >= TEXT else {}

    def feed(self, data: bytes) -> list[Line]:
        """The lines that are now whole."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = [(OUT, self._line(line)) for line in whole]
        if len(self._rest) > 2 * MAX_LINE_BYTES:  # twice, so that the parts' stamps in between do not count
            self._rest = self._rest[: 2 * MAX_LINE_BYTES]
        return lines

    def _line(self, line: bytes) -> bytes:
        """Without the stamps that stand where Docker cut; only their place tells them from text."""
        text = line[TEXT:]
        if len(text) > PART:
            parts = [
                text[:PART],
                *(text[at + TEXT : at + TEXT + PART] for at in range(PART, len(text), TEXT + PART)),
            ]
            text = b"".join(parts)
        line = line[:TEXT] + text.removesuffix(b"\r") + b"\n"
        if len(line) > MAX_LINE_BYTES:
            self.cut += 1
            line = line[: MAX_LINE_BYTES - 1] + b"\n"
        return line


class Repeats:
    """Takes out the lines that Docker before 23 sends again when a log's file is rotated under its reader.

    It may open the new file twice, and then sends what is in it from the start.
    """

    def __init__(self) -> None:
        self._last = {OUT: b"", ERR: b""}  # stamps; on these engines each line of a stream has a later one
        self._recent = array("q")  # hashes of lines

    def without(self, lines: list[Line]) -> list[Line]:
        """Those that are not sent again. Of a clock that was set back all are kept."""
        last, known = self._last, set[int]()
        kept: list[Line] = []
        for line in lines:
            stream, text = line
            stamp = text[:STAMP]
            if stamp <= last[stream] and text:
                known = known or {*self._recent, *map(hash, kept)}
                if hash(line) in known:
                    continue
                known.add(hash(line))
            last[stream] = stamp or last[stream]
            kept.append(line)
        self._recent.extend(map(hash, kept))
        if len(self._recent) > 2 * RECENT:
            del self._recent[:-RECENT]
        return kept


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a container's log was read, in the order in which the log holds its lines; of constant size.

    The mark is the line at `stamp`; so many lines of each stream were read after it. It is the first line in
    the log with a stamp so high (since the clock was last set back), so it is found again whatever
    came before. Reading anew starts a little earlier and drops lines up to here: exact, though stamps of
    stdout and stderr are not in order, some are equal, and whole lines may be equal.
    """

    since: int  # unix seconds; where to start as long as no line is known
    stamp: bytes = b""
    out: int = 0  # lines of stdout read after that line
    err: int = 0
    top: bytes = b""  # the highest stamp before the clock was set back, until it is passed again
    open_out: bytes = b""  # the stamp of an unfinished line
    open_err: bytes = b""

    def encode(self) -> bytes:
        """As one short text; every batch carries one."""
        fields = (b"%d" % self.since, self.stamp, b"%d" % self.out, b"%d" % self.err)
        return b" ".join((b"1", *fields, self.top, self.open_out, self.open_err))

    @classmethod
    def decode(cls, text: bytes) -> Bookmark:
        """Raises ValueError where it is none of ours."""
        version, since, stamp, out, err, top, open_out, open_err = text.split(b" ")
        if version != b"1":
            raise ValueError(f"a cursor of another version: {text[:40]!r}")
        return cls(int(since), stamp, int(out), int(err), top, open_out, open_err)

    def start(self) -> int:
        """What to ask the Engine for as `since`: nothing unread is before it.

        Engines before 24 leave out every line older than that, later ones only those before the first match.
        """
        if not self.stamp:
            return self.since
        mark = seconds(self.stamp)
        held = [seconds(stamp) for stamp in (self.open_out, self.open_err) if stamp]
        return int(min([mark, *(at for at in held if at >= mark - HELD)]) - STEP) - 1

    def lost(self) -> dict[int, bytes]:
        """The unfinished lines, by stream, that begin before `start()`: their ends are no lines."""
        held = ((OUT, self.open_out), (ERR, self.open_err))
        return {stream: stamp for stream, stamp in held if stamp and seconds(stamp) < self.start()}


class Position:
    """Tells the lines that were not read before from those that are read again, and keeps the bookmark."""

    def __init__(self, bookmark: Bookmark) -> None:
        self._since = bookmark.since
        self._stamp, self._top = bookmark.stamp, bookmark.top
        self._seen = [0, bookmark.out, bookmark.err]  # lines after the mark that were read, by stream
        self._passed = [0, 0, 0]  # lines after the mark that came by on this connection
        self.found = not bookmark.stamp  # the mark came by, or there is none
        self.gap = False  # the mark is gone from the log

    def bookmark(self, held: Mapping[int, bytes]) -> Bookmark:
        """Where we are. `held`: the stamps of unfinished lines."""
        _, out, err = self._seen
        begun = held.get(OUT, b""), held.get(ERR, b"")
        return Bookmark(self._since, self._stamp, out, err, self._top, *begun)

    def fresh(self, lines: list[Line]) -> list[Line]:
        """Those not read before; from now on they are."""
        if self.found and self._passed == self._seen:
            self._advance(lines)
            return lines
        return [line for line in lines if self._is_fresh(line)]

    def give_up(self) -> None:
        """The mark does not come: take what comes as unread."""
        self.found = self.gap = True
        self._stamp, self._top = b"", b""
        self._seen, self._passed = [0, 0, 0], [0, 0, 0]

    def _advance(self, lines: Sequence[Line]) -> None:
        """All of them are new: the mark becomes the first with the highest stamp."""
        if not lines:
            return
        stamps = [text[:STAMP] for _, text in lines]
        highest = max(stamps)
        after = 0
        if highest > self._stamp:
            after = stamps.index(highest) + 1
            self._mark(lines[after - 1][1])
        for stream, text in lines[after:]:  # few, but after the clock was set back
            if self._is_mark(text[:STAMP]):
                self._mark(text)
            else:
                self._seen[stream] += 1
                self._passed[stream] += 1

    def _is_fresh(self, line: Line) -> bool:
        stream, text = line
        stamp = text[:STAMP]
        if not self.found:
            if stamp == self._stamp:
                self.found = True
                return False
            if stamp <= max(self._stamp, self._top):  # before the mark, which is the first so high
                return False
            self.give_up()
        self._passed[stream] += 1
        fresh = self._passed[stream] > self._seen[stream]
        if fresh:
            self._seen[stream] = self._passed[stream]
        if self._is_mark(stamp):
            self._mark(text)
        return fresh

    def _is_mark(self, stamp: bytes) -> bool:
        return stamp > self._stamp or (bool(stamp) and _set_back(self._stamp, stamp))

    def _mark(self, text: bytes) -> None:
        stamp = _stamped(text)
        top = max(self._top, self._stamp)
        self._top = top if top > stamp else b""
        self._stamp = stamp
        # What was read beyond this line stays read; in the steady state there is none.
        self._seen = [max(0, seen - passed) for seen, passed in zip(self._seen, self._passed, strict=True)]
        self._passed = [0, 0, 0]


def _set_back(mark: bytes, stamp: bytes) -> bool:
    """Was the clock set back between these two? Two streams' stamps may be a little out of order."""
    return stamp < mark and stamp[:19] != mark[:19] and seconds(stamp) < seconds(mark) - STEP


def _stamped(line: bytes) -> bytes:
    """The line's stamp. Raises Broken where it is not as Docker writes it: such do not compare."""
    if not _LINE(line):
        raise Broken(f"a line without Docker's timestamp: {line[:40]!r}")
    return line[:STAMP]


_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ").match


def seconds(stamp: bytes) -> float:
    """A stamp's unix time, in whole seconds. Raises ValueError where it is none."""
    return datetime.fromisoformat(stamp[:19].decode() + "+00:00").timestamp()


def joined(lines: Sequence[bytes]) -> bytes:
    """One batch's bytes.

    A newline inside a line (a log driver may let one through) becomes a space: what follows it would look
    like a line of its own.
    """
    data = b"".join(lines)
    if data.count(b"\n") > len(lines):
        data = b"".join(line[:-1].replace(b"\n", b" ") + b"\n" for line in lines if line)
    return data


class Reader:
    """One connection's bytes -> each stream's new lines, with the bookmark that holds once they count."""

    def __init__(self, bookmark: Bookmark, *, terminal: bool = False, repeats: bool = False) -> None:
        """`repeats`: the Engine sends some lines again."""
        self._repeats = Repeats() if repeats else None
        self._frames = None if terminal else Frames()
        self._terminal = Terminal()
        self._lines = Lines(bookmark.lost())
        self._last = bookmark
        self.position = Position(bookmark)

    def feed(self, data: bytes) -> list[tuple[int, list[bytes], Bookmark]]:
        """What is new, stdout before stderr. Lines that must not be seen are left out."""
        return self.fresh(self.whole(data))

    def whole(self, data: bytes) -> list[Line]:
        """The lines that are now whole, read before or not."""
        lines = self._lines.feed(self._frames.feed(data)) if self._frames else self._terminal.feed(data)
        return self._repeats.without(lines) if self._repeats else lines

    def resume(self, bookmark: Bookmark) -> None:
        """So far it was read by someone else."""
        self._last, self.position = bookmark, Position(bookmark)

    def fresh(self, lines: list[Line]) -> list[tuple[int, list[bytes], Bookmark]]:
        """What of these is new, as `feed` tells it."""
        fresh = self.position.fresh(lines)
        if not fresh:
            return []
        streams: dict[int, list[bytes]] = {OUT: [], ERR: []}
        for stream, text in fresh:
            streams[stream].append(text)
        before, self._last = self._last, self.position.bookmark(self._open)
        bookmarks = [self._last]
        if streams[OUT] and streams[ERR]:  # those of stdout may count while those of stderr do not yet
            bookmarks.insert(0, replace(before, out=before.out + len(streams[OUT])))
        found = ((stream, lines) for stream, lines in streams.items() if lines)
        return [
            (stream, [*filter(None, lines)], bookmark)
            for (stream, lines), bookmark in zip(found, bookmarks, strict=True)
        ]

    def take_cut(self) -> int:
        """How many lines were too long since the last call."""
        source = self._lines if self._frames else self._terminal
        cut, source.cut = source.cut, 0
        return cut

    @property
    def _open(self) -> dict[int, bytes]:
        return self._lines.open if self._frames else self._terminal.open
