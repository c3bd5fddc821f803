"""A store in a folder of its own."""

import sqlite3

import pytest

from sidecar.stores.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "state.db"


@pytest.fixture
def store(path):
    store = SqliteStore(path)
    yield store
    store.close()


@pytest.fixture
def locked(store, path):
    """Somebody else writes to the file and does not come to an end. Call it to end that."""
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        yield lambda: other.execute("ROLLBACK")
    other.close()
