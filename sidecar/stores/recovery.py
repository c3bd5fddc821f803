"""A file that is damaged, or that somebody took away: how it is noticed, quarantined and replaced.

Failures that count towards a ban are only in the file and in the guard's windows, so a new file has
none of them: they are lost at the next start.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sidecar.core.events import Cursor, InForce, Turn
from sidecar.stores import turns

_DESCRIPTORS = "/proc/self/fd"


@dataclass
class Damage:
    """What is wrong with the file, until a new one has taken its place."""

    reason: str
    # Where the damaged file is now.
    quarantined: Path | None = None

    def quarantine(self, path: Path) -> None:
        """Make room for a new file. If an earlier try left an unfinished one, remove that."""
        if self.quarantined:
            remove(path)
        elif os.path.lexists(path):
            self.quarantined = quarantine(path)
        path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def kept(self) -> str:
        """Return the end of a sentence: where the damaged file is."""
        return f" Kept: {self.quarantined}" if self.quarantined else ""


class Backup:
    """What the process has in memory of the file's contents: enough to write a new file."""

    def __init__(self) -> None:
        self._cursors: dict[str, Cursor] = {}

    def note(self, cursors: Iterable[Cursor]) -> None:
        """Remember how far each log was read."""
        self._cursors |= {cursor.key: cursor for cursor in cursors}

    def write(self, db: sqlite3.Connection, in_force: InForce, due: Turn) -> None:
        """Write everything that is in force, and then what is owed."""
        turns.write_history(db, in_force.history)
        turns.write_allow_changes(db, in_force.allowed)
        turns.write(db, Turn(due.at, in_force.bans, cursors=tuple(self._cursors.values())))
        turns.write(db, due)


def damage_reason(err: BaseException | None) -> str:
    """Return what is wrong with the file, by SQLite's error; "" if the error is another one (a lock, a full disk)."""
    code = getattr(err, "sqlite_errorcode", 0)
    # The low byte is the primary code: https://www.sqlite.org/rescode.html
    return str(err) if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else ""


def is_taken_away(path: Path) -> bool:
    """Return whether what we write would be lost: the open file was deleted, or another one stands in its place."""
    deleted = f"{path.resolve()} (deleted)"
    return not path.exists() or any(_target(fd) == deleted for fd in os.listdir(_DESCRIPTORS))  # noqa: PTH208


def quarantine(path: Path) -> Path:
    """Rename a damaged file, and return its new name."""
    quarantined = path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    path.rename(quarantined)
    remove(path)
    return quarantined


def remove(path: Path) -> None:
    """Remove the file, and what belongs to it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _target(descriptor: str) -> str:
    """Return what one of our descriptors is.

    Not by pathlib, which takes five times as long: this runs in the loop, and each followed log has
    a descriptor.
    """
    try:
        return os.readlink(f"{_DESCRIPTORS}/{descriptor}")  # noqa: PTH115
    # It was closed meanwhile.
    except OSError:
        return ""
