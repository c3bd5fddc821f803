"""One container's log, endless, though the files behind it are renamed, gzipped and removed, and others begun."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sidecar.core.events import Batch, Cursor, Framing, Origin
from sidecar.filters.framing import unwrapper
from sidecar.sources.base import MAX_LINE_BYTES, Emit, LogListener, Report
from sidecar.sources.files.cri_lines import STREAMS, Parts, as_cri, lines_in
from sidecar.sources.files.segments import Opened, Piece, opened, pieces
from sidecar.sources.files.source import FIRST_SIGHT, NOWHERE, Place, reopened, show

log = logging.getLogger(__name__)

READ: Final = 256 * 1024  # bytes at once: some 1,200 lines, so that what a batch costs is little for each
LITTLE: Final = (
    64 * 1024
)  # the same where most lines are failures: 256 batches may wait for the loop, each with its hits
MANY: Final = (
    0.002  # seconds of the processor for one batch that tell so; of 1,200 lines without any it takes 0.3 ms
)
SETTLE: Final = (
    0.5  # seconds without a line until a file counts as left: containerd swaps one stream, then the other
)
REST: Final = 10.0  # seconds until a bad disk is asked again: it takes long to say no, and all others wait
TRIES: Final = 2  # at a file that its writer has left, on a bad disk; what came after it matters more then
BAD: Final = (errno.EIO, errno.EBADMSG, errno.EUCLEAN)  # what file systems say of a bad disk
LOOKS: Final = 20  # at a folder in which files are being renamed
PACKED: Final = 10  # times its size is about what a gzipped log holds


@dataclass(frozen=True, slots=True)
class Telling:
    """Whom the logs tell."""

    emit: Emit
    listener: LogListener
    problem: Report
    source: str


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a log was handed on: a place at which no line was begun, and what came after it all the same."""

    place: Place = NOWHERE
    handed: Mapping[str, int] = field(default_factory=dict)  # by stream: whole lines since
    torn: frozenset[str] = frozenset()  # streams whose next line, from there on, may be the rest of one
    life: int = 0  # of the container, that the place is of

    def encode(self) -> bytes:
        place, torn = self.place, sum(1 << at for at, stream in enumerate(STREAMS) if stream in self.torn)
        out, err = (self.handed.get(stream, 0) for stream in STREAMS)
        return b"1 %d %d %d %d %d %d %d %d" % (
            place.inode, place.offset, place.size, place.crc, out, err, torn, self.life,
        )  # fmt: skip

    @classmethod
    def decode(cls, text: bytes) -> Mark:
        """Nowhere, if it is none of ours."""
        try:
            version, inode, offset, size, crc, out, err, torn, life = map(int, text.split(b" "))
        except (ValueError, TypeError):
            return cls()
        if version != 1:
            return cls()
        handed = {stream: count for stream, count in zip(STREAMS, (out, err), strict=True) if count}
        streams = (stream for at, stream in enumerate(STREAMS) if torn & 1 << at)
        return cls(Place(inode, offset, size, crc), handed, frozenset(streams), life)


class Log:
    """One container's log."""

    def __init__(
        self,
        key: str,
        folder: str,
        telling: Telling,
        mark: Mark,
        *,
        since: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.key, self.name = key, ""
        self.renamed = True  # may files have been renamed or begun since we looked?
        self.settling = False  # does the next file wait for this one to be left?
        self.folder, self._telling, self._since, self._clock = folder, telling, since, clock
        self._mark = mark  # what was handed on
        self._file: Opened | None = None
        self._life = 0  # of the container, that the file is of
        self._place, self._end = mark.place, 0  # what was read
        self._anchor = mark  # where no line was begun
        self._parts = Parts(mark.torn, mark.handed)  # of what came since
        self._most = READ  # bytes to be read at once
        self._searched = 0  # up to where the end of a line that is too long was looked for
        self._carried = False  # is the anchor in the file before?
        self._due: deque[tuple[str, bytes, int, Mark]] = deque()  # what was read and is to be handed on
        self._origins: dict[str, Origin] = {}
        self._wrong = self._unreadable = ""
        self._up = False  # it was told that it is read
        self._rests = -math.inf  # since when it could not be read
        self._failed = NOWHERE, 0  # so often, on from this place, the disk was bad
        self._alien = False

    @property
    def cursor(self) -> bytes:
        return self._mark.encode() if self._mark.place != NOWHERE else b""

    def call(self, name: str, jails: tuple[str, ...], unreadable: str = "") -> None:
        """From now on it has this name, and these look at it; `unreadable`: a sentence why nobody can."""
        if name != self.name:
            self.forget()
            self.name, self._up = name, False
        self._origins = {stream: Origin(self._telling.source, name, stream, jails) for stream in STREAMS}
        if unreadable != self._unreadable:
            self._unreadable, self._up = unreadable, False
            self._tell(unreadable, critical=False)
            if unreadable:
                self._telling.listener.log_unreadable(name)

    @property
    def _failures(self) -> int:
        place, times = self._failed
        return times if place == self._mark.place else 0

    def elsewhere(self) -> set[str]:
        """The folders that links in ours point to."""
        try:
            links = [entry.path for entry in os.scandir(self.folder) if entry.is_symlink()]
        except OSError:
            return set()
        return {os.path.dirname(os.path.realpath(link)) for link in links}  # noqa: PTH120

    def step(self) -> bool:
        """Read a little. False: there is nothing for now."""
        if self._due:
            self._emit()
            return True
        if self._unreadable or 0 <= self._clock() - self._rests < REST:
            return False
        try:
            more = self._step()
        except OSError as err:
            if err.errno != errno.ENOENT or (self._file and self._file.packed):
                self.close()
            if err.errno != errno.ENOENT or os.path.islink(err.filename or ""):  # noqa: PTH114
                self._fail(_sentence(self.name, err))
            if err.errno not in (errno.ENOENT, errno.ESTALE):
                self._rests, self.renamed = self._clock(), True  # all is looked at anew
            if err.errno in BAD and err.filename != self.folder:
                self._failed = self._mark.place, self._failures + 1
            return False  # renamed, packed or removed since we looked, or not packed to its end
        if self._file and not more:  # only at the end of what there is to read, it is known to be right again
            self._failed = NOWHERE, 0
            self._tell("", critical=False)
            self._show(up=True)
        return more

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
            self._show(up=False)
        self._due.clear()
        self._anchor, self._carried = self._mark, False
        self._parts = Parts(self._mark.torn, self._mark.handed)

    def forget(self) -> None:
        """It is not known by this name any more."""
        if self.name:
            self._tell("")
            self._telling.listener.log_removed(self.name)

    def _step(self) -> bool:
        file = self._file or self._open()
        if not file:
            return False
        if not file.packed and not file.has(self._place, self._end):
            self._parts = Parts(self._parts.begun)
            self._begin(file, Place(file.status.st_ino), "truncated")
        return self._more(file) or (self.renamed and self._moved_on(file))

    def _open(self) -> Opened | None:
        """The file that was read last, or the one to begin with."""
        found = pieces(self.folder)
        if not found:
            return None
        new = self._mark.place == NOWHERE
        seen = _identities(found)
        file = self._first_sight(found) if new else self._known(found)
        if not file and seen != _identities(pieces(self.folder)):
            return None  # somebody renames and packs while we look
        file = file or self._gap(found)
        if not self._wrong:
            self._show(up=True)
        return file

    def _first_sight(self, found: Sequence[Piece]) -> Opened:
        """The oldest file that matters, and in it the first line within reach."""
        at = found.index(_first(found, self._since)) + self._failures // TRIES
        first = found[min(at, len(found) - 1)]
        file = opened(first)
        with _closed_if_wrong(file):
            offset = 0 if first.packed else max(0, file.status.st_size - FIRST_SIGHT)
            while offset and (chunk := file.read(offset - 1, READ)):
                newline = chunk.find(b"\n")
                offset += newline if newline >= 0 else len(chunk)
                if newline >= 0:
                    break
            place = file.after(Place(file.status.st_ino), offset)
        self._life, self._parts = first.life, Parts(STREAMS if offset else ())
        self._begin(file, place)
        return file

    def _known(self, found: Sequence[Piece]) -> Opened | None:
        """The file of our mark, under whatever name, packed or not; the next, where the disk has lost its rest."""
        wrong = None
        for at, piece in enumerate(found, 1):
            try:
                file = opened(piece)
                with _closed_if_wrong(file):
                    ours = file.has(self._mark.place)
            except OSError as err:
                wrong = wrong or err  # it may be that one
                continue
            if ours and self._failures >= TRIES and found[at:]:
                file.close()
                return self._gap(found[at:])
            if ours:
                self._life = piece.life
                self._begin(file, self._mark.place)
                return file
            file.close()
        if wrong:
            raise wrong
        return None

    def _gap(self, found: Sequence[Piece]) -> Opened:
        """What was read last is no longer there: the oldest go first, but for those of the life before."""
        oldest = next((piece for piece in found if piece.life >= self._mark.life), found[-1])
        file = opened(oldest)
        self._life, self._parts = oldest.life, Parts(() if oldest.age == math.inf else STREAMS)
        self._begin(file, Place(file.status.st_ino), "gap")
        return file

    def _begin(self, file: Opened, place: Place, why: str = "") -> None:
        self._file, self._place, self._end, self._searched = file, place, place.offset, 0
        if not self._parts.begun:
            handed = self._anchor.handed if place == self._anchor.place else {}
            self._anchor = Mark(place, handed, frozenset(self._parts.torn), self._life)
        if why:
            log.info("%s: %s", self.name, why)
            reopened(self._telling.listener, self.name, why)
        if why == "gap":  # told once: there is nothing to wait for
            for sentence in (_GAP.format(self.name), ""):
                self._tell(sentence, critical=False)

    def _more(self, file: Opened) -> bool:
        """Hand on the next lines of the file that is open."""
        chunk = file.read(self._end, self._most)
        if len(chunk) == self._most < READ and b"\n" not in chunk:
            chunk = file.read(self._end, READ)
        size = chunk.rfind(b"\n") + 1
        if size:
            self._take(file, *self._clean(chunk if size == len(chunk) else chunk[:size]))
        elif len(chunk) == READ:
            return self._search(file, chunk[: MAX_LINE_BYTES - 1] + b"\n")
        return bool(size)

    def _clean(self, raw: bytes) -> tuple[bytes, int]:
        """CRI's lines, up to the last at which no line is begun; and how many bytes of the file they are.

        What is left begins the next reading, so that a mark is seldom far behind.
        """
        data = as_cri(raw) if raw.startswith(b"{") else raw
        clean = self._parts.clean(data)
        if clean in (0, len(data)):
            return data, len(raw)
        lines = lines_in(data[:clean])
        return data[:clean], len(raw) - len(raw.split(b"\n", lines)[lines])

    def _search(self, file: Opened, line: bytes) -> bool:
        """Look for the end of a line that is too long, of which this is what is looked at."""
        self._searched = max(self._searched, self._end + READ)
        chunk = file.read(self._searched, READ)
        newline = chunk.find(b"\n")
        if newline < 0:
            self._searched += len(chunk)
            return bool(chunk)
        self._parts.cut += 1
        self._take(file, line, self._searched + newline + 1 - self._end)
        return True

    def _take(self, file: Opened, data: bytes, size: int) -> None:
        """CRI's lines, so many bytes of the file -> batches to hand on, each with its mark."""
        parts, anchor = self._parts, self._anchor
        sofar = Counter(parts.handed) if parts.begun else Counter()
        sofar |= Counter(anchor.handed)  # those that a former run handed on
        made = parts.feed(data)
        self._end += size
        self._place = file.after(self._place, self._end)
        if not self._carried:  # more of the file's beginning may be known by now
            known = self._place
            anchor = self._anchor = replace(
                anchor, place=Place(known.inode, anchor.place.offset, known.size, known.crc)
            )
        if not parts.begun:
            self._anchor = Mark(self._place, parts.left_out, frozenset(parts.torn), self._life)
            self._carried = False
        for at, (stream, lines, count) in enumerate(made, 1):
            sofar |= Counter({stream: parts.handed[stream]})
            clean = at == len(made) and not parts.begun
            mark = self._anchor if clean else replace(anchor, handed=dict(sofar))
            self._due.append((stream, lines, count, mark))
        self._complain()

    def _emit(self) -> None:
        """Hand on one batch. The mark goes first: what a batch breaks must not be read for ever."""
        stream, lines, count, self._mark = self._due.popleft()
        origin, listener = self._origins[stream], self._telling.listener
        listener.batch_read(origin, count, len(lines), _seconds(lines))
        began = time.thread_time()
        self._telling.emit(Batch(origin, lines, Framing.CRI), Cursor(self.key, self._mark.encode()))
        self._most = LITTLE if time.thread_time() - began > MANY else READ

    def _complain(self) -> None:
        parts = self._parts
        if parts.cut:
            self._telling.listener.lines_truncated(self.name, parts.cut)
            parts.cut = 0
        if parts.alien and not self._alien:
            self._alien = True
            log.warning(
                "the log of %s has lines that no container runtime writes; they are left out", self.name
            )

    def _moved_on(self, file: Opened) -> bool:
        """Go on to the next file, once the writer did and this one is read to its end."""
        self.renamed = False
        later, lost = self._later(file)
        self.settling = bool(later) and not self._is_left(file, later)
        if not later or self.settling:
            return False
        if self._more(file):  # written between the last look and the renaming
            self.renamed = True
            return True
        following = opened(later[0])
        file.close()
        self._carry(dead=later[0].life != self._life)
        self._life, self.renamed = later[0].life, True
        self._begin(following, Place(following.status.st_ino), "gap" if lost else "rotated")
        return True

    def _carry(self, *, dead: bool) -> None:
        """A line that is begun goes on in the next file, unless its writer is dead.

        In the one after it is given up: its beginning has to be read again after a restart, and may be gone by then.
        """
        if dead:
            self._parts.end()
        elif self._carried:
            self._parts.tear()
        self._carried = bool(self._parts.begun)

    def _later(self, file: Opened) -> tuple[Sequence[Piece], bool]:
        """The pieces after the one that is open; and whether others may have been removed before them."""
        for _ in range(LOOKS):
            found = pieces(self.folder)
            seen = _identities(found)
            if (later := self._after(file, found)) is not None:
                return later, False
            if seen == _identities(pieces(self.folder)):
                break
        else:
            self.renamed = True  # somebody renames and packs while we look
            return (), False
        # It was removed, and as the oldest go first, those that are left came later. With max-file=1 Docker removes
        # each at its rotation, so that there nobody knows whether another came between.
        later = [piece for piece in found if piece.life >= self._life]
        return later, bool(later) and later[0].age != 0

    def _after(self, file: Opened, found: Sequence[Piece]) -> Sequence[Piece] | None:
        """The pieces after the one that is open; None: it is not among them."""
        ours = file.status
        for at, piece in enumerate(found):
            status = _status(piece)
            if status and (status.st_dev, status.st_ino) == (ours.st_dev, ours.st_ino):
                self._life = piece.life
                return found[at + 1 :]
        for at, piece in enumerate(found):
            if piece.packed and _is(piece, self._place):
                return found[at + 1 :]
        return None

    def _is_left(self, file: Opened, later: Sequence[Piece]) -> bool:
        """Does nobody write to the open file any more?"""
        if len(later) > 1 or file.packed:
            return True
        status = _status(later[0])
        return bool(status and status.st_size) and abs(self._clock() - file.status.st_mtime) > SETTLE

    def _fail(self, sentence: str) -> None:
        """Tell that it cannot be read."""
        if sentence != self._wrong:
            self._tell(sentence)
            self._up = False
            self._telling.listener.log_unreadable(self.name)

    def _show(self, *, up: bool) -> None:
        if up != self._up:
            self._up = up
            show(self._telling.listener, self.name, up=up)

    def _tell(self, sentence: str, *, critical: bool = True) -> None:
        """What is wrong with it; "": nothing (any more)."""
        if sentence != self._wrong:
            self._wrong = sentence
            if sentence:
                log.warning("%s", sentence)
            self._telling.problem(f"log {self.name}", sentence or None, critical=critical)


_GAP: Final = (
    "the log of {} no longer has what was read last: lines may have been rotated away unread, and do not count. "
    "Give logs larger files, or more (kubelet: containerLogMaxSize, containerLogMaxFiles; Docker: max-size, max-file)"
)


def _first(found: Sequence[Piece], since: float) -> Piece:
    """The oldest that was written to since then, and within FIRST_SIGHT of the end."""
    first, size = found[-1], 0
    for piece in reversed(found):
        status = _status(piece)
        if not status or status.st_mtime < since or size > FIRST_SIGHT:
            break
        first, size = piece, size + status.st_size * (PACKED if piece.packed else 1)
    return first


def _identities(found: Iterable[Piece]) -> dict[str, object]:
    """Which files stand under which names. It equals another look's only if nothing was renamed or removed between."""
    looked = ((piece.path, _status(piece)) for piece in found)
    return {path: (status.st_dev, status.st_ino) if status else object() for path, status in looked}


def _status(piece: Piece) -> os.stat_result | None:
    try:
        return os.stat(piece.path)  # noqa: PTH116
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _closed_if_wrong(file: Opened) -> Iterator[None]:
    try:
        yield
    except BaseException:
        file.close()
        raise


def _is(piece: Piece, place: Place) -> bool:
    with contextlib.closing(opened(piece)) as file:
        return file.has(place)


def _seconds(lines: bytes) -> float | None:
    """The time of the last line (unix seconds)."""
    last = lines[lines.rfind(b"\n", 0, len(lines) - 1) + 1 :]
    return unwrapper(Framing.CRI)(last[:64].decode(errors="replace"), 0.0, None)[0]


def _sentence(name: str, err: OSError) -> str:
    path = err.filename or "its file"
    if err.errno == errno.ENOENT:
        target = os.path.realpath(path)
        return (
            f"the log of {name} cannot be read: {path} points to {target}, which is not here. "
            "Mount that folder, too, read-only"
        )
    if err.errno in (errno.EACCES, errno.EPERM):
        return (
            f"the log of {name} cannot be read ({path}: {err.strerror}). Run as uid 0; where SELinux is on, as a "
            "type that may read containers' logs (seLinuxOptions: type container_logreader_t, or spc_t)"
        )
    why = "; raise the limit nofile" if err.errno == errno.EMFILE else ""
    return f"the log of {name} cannot be read ({path}: {err.strerror or err}{why}): until it can, no line of it counts"
