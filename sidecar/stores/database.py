"""One open SQLite file: how it is opened, its transactions, and its errors as sentences.

WAL with synchronous=NORMAL: a power cut may take the last turns, each of them whole. Cursors go
back together with what was decided, so the same lines are read and decided again; the kernel's
table is lost in a power cut as well. A process that is killed loses nothing.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sidecar.stores import schema
from sidecar.stores.base import StoreError

# For somebody else's lock, at the start.
OPEN_TIMEOUT_S = 5.0

# For somebody else's lock while we run: the loop waits as long, and what cannot be written now is
# written later.
LOCK_TIMEOUT_S = 0.1


class Database:
    """An open file with this version's tables. Used by one thread at a time."""

    def __init__(self, path: Path, timeout_s: float = OPEN_TIMEOUT_S) -> None:
        """Open or make the file. Raises sqlite3.Error, OSError, and StoreError for a file of a newer version."""
        # Made here and not by SQLite: nobody else may read which addresses are banned.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        self._connection = db = sqlite3.connect(
            path, timeout=timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            # A large sort needs a file, and a read-only root has no room for one.
            db.execute("PRAGMA temp_store = MEMORY")
            schema.check(db)
            schema.migrate(db, path)
            db.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1000:.0f}")
        except BaseException:
            db.close()
            raise

    def read(self) -> sqlite3.Connection:
        """Return the connection, to read from it."""
        return self._connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection in a transaction: all that the block writes, or nothing of it. Raises sqlite3.Error."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite itself has rolled back after some errors.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection of one's own, in any thread, that cannot write."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT_S)) as db:
        yield db


@contextlib.contextmanager
def explained(path: Path, action: str) -> Iterator[None]:
    """Turn errors of SQLite and of the system into a StoreError: this file "cannot be ..."."""
    try:
        yield
    except StoreError:
        raise
    except (sqlite3.Error, OSError) as err:
        raise StoreError(
            f"{path} cannot be {action} ({err}): its directory has to be writable, with room on the disk"
        ) from err
