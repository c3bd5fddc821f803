"""The files that together are one container's log, oldest first: kubelet's and Docker's names, plain and gzipped.

`0.log.20261122-084004.gz  0.log.20261122-085004  0.log  1.log`: the number is that of the container's life, and the
runtime writes to the last. Docker's: `ID-json.log.2.gz  ID-json.log.1  ID-json.log`.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import logging
import math
import os
import re
import stat
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from sidecar.sources.files.source import HEAD, Place

log = logging.getLogger(__name__)

YOUNG: Final = (
    10.0  # seconds; kubelets until 2024 gave a packed file its name before they had written its end
)
_KUBELETS: Final = re.compile(r"(\d+)\.log(?:\.(\d{8}-\d{6}))?(\.gz)?")
_DOCKERS: Final = re.compile(r"[0-9a-f]+-json\.log(?:\.(\d+))?(\.gz)?")


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """One file of a container's log; they sort as they were written."""

    life: int  # how often the container had been restarted
    age: float  # when it was renamed, or minus how often; the one that is written to has the highest
    packed: bool  # gzipped
    path: str


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """An OSError names the path: one of an open file does not of itself."""
    try:
        yield
    except OSError as err:
        err.filename = err.filename or path
        raise


class Plain:
    """A file as its writer left it, or still writes it."""

    packed = False

    def __init__(self, path: str) -> None:
        """Raises OSError, also for a pipe or a directory; whatever is raised later names the path, too."""
        self._path = path
        self._fd = os.open(
            path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        )  # a pipe without a writer would block
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "it is no regular file", path)

    @property
    def status(self) -> os.stat_result:
        with _naming(self._path):
            return os.fstat(self._fd)

    def read(self, at: int, size: int) -> bytes:
        with _naming(self._path):
            return os.pread(self._fd, size, at)

    def has(self, place: Place, least: int = 0) -> bool:
        """Is this the file of that place, and still as long as that?"""
        with _naming(self._path):
            return place.is_in(self._fd, least)

    def after(self, place: Place, offset: int) -> Place:
        with _naming(self._path):
            return place.after(self._fd, offset)

    def close(self) -> None:
        os.close(self._fd)


class Packed:
    """A gzipped file, read forwards; offsets are those of what is in it."""

    packed = True

    def __init__(self, path: str) -> None:
        """Raises OSError, also where it is not yet packed to its end."""
        self._path = path
        self._raw = Path(path).open("rb")  # noqa: SIM115  close() does
        self._file = gzip.GzipFile(fileobj=self._raw)
        self._at, self._chunk = 0, b""
        try:
            self._head = self.read(0, HEAD)
        except OSError:
            self.close()
            raise

    @property
    def status(self) -> os.stat_result:
        return os.fstat(self._raw.fileno())

    def read(self, at: int, size: int) -> bytes:
        """As `pread`; what cannot be unpacked is as if it were not there.

        Raises FileNotFoundError where its end may still come; then it has to be opened anew.
        """
        kept = b""
        if self._at <= at <= self._at + len(self._chunk):  # the end of the last chunk is wanted again
            kept = self._chunk[at - self._at :]
        if len(kept) >= size:
            return kept[:size]
        self._at = at
        try:
            with _naming(self._path):
                if not kept:
                    self._file.seek(at)
                self._chunk = kept + self._file.read(size - len(kept))
        except (EOFError, zlib.error, gzip.BadGzipFile) as err:
            if isinstance(err, EOFError) and abs(time.time() - self.status.st_mtime) < YOUNG:
                raise FileNotFoundError(errno.ENOENT, "it is not packed to its end yet", self._path) from err
            log.warning("%s is damaged (%s): its rest is not read", self._path, err)
            self._chunk = kept
        return self._chunk

    def has(self, place: Place, least: int = 0) -> bool:  # noqa: ARG002  it does not change
        """Is this, packed, the file of that place? Its number is another, so its beginning decides."""
        return 0 < place.size <= len(self._head) and zlib.crc32(self._head[: place.size]) == place.crc

    def after(self, place: Place, offset: int) -> Place:
        head = self._head[:offset]
        return Place(place.inode, offset, len(head), zlib.crc32(head))

    def close(self) -> None:
        self._file.close()
        self._raw.close()


Opened: TypeAlias = Plain | Packed


def opened(piece: Piece) -> Opened:
    """Raises OSError."""
    return Packed(piece.path) if piece.packed else Plain(piece.path)


def pieces(folder: str) -> list[Piece]:
    """All pieces in a container's folder, in order; each once, plain rather than packed. Raises OSError.

    A link into Docker's folder, as cri-dockerd makes it, stands for all that Docker has there.
    """
    found: dict[tuple[int, float], Piece] = {}
    for entry in os.scandir(folder):
        for piece in _of(entry):
            known = found.setdefault((piece.life, piece.age), piece)
            if known.packed:
                found[piece.life, piece.age] = piece
    return sorted(found.values())


def _of(entry: os.DirEntry[str]) -> list[Piece]:
    name = entry.name
    if kubelets := _KUBELETS.fullmatch(name):
        life = int(kubelets[1])
        target = os.path.realpath(entry.path) if entry.is_symlink() else ""
        if _DOCKERS.fullmatch(Path(target).name):
            return [replace(piece, life=life) for piece in _dockers(target, entry.path)]
        when = float(kubelets[2].replace("-", "")) if kubelets[2] else math.inf
        return [Piece(life, when, bool(kubelets[3]), entry.path)]
    if dockers := _DOCKERS.fullmatch(name):
        return [Piece(0, -float(dockers[1] or 0), bool(dockers[2]), entry.path)]
    return []


def _dockers(target: str, link: str) -> list[Piece]:
    """Those beside Docker's current file; the link alone where that folder is not here to be looked into."""
    with contextlib.suppress(OSError):
        return pieces(str(Path(target).parent))
    return [Piece(0, 0.0, False, link)]  # noqa: FBT003
