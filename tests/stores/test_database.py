"""How the file is opened, and who else may use it."""

import sqlite3
import subprocess
import sys

import pytest

from sidecar.core.events import Turn
from sidecar.stores.base import StoreError
from sidecar.stores.database import LOCK_TIMEOUT_S, Database, reading
from tests.support.stored import BAN, reopened


def test_only_the_owner_may_read_the_file(store, path):
    store.apply(Turn(1.0, (BAN,)))

    assert {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {
        "state.db": "0o600",
        "state.db-wal": "0o600",
        "state.db-shm": "0o600",
    }


def test_a_killed_process_loses_nothing(path):
    script = f"""
import os, signal
from pathlib import Path
from sidecar.core.events import Cursor, Turn
from sidecar.stores.sqlite import SqliteStore
store = SqliteStore(Path({str(path)!r}))
for n in range(100):
    store.apply(Turn(float(n), cursors=(Cursor("docker:1", b"%d" % n),)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9

    assert reopened(path).cursors == {"docker:1": b"99"}


def test_a_lock_delays_the_loop_for_less_than_a_second(store, locked):
    """The lock is held until the test ends, and it is the database that gives up."""
    with pytest.raises(StoreError):
        store.apply(Turn(1.0, (BAN,)))

    assert LOCK_TIMEOUT_S < 1


def write_and_fail(database):
    with database.transaction() as db:
        db.execute("INSERT INTO cursors VALUES ('a', x'00', 1)")
        db.execute("DELETE FROM nowhere")


def test_a_transaction_is_whole_or_nothing(tmp_path):
    database = Database(tmp_path / "state.db")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        write_and_fail(database)
    with database.transaction() as db:
        db.execute("INSERT INTO cursors VALUES ('b', x'00', 1)")

    assert database.read().execute("SELECT key FROM cursors").fetchall() == [("b",)]
    database.close()


def test_a_reader_of_its_own_cannot_write(tmp_path):
    database = Database(tmp_path / "state.db")
    with reading(tmp_path / "state.db") as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM cursors")
    database.close()
