"""Files of older and newer versions."""

import sqlite3
from contextlib import closing

import pytest

from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from sidecar.core.events import Turn, Unban
from sidecar.stores.base import Remembered, StoreError
from sidecar.stores.schema import MIGRATIONS
from sidecar.stores.sqlite import SqliteStore
from tests.support.stored import ANN, EVIDENCE, LOADED, PAST, PERMANENT, hit, reopened

# What to put into the tables of each version.
CONTENTS = (
    """
    INSERT INTO bans VALUES ('wordpress', '203.0.113.7', 100, 86500, 'failures', 3, 'site',
        'first' || char(10) || 'second' || char(10) || 'third', '');
    INSERT INTO bans VALUES ('wordpress', '2001:db8:1:2::/64', 50.5, 9e999, 'manual', 0, '', '', 'he knows why');
    INSERT INTO hits VALUES ('wordpress', '198.51.100.1', 2, 'docker', 'site', 'stdout', 'a line', '');
    INSERT INTO cursors VALUES ('docker:4f2a', x'00ff', 1);
    """,
    "INSERT INTO history VALUES ('wordpress', '203.0.113.7', 1, 86500);",
    "",
    "INSERT INTO allowed VALUES ('198.51.100.0/24', 1, 9e999, 'office');",
    "",
)


def test_a_file_of_a_newer_version_is_refused(store, path):
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(StoreError) as refused:
        SqliteStore(path)
    assert str(refused.value) == (
        f"{path} is of version 99, and this wp-sidecar knows {len(MIGRATIONS)}: "
        "run the newer one, or move the file away (bans and log positions are then lost)"
    )


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_file_of_each_older_version_is_migrated(path, version):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        for script, contents in zip(MIGRATIONS[:version], CONTENTS, strict=False):
            db.executescript(script + contents)
        db.execute(f"PRAGMA user_version = {version}")

    past = (PAST,) if version > 1 else ()
    allowed = (Allow(Address("198.51.100.0/24"), 1.0, comment="office"),) if version > 3 else ()
    assert reopened(path) == Remembered(
        (PERMANENT, LOADED), past, (hit(2.0, Address("198.51.100.1")),), {"docker:4f2a": b"\x00\xff"}, allowed
    )
    with closing(SqliteStore(path)) as store:
        assert store.evidence() == EVIDENCE
        store.apply(Turn(5.0, (Unban("wordpress", ANN, 5.0, "manual"),)))
    assert reopened(path).bans == (PERMANENT,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(path, monkeypatch):
    SqliteStore(path).close()
    monkeypatch.setattr("sidecar.stores.schema.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x); BROKEN"))
    assert "syntax error" in SqliteStore(path).unavailable
    monkeypatch.undo()

    assert reopened(path) == Remembered()
