"""The tables, and how a file of an older version gets them.

`bans` are those in force, `history` counts those that are over, and `past_bans` has each of them;
`evidence` are the lines of each ban in force; `hits` are the failures that may still lead to a ban;
`cursors` say how far each log was read; `allowed` is what people put on the allowlist; `clock` is
how the clocks stood when it was written.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sidecar.stores.base import StoreError

# Each brings a file from the version that is its index to the next one. Never change one that was
# released.
MIGRATIONS = (
    """
    CREATE TABLE bans (
        jail TEXT, who TEXT, at REAL, until REAL, cause TEXT, failures INTEGER, site TEXT, evidence TEXT,
        reason TEXT, PRIMARY KEY (jail, who)
    ) WITHOUT ROWID;
    CREATE TABLE hits (
        jail TEXT, who TEXT, at REAL, source TEXT, name TEXT, stream TEXT, line TEXT, target TEXT
    );
    CREATE INDEX hits_of ON hits (who);
    CREATE TABLE cursors (key TEXT PRIMARY KEY, state BLOB, touched REAL) WITHOUT ROWID;
    """,
    """
    ALTER TABLE bans ADD COLUMN times INTEGER DEFAULT 1;
    ALTER TABLE bans ADD COLUMN observed INTEGER DEFAULT 0;
    CREATE TABLE history (
        jail TEXT, who TEXT, times INTEGER, until REAL, PRIMARY KEY (jail, who)
    ) WITHOUT ROWID;
    """,
    # The lines of a ban are most of its bytes, and a start needs none of them.
    """
    CREATE TABLE evidence (jail TEXT, who TEXT, lines TEXT, PRIMARY KEY (jail, who));
    INSERT INTO evidence SELECT jail, who, evidence FROM bans WHERE evidence != '';
    ALTER TABLE bans DROP COLUMN evidence;
    CREATE INDEX history_until ON history (until);
    """,
    """
    CREATE TABLE allowed (network TEXT PRIMARY KEY, at REAL, until REAL, comment TEXT) WITHOUT ROWID;
    """,
    """
    CREATE TABLE past_bans (
        id INTEGER PRIMARY KEY, jail TEXT, who TEXT, at REAL, until REAL, cause TEXT, failures INTEGER, site TEXT,
        reason TEXT, times INTEGER, observed INTEGER, ended REAL, ended_by TEXT
    );
    """,
    """
    CREATE TABLE clock (boot TEXT, since_boot REAL, at REAL);
    """,
)

# The tables that a start reads. Damage in `evidence`, most of the file, is repaired when it is met.
_READ_AT_START = ("bans", "hits", "cursors", "history", "allowed", "clock")


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this version's schema. Raises StoreError for a file of a newer version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} is of version {version}, and this wp-sidecar knows {len(MIGRATIONS)}: "
            "run the newer one, or move the file away (bans and log positions are then lost)"
        )
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        db.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")


def check(db: sqlite3.Connection) -> None:
    """Check the tables that a start reads. Raises sqlite3.DatabaseError if one is damaged."""
    query = f"SELECT name FROM sqlite_schema WHERE name IN {_READ_AT_START}"  # noqa: S608
    for (table,) in db.execute(query).fetchall():
        (verdict,) = db.execute(f"PRAGMA quick_check({table})").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
