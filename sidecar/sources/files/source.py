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
import resource
import stat
import sys
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from glob import escape, glob, has_magic
from pathlib import Path, PurePath

from sidecar.core.events import Batch, Cursor, Framing, Origin
from sidecar.sources.base import (
    MAX_LINE_BYTES,
    Emit,
    LogListener,
    NullLogListener,
    ReopenReason,
    Report,
    untold,
)

log = logging.getLogger(__name__)

READ = MAX_LINE_BYTES  # so that only a line begun in the read before can be longer
EVERY = 0.2  # seconds between looks; each costs four system calls a file
LOOK = (
    10.0  # seconds between looking for files that a pattern did not match before, and asking a bad disk again
)
SPARE = (
    4  # one of so many descriptors stays free: the CLI, the stores, the firewall and other sources need some
)
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
        listener: LogListener | None = None,
        problem: Report = untold,
        framing: Framing = Framing.NONE,
        every: float = EVERY,
    ) -> None:
        """`paths`: the names of the jails that look at each path or pattern (`/var/log/*/error.log`)."""
        self._paths, self._cursors, self._every = dict(paths), dict(cursors), every
        self._telling = Telling(emit, listener or NullLogListener(), problem, framing)
        self._tails: dict[str, Tail] = {}
        self._left: tuple[str, ...] = ()  # paths there are no descriptors for
        self._looked = -math.inf
        self._closed = threading.Event()

    def run(self) -> None:
        """Block until closed."""
        try:
            while not self._closed.is_set():
                if looking := time.monotonic() - self._looked >= LOOK:
                    self._looked = time.monotonic()
                    self._look()
                more = [tail.step() for tail in self._tails.values() if looking or not tail.resting]
                if not any(more):
                    self._closed.wait(self._every)
        finally:
            for tail in self._tails.values():
                tail.close()

    def reconfigure(self, paths: Mapping[str, tuple[str, ...]]) -> None:
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
        for path in [path for path in self._tails if not _meant(path, paths)]:
            tail = self._tails.pop(path)
            tail.forget()
            self._cursors[_key(path)] = tail.cursor  # so that nothing counts twice when it is looked at again
        new = [path for path in found if path not in self._tails]
        room = max(0, _most() - len(self._tails))
        for path in new[:room]:
            cursor = self._cursors.pop(_key(path), b"")
            self._tails[path] = Tail(path, tuple(found[path]), self._telling, cursor)
        for path in found.keys() & self._tails.keys():
            self._tails[path].reconfigure(tuple(found[path]))
        self._leave(tuple(new[room:]))

    def _leave(self, left: tuple[str, ...]) -> None:
        """Tell that there are no descriptors for these."""
        before, self._left = self._left, left
        if left == before:
            return
        for path in set(before) - set(left) - self._tails.keys():
            self._telling.listener.log_removed(_shown(path))
        for path in set(left) - set(before):
            self._telling.listener.log_unreadable(_shown(path))
        sentence = _too_many(left) if left else None
        if sentence:
            log.warning(sentence)
        self._telling.problem("nofile", sentence)


@dataclass(frozen=True, slots=True)
class Telling:
    """Whom a tail tells."""

    emit: Emit
    listener: LogListener
    problem: Report
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
        self.resting = False  # to be asked again seldom: a bad disk takes long to say no, and all others wait
        self._path, self._telling = path, telling
        self._origin = Origin("file", _shown(path), "", jails)
        self._place = Place.decode(cursor)
        self._fd = -1
        self._end = 0  # up to where the file is in `_lines` or handed on
        self._lines = Lines()
        self._wrong = ""  # what was told
        self._up = False  # it was told that it is read
        self._tried = NOWHERE  # where a renamed file was to be read on from

    def step(self) -> bool:
        """Read a little. False: there is nothing for now, or it cannot be read."""
        try:
            more = self._step()
        except OSError as err:
            self.close()
            self.resting = err.errno not in (errno.ENOENT, errno.ESTALE)  # those are soon said
            self._tell(_sentence(self._origin.name, err), there=err.errno != errno.ENOENT)
            return False
        self.resting = False
        return more

    @property
    def cursor(self) -> bytes:
        """How far it was handed on; none where it never was found."""
        return self._place.encode() if self._place != NOWHERE else b""

    def reconfigure(self, jails: tuple[str, ...]) -> None:
        """These look at it from the next line on."""
        if jails != self._origin.jails:
            self._origin = replace(self._origin, jails=jails)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._show(up=False)

    def forget(self) -> None:
        """Nobody looks at it any more."""
        self.close()
        if self._wrong:
            self._telling.problem(f"file {self._origin.name}", None)
        self._telling.listener.log_removed(self._origin.name)

    def _step(self) -> bool:
        if self._fd < 0:
            self._open()
        if not self._place.is_in(self._fd, self._end):
            self._follow(self._fd, Place(self._place.inode), "truncated")
        return self._more() or self._moved_on()

    def _open(self) -> None:
        """Open the file, or the one that was renamed while we were away and is not read to its end."""
        path, place, why = self._path, self._place, ""
        fd = _regular(path)
        with _closed_if_wrong(fd):
            if place == NOWHERE:
                place = _first_sight(fd)
            elif not place.is_in(fd):
                old = -1 if place == self._tried else _renamed(path, place)
                if old < 0:
                    place, why = Place(os.fstat(fd).st_ino), "gap"
                else:
                    self._tried = place  # once: where it cannot be read on, what came after it is
                    os.close(fd)
                    fd = old
        if not self._wrong:
            self._show(up=True)
        self._follow(fd, place, why)
        if why:
            self._tell_gap()

    def _follow(self, fd: int, place: Place, why: str = "") -> None:
        self._fd, self._place, self._end, self._lines = fd, place, place.offset, Lines()
        if why:
            log.info("%s: %s", self._origin.name, why)
            reopened(self._telling.listener, self._origin.name, why)

    def _tell_gap(self) -> None:
        name = self._origin.name
        sentence = (
            f"the file that was read last as {name} is gone: lines of it may have been rotated away unread. "
            "Keep the last rotated file as it is (in logrotate: delaycompress)"
        )
        log.warning(sentence)
        self._telling.problem(f"file {name}", sentence, critical=False)
        self._telling.problem(f"file {name}", None)
        self._wrong = ""

    def _more(self) -> bool:
        """Hand on the next lines of the file that is open."""
        chunk = os.pread(self._fd, READ, self._end)
        self._end += len(chunk)
        data = self._lines.feed(chunk)
        if data:
            listener = self._telling.listener
            self._place = self._place.after(self._fd, self._end - self._lines.begun)
            listener.batch_read(self._origin, data.count(b"\n"), len(data))
            if self._lines.cut:
                listener.lines_truncated(self._origin.name, self._lines.cut)
                self._lines.cut = 0
            cursor = Cursor(_key(self._path), self._place.encode())
            self._telling.emit(Batch(self._origin, data, self._telling.framing), cursor)
        return bool(chunk)

    def _moved_on(self) -> bool:
        """Go on to the next file, once the writer did and this one is read to its end."""
        try:
            fd = _next(self._path, self._fd)
        except FileNotFoundError:  # it was renamed as well: look again
            return False
        except OSError as err:  # the next may not be read; to this one, something may still be written
            self._tell(_sentence(self._origin.name, err))
            return False
        if fd < 0:
            self._tell("")
            return False
        with _closed_if_wrong(fd):
            more = self._more()  # written between the last look and the renaming
            inode = os.fstat(fd).st_ino
        if more:
            os.close(fd)
            return True
        os.close(self._fd)
        self._follow(fd, Place(inode), "rotated")
        return True

    def _tell(self, sentence: str, *, there: bool = True) -> None:
        """What is wrong with it, once; "": nothing, which only the end of what there is to read shows."""
        name = self._origin.name
        if sentence != self._wrong:
            self._wrong = sentence
            if sentence:
                log.warning(sentence)
                self._up = False
                if there:
                    self._telling.listener.log_unreadable(name)
            else:
                log.info("%s is read now", name)
            self._telling.problem(f"file {name}", sentence or None)
        if not sentence:
            self._show(up=True)

    def _show(self, *, up: bool) -> None:
        if up != self._up:
            self._up = up
            show(self._telling.listener, self._origin.name, up=up)


def reopened(listener: LogListener, name: str, why: str) -> None:
    """Notify of a log that is read from another place now."""
    if why == "gap":
        listener.log_gap(name)
    else:
        listener.log_reopened(name, ReopenReason(why))


def show(listener: LogListener, name: str, *, up: bool) -> None:
    """Notify whether a log is being read."""
    (listener.log_opened if up else listener.log_closed)(name)


class Lines:
    """Chunks of at most MAX_LINE_BYTES -> whole lines."""

    def __init__(self) -> None:
        self.cut = 0  # lines that were too long
        self.begun = 0  # bytes of the line whose end has not come yet
        self._rest = b""  # as much of them as is worth keeping

    def feed(self, chunk: bytes) -> bytes:
        """The lines that are now whole."""
        whole, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            self.begun += len(rest)
            self._rest = (self._rest + rest)[: MAX_LINE_BYTES + 1]  # one byte more tells that it is too long
            return b""
        data = self._rest + whole + newline
        self.begun, self._rest = len(rest), rest
        end = data.find(b"\n")
        if end >= MAX_LINE_BYTES:
            self.cut += 1
            data = data[: MAX_LINE_BYTES - 1] + data[end:]
        return data


def _most() -> int:
    """So many files may be open here at once."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit - limit // SPARE if limit > 0 else sys.maxsize  # -1: there is no limit


def _too_many(left: tuple[str, ...]) -> str:
    return (
        f"{len(left)} logs are not followed, among them {_shown(left[0])}: only {_most()} of the open files that the "
        f"limit nofile allows ({resource.getrlimit(resource.RLIMIT_NOFILE)[0]}) are for logs. {_RAISE}"
    )


_RAISE = "Raise it (systemd: LimitNOFILE=, Docker: --ulimit nofile=), or name fewer files in `logpath`"


def _sentence(name: str, err: OSError) -> str:
    """Why no line of it counts, and what to change where that is known."""
    full = err.errno == errno.EMFILE
    other = err.filename and not full and _shown(err.filename) != name
    why = f"{_shown(err.filename)}: {err.strerror}" if other else err.strerror or str(err)
    sentence = f"{name} cannot be read ({why}): until it can, no line of it counts"
    return f"{sentence}. The limit nofile is reached. {_RAISE}" if full else sentence


@contextlib.contextmanager
def _closed_if_wrong(fd: int) -> Iterator[int]:
    """Closes it where something is raised."""
    try:
        yield fd
    except BaseException:
        os.close(fd)
        raise


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
    raise OSError(errno.EINVAL, "it is no regular file", path)


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
        try:
            with _closed_if_wrong(_regular(other)) as fd:
                if place.is_in(fd):
                    return fd
                os.close(fd)
        except OSError as err:
            if err.errno in (errno.EMFILE, errno.ENFILE):  # it may well be that one
                raise
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
    if not now or (stat.S_ISREG(now.st_mode) and not now.st_size):
        return -1
    fd = _regular(path)
    if os.fstat(fd).st_ino == now.st_ino:
        return fd
    os.close(fd)  # renamed since we looked: it is to be read before the one that is there now
    return -1


def _rotated(path: str) -> list[tuple[int, str]]:
    """What rotation made of former files (`error.log.1`, `error.log-20261122`), the oldest first."""
    found = []
    for other in Path(path).parent.glob(f"{escape(Path(path).name)}[.-][0-9]*"):
        with contextlib.suppress(OSError):
            if _ROTATED(str(other), len(path)):
                found.append((other.stat().st_mtime_ns, str(other)))
    return sorted(found)


_ROTATED = re.compile(r"[.-]\d[\d.-]*").fullmatch  # compressed ones, copies and backups are not read
