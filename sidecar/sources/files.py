"""Follows log files by their path, through rotation and truncation, every line exactly once.

By looking now and then: inotify does not tell of files on overlays and networks, as containers have them.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import re
import stat
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from glob import escape, glob, has_magic
from pathlib import Path, PurePath

from sidecar.core.events import Batch, Cursor, Framing, Origin
from sidecar.sources import MAX_LINE, Emit, Silent, StreamListener, Trouble, untold

log = logging.getLogger(__name__)

READ = MAX_LINE  # so that only a line begun in the read before can be longer
EVERY = 0.2  # seconds between looks; each costs four system calls a file
LOOK = 10.0  # seconds between looking for files that a pattern did not match before
HEAD = 256  # bytes by which a file is known again: two lines, with their times
FIRST_SIGHT = 64 * 1024 * 1024  # read at first: half a million lines, more than any findtime on a usual site


class Files:
    """All files of the jails' `logpath`s, in one thread. A Service."""

    name = "files"

    def __init__(
        self,
        paths: Mapping[str, tuple[str, ...]],
        emit: Emit,
        *,
        cursors: Mapping[str, bytes],
        listener: StreamListener | None = None,
        trouble: Trouble = untold,
        framing: Framing = Framing.NONE,
        every: float = EVERY,
    ) -> None:
        """`paths`: the names of the jails that look at each path or pattern (`/var/log/*/error.log`)."""
        self._paths, self._cursors, self._every = dict(paths), dict(cursors), every
        self._telling = Telling(emit, listener or Silent(), trouble, framing)
        self._tails: dict[str, Tail] = {}
        self._looked = -math.inf
        self._closed = threading.Event()

    def run(self) -> None:
        """Block until closed."""
        try:
            while not self._closed.is_set():
                if time.monotonic() - self._looked >= LOOK:
                    self._looked = time.monotonic()
                    self._look()
                more = [tail.step() for tail in self._tails.values()]
                if not any(more):
                    self._closed.wait(self._every)
        finally:
            for tail in self._tails.values():
                tail.close()

    def rejail(self, paths: Mapping[str, tuple[str, ...]]) -> None:
        """These jails look at these paths, from the next look on, which is soon. Any thread may call this."""
        self._paths = dict(paths)
        self._looked = -math.inf

    def close(self) -> None:
        self._closed.set()

    def _look(self) -> None:
        """Begin with files that a pattern now matches; a plain path is waited for. End with those nobody looks at."""
        paths = self._paths
        found: dict[str, dict[str, None]] = {}
        for pattern, jails in paths.items():
            for path in sorted(glob(pattern)) if has_magic(pattern) else [pattern]:  # noqa: PTH207  absolute
                found.setdefault(path, {}).update(dict.fromkeys(jails))
        for path in found.keys() - self._tails.keys():
            cursor = self._cursors.pop(_key(path), b"")
            self._tails[path] = Tail(path, tuple(found[path]), self._telling, cursor)
        for path, looking in found.items():
            self._tails[path].rejail(tuple(looking))
        for path in [path for path in self._tails if not _meant(path, paths)]:
            tail = self._tails.pop(path)
            tail.forget()
            self._cursors[_key(path)] = tail.cursor  # so that nothing counts twice when it is looked at again


@dataclass(frozen=True, slots=True)
class Telling:
    """Whom a tail tells."""

    emit: Emit
    listener: StreamListener
    trouble: Trouble
    framing: Framing


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read. Its number alone does not tell it: a new file often gets an old one's."""

    inode: int
    offset: int = 0  # where the next line begins
    size: int = 0  # bytes of its beginning that `crc` is of
    crc: int = 0

    def encode(self) -> bytes:
        return b"1 %d %d %d %d" % (self.inode, self.offset, self.size, self.crc)

    @classmethod
    def decode(cls, text: bytes) -> Place:
        """Nowhere, if it is none of ours."""
        try:
            version, *fields = map(int, text.split(b" "))
            return cls(*fields) if version == 1 else NOWHERE
        except (ValueError, TypeError):
            return NOWHERE

    def is_in(self, fd: int, least: int = 0) -> bool:
        """Whether this is the file, and still as long as that."""
        status = os.fstat(fd)
        if self.inode != status.st_ino or max(self.offset, least) > status.st_size:
            return False
        return zlib.crc32(os.pread(fd, self.size, 0)) == self.crc

    def after(self, fd: int, offset: int) -> Place:
        """Further on in the same file, of which more of the beginning may be known."""
        if self.size == HEAD:
            return replace(self, offset=offset)
        head = os.pread(fd, min(HEAD, offset), 0)
        return Place(self.inode, offset, len(head), zlib.crc32(head))


NOWHERE = Place(0)


class Tail:
    """One path as one endless log, though the files behind it are renamed, truncated and replaced."""

    def __init__(self, path: str, jails: tuple[str, ...], telling: Telling, cursor: bytes = b"") -> None:
        self._path, self._telling = path, telling
        self._origin = Origin("file", _shown(path), "", jails)
        self._place = Place.decode(cursor)
        self._fd = -1
        self._end = 0  # up to where the file is in `_lines` or handed on
        self._lines = Lines()
        self._silent = False  # it was told that there is no file

    def step(self) -> bool:
        """Read a little. False: there is nothing for now."""
        if self._fd < 0:
            return self._open()
        if not self._place.is_in(self._fd, self._end):
            self._follow(self._fd, Place(self._place.inode), "truncated")
        return self._more() or self._moved_on()

    @property
    def cursor(self) -> bytes:
        """How far it was handed on; none where it never was found."""
        return self._place.encode() if self._place != NOWHERE else b""

    def rejail(self, jails: tuple[str, ...]) -> None:
        """These look at it from the next line on."""
        if jails != self._origin.jails:
            self._origin = replace(self._origin, jails=jails)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._telling.listener.following(self._origin.name, up=False)

    def forget(self) -> None:
        """Nobody looks at it any more."""
        self.close()
        if self._silent:
            self._telling.trouble(f"file {self._origin.name}", None)
        self._telling.listener.forget(self._origin.name)

    def _open(self) -> bool:
        """Open the file, or the one that was renamed while we were away and is not read to its end."""
        path, place = self._path, self._place
        try:
            fd = _regular(path)
        except OSError as err:
            self._wait(err)
            return False
        self._wait(None)
        self._telling.listener.following(self._origin.name, up=True)
        if place == NOWHERE:
            self._follow(fd, _first_sight(fd))
        elif place.is_in(fd):
            self._follow(fd, place)
        elif (old := _renamed(path, place)) >= 0:
            os.close(fd)
            self._follow(old, place)
        else:
            self._follow(fd, Place(os.fstat(fd).st_ino), "gap")
            self._tell_gap()
        return True

    def _follow(self, fd: int, place: Place, why: str = "") -> None:
        self._fd, self._place, self._end, self._lines = fd, place, place.offset, Lines()
        if why:
            log.info("%s: %s", self._origin.name, why)
            self._telling.listener.reconnected(self._origin.name, why)

    def _tell_gap(self) -> None:
        name = self._origin.name
        sentence = (
            f"the file that was read last as {name} is gone: lines of it may have been rotated away unread. "
            "Keep the last rotated file as it is (in logrotate: delaycompress)"
        )
        log.warning(sentence)
        self._telling.trouble(f"file {name}", sentence, grave=False)
        self._telling.trouble(f"file {name}", None)

    def _more(self) -> bool:
        """Hand on the next lines of the file that is open."""
        chunk = os.pread(self._fd, READ, self._end)
        self._end += len(chunk)
        data = self._lines.feed(chunk)
        if data:
            listener = self._telling.listener
            self._place = self._place.after(self._fd, self._end - self._lines.begun)
            listener.read(self._origin, data.count(b"\n"), len(data))
            if self._lines.cut:
                listener.overlong(self._origin.name, self._lines.cut)
                self._lines.cut = 0
            cursor = Cursor(_key(self._path), self._place.encode())
            self._telling.emit(Batch(self._origin, data, self._telling.framing), cursor)
        return bool(chunk)

    def _moved_on(self) -> bool:
        """Go on to the next file, once the writer did and this one is read to its end."""
        try:
            fd = _next(self._path, self._fd)
        except OSError:  # it was renamed as well, or may not be read: look again
            return False
        if fd < 0:
            return False
        if self._more():  # written between the last look and the renaming
            os.close(fd)
            return True
        os.close(self._fd)
        self._follow(fd, Place(os.fstat(fd).st_ino), "rotated")
        return True

    def _wait(self, err: OSError | None) -> None:
        """Tell once that there is no file, and once that there is."""
        name = self._origin.name
        if err and not self._silent:
            sentence = f"{name} cannot be read ({err.strerror or err}): until it can, no line of it counts"
            log.warning(sentence)
            self._telling.trouble(f"file {name}", sentence)
        elif not err and self._silent:
            log.info("%s is read now", name)
            self._telling.trouble(f"file {name}", None)
        self._silent = bool(err)


class Lines:
    """Chunks of at most MAX_LINE bytes -> whole lines."""

    def __init__(self) -> None:
        self.cut = 0  # lines that were too long
        self.begun = 0  # bytes of the line whose end has not come yet
        self._rest = b""  # as much of them as is worth keeping

    def feed(self, chunk: bytes) -> bytes:
        """The lines that are now whole."""
        whole, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            self.begun += len(rest)
            self._rest = (self._rest + rest)[: MAX_LINE + 1]  # one byte more tells that it is too long
            return b""
        data = self._rest + whole + newline
        self.begun, self._rest = len(rest), rest
        end = data.find(b"\n")
        if end >= MAX_LINE:
            self.cut += 1
            data = data[: MAX_LINE - 1] + data[end:]
        return data


def _meant(path: str, paths: Iterable[str]) -> bool:
    """Is this one of the paths, or of the files that a pattern matches, were it there?"""
    return any(path == each or (has_magic(each) and PurePath(path).match(each)) for each in paths)


def _shown(path: str) -> str:
    """The path as text: a byte that is none becomes its number (`xe9`, with a backslash)."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _key(path: str) -> str:
    """The cursor's. A path that is no text has a key of its own bytes, which no other path has."""
    return f"file:{path}" if _shown(path) == path else f"file={os.fsencode(path).hex()}"


def _regular(path: str) -> int:
    """The file, opened. Raises OSError, also for a pipe or a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe without a writer would block
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "it is no regular file")


def _first_sight(fd: int) -> Place:
    """Where to begin in a file never seen: at its start, or at the first line within reach of its end."""
    status = os.fstat(fd)
    offset = max(0, status.st_size - FIRST_SIGHT)
    while offset and (chunk := os.pread(fd, READ, offset - 1)):
        newline = chunk.find(b"\n")
        offset += newline if newline >= 0 else len(chunk)
        if newline >= 0:
            break
    return Place(status.st_ino).after(fd, offset)


def _renamed(path: str, place: Place) -> int:
    """The file that had this path, opened under its new name; -1: gone, or compressed."""
    for _, other in _rotated(path):
        with contextlib.suppress(OSError):
            fd = _regular(other)
            if place.is_in(fd):
                return fd
            os.close(fd)
    return -1


def _next(path: str, last: int) -> int:
    """The file that was begun after the last one, opened, if its writer has moved there; -1: not yet."""
    before = os.fstat(last)
    try:
        now = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        now = None
    if now and now.st_ino == before.st_ino:
        return -1
    for written, other in _rotated(path):  # renamed in the meantime
        if written > before.st_mtime_ns:
            return _regular(other)
    return _regular(path) if now and now.st_size else -1


def _rotated(path: str) -> list[tuple[int, str]]:
    """What rotation made of former files (`error.log.1`, `error.log-20261122`), the oldest first."""
    found = []
    for other in Path(path).parent.glob(f"{escape(Path(path).name)}[.-][0-9]*"):
        with contextlib.suppress(OSError):
            if _ROTATED(str(other), len(path)):
                found.append((other.stat().st_mtime_ns, str(other)))
    return sorted(found)


_ROTATED = re.compile(r"[.-]\d[\d.-]*").fullmatch  # compressed ones, copies and backups are not read
