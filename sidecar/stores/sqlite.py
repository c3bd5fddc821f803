"""One SQLite file: a turn of the loop is one transaction, so that a line counts exactly once."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sidecar.core.events import Ban, Hit, Origin, Turn, Who
from sidecar.core.history import Past
from sidecar.stores import Remembered, StoreError

DAY = 86_400.0
GONE = 30 * DAY  # a log that nobody wrote to for so long has no lines left that a window would count
MOST = 100_000  # failures kept, those of 50,000 who are one short of a ban; a start reads them all, in 2 s
OWED = 10_000  # failures that wait in memory while the file cannot be written
BUSY = 0.1  # seconds to wait for someone else's lock: the loop waits as long, and the turn is owed anyway
LONGEST = 2048  # characters of a line that are kept as evidence: what a filter matched stands before
MIGRATIONS = (  # each brings the file from the version that is its place to the next
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
)
READ_BANS = """
    SELECT jail, who, at, until, cause, failures, site, reason, times, observed FROM bans WHERE until > ?
"""
# Who is only kept out for longer, or no longer just observed, comes without the lines that were written before.
PUT_BAN = """
    INSERT INTO bans (jail, who, at, until, cause, failures, site, reason, times, observed, evidence)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (jail, who) DO UPDATE SET
        at = excluded.at, until = excluded.until, cause = excluded.cause, failures = excluded.failures,
        site = excluded.site, reason = excluded.reason, times = excluded.times, observed = excluded.observed,
        evidence = CASE excluded.evidence WHEN '' THEN evidence ELSE excluded.evidence END
"""


class Sqlite:
    """The store for one host. Opened wherever; used by one thread at a time. A Sink.

    WAL with synchronous=NORMAL: a power cut may take the last turns, each whole or not at all. Cursors go
    back together with what was decided, so the same lines are read and decided again; the kernel's table is
    lost in a power cut as well. A killed process loses nothing.
    """

    name = "store"

    def __init__(self, path: Path) -> None:
        """Opens or makes the file. One that is damaged is put aside, and `repaired` says so in a sentence.

        Raises StoreError.
        """
        self.path = path
        self.repaired = ""
        self._owed: Turn | None = None  # what could not be written
        with self._told("opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._db = _open(path)
            except sqlite3.DatabaseError as err:
                if isinstance(err, sqlite3.OperationalError):
                    raise  # not damaged: locked, full, read-only
                aside = _put_aside(path)
                why = str(err).splitlines()[0]
                self.repaired = (
                    f"{path} was damaged ({why}): bans and log positions begin anew. Kept: {aside}"
                )
                self._db = _open(path)

    def load(self, now: float) -> Remembered:
        """Everything that still matters at this time. Raises StoreError."""
        with self._told("read"):
            bans = self._db.execute(READ_BANS, (now,)).fetchall()
            past = self._db.execute("SELECT * FROM history ORDER BY until").fetchall()
            hits = self._db.execute("SELECT * FROM hits ORDER BY at, rowid").fetchall()
            cursors = self._db.execute("SELECT key, state FROM cursors").fetchall()
            return Remembered(
                tuple(_ban(now, *row) for row in bans),
                tuple(Past(jail, Who(who), times, until) for jail, who, times, until in past),
                tuple(_hit(*row) for row in hits),
                dict(cursors),
            )

    def evidence(self) -> dict[tuple[str, Who], tuple[str, ...]]:
        """The lines of each ban, oldest first, by its jail and whom it is for; of those that have any.

        Any thread may ask: it reads by itself, what the last turn wrote. Raises StoreError.
        """
        owed = self._owed.decisions if self._owed else ()
        with self._told("read"), contextlib.closing(_reading(self.path)) as db:
            rows = db.execute("SELECT jail, who, evidence FROM bans WHERE evidence != ''")
            found = {(jail, Who(who)): tuple(lines.split("\n")) for jail, who, lines in rows}
        return found | {(e.jail, e.who): e.evidence for e in owed if isinstance(e, Ban) and e.evidence}

    def apply(self, turn: Turn) -> None:
        """What one turn changed, in one transaction. Raises StoreError, and then none of it is kept.

        Where the disk was full or the file locked it is owed, and goes with the next turn.
        """
        due = _together(self._owed, turn) if self._owed else turn
        try:
            with self._told("written"), self._transaction() as db:
                _write(db, due)
        except StoreError as err:
            if isinstance(err.__cause__, sqlite3.OperationalError):
                self._owed = due
            raise
        self._owed = None

    def forget(self, before: float, long_ago: float = -math.inf) -> None:
        """Drop failures older than this, which no window counts, and the cursors of logs long gone.

        Bans that ended `long_ago` are forgotten, too. Writes what is owed, too. Raises StoreError.
        """
        if self._owed:
            self.apply(Turn(self._owed.at))
        with self._told("written"), self._transaction() as db:
            db.execute("DELETE FROM hits WHERE at < ?", (before,))
            db.execute("DELETE FROM hits WHERE rowid <= (SELECT max(rowid) FROM hits) - ?", (MOST,))
            db.execute("DELETE FROM cursors WHERE touched < ?", (before - GONE,))
            db.execute("DELETE FROM bans WHERE until < ?", (before,))
            db.execute("DELETE FROM history WHERE until < ?", (long_ago,))

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite itself has rolled back after some errors
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """SQLite's and the system's errors, as one sentence."""
        try:
            yield
        except StoreError:
            raise
        except (sqlite3.Error, OSError) as err:
            raise StoreError(
                f"{self.path} cannot be {done} ({err}): "
                "its directory has to be writable, with room on the disk"
            ) from err


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # before SQLite does: addresses are nobody else's
    path.chmod(0o600)
    db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        _check(db)
        _migrate(db, path)
        db.execute(f"PRAGMA busy_timeout = {BUSY * 1000:.0f}")
    except BaseException:
        db.close()
        raise
    return db


def _reading(path: Path) -> sqlite3.Connection:
    """A way to the file of one's own, that cannot write."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY)


def _check(db: sqlite3.Connection) -> None:
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} is of version {version}, and this wp-sidecar knows {len(MIGRATIONS)}: "
            "run the newer one, or move the file away (bans and log positions then begin anew)"
        )
    for at, script in enumerate(MIGRATIONS[version:], version + 1):
        db.executescript(f"BEGIN; {script}; PRAGMA user_version = {at}; COMMIT;")


def _put_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):  # they belong to the damaged file
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def _write(db: sqlite3.Connection, turn: Turn) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)",
        [(_text(cursor.key), cursor.state, turn.at) for cursor in turn.cursors],
    )
    # No later than now, as the guard counts them: what is from the future would be new again at each start.
    db.executemany(
        "INSERT INTO hits VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                h.jail, h.who, min(h.at, turn.at), h.origin.source, _text(h.origin.name), h.origin.stream,
                _text(h.line[:LONGEST]), _text(h.target),
            )
            for h in turn.hits
        ],
    )  # fmt: skip
    for each in turn.forgiven:
        db.execute("DELETE FROM hits WHERE jail = ? AND who = ? AND at <= ?", (each.jail, each.who, each.at))
    for decision in turn.decisions:
        if isinstance(decision, Ban):
            db.execute(PUT_BAN, _row(decision))
            if decision.cause != "manual":
                past = decision.jail, decision.who, decision.times, decision.until
                db.execute("INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?)", past)
        else:
            db.execute("DELETE FROM bans WHERE jail = ? AND who = ?", (decision.jail, decision.who))
            if decision.cause != "expired":
                db.execute("DELETE FROM history WHERE jail = ? AND who = ?", (decision.jail, decision.who))
        # Those that led to the ban are in its evidence; those before an unban are forgiven.
        db.execute("DELETE FROM hits WHERE jail = ? AND who = ?", (decision.jail, decision.who))


def _together(first: Turn, then: Turn) -> Turn:
    """Two turns as one, for later: the last decision about someone is the one that holds."""
    decided = {(each.jail, each.who): each for each in then.decisions}
    hits = [hit for hit in first.hits if (hit.jail, hit.who) not in decided] + list(then.hits)
    decisions = {(each.jail, each.who): each for each in first.decisions} | decided
    cursors = {each.key: each for each in (*first.cursors, *then.cursors)}
    return Turn(
        then.at, tuple(decisions.values()), tuple(hits[-OWED:]), tuple(cursors.values()),
        forgiven=(*first.forgiven, *then.forgiven)[-OWED:],
    )  # fmt: skip


def _text(line: str) -> str:
    """What SQLite takes: a line, and a file's name, may have bytes that are no text at all."""
    return line if line.isascii() else line.encode(errors="replace").decode()


def _row(ban: Ban) -> tuple[object, ...]:
    evidence = "\n".join(_text(line[:LONGEST]).replace("\n", " ") for line in ban.evidence)
    return (
        ban.jail, ban.who, ban.at, ban.until, ban.cause, ban.failures, _text(ban.site), _text(ban.reason), ban.times,
        ban.observed, evidence,
    )  # fmt: skip


def _ban(now: float, *row: Any) -> Ban:  # noqa: ANN401  a row's fields are what SQLite has in them
    """A ban that was taken over: in force since now, as far as we know."""
    jail, who, at, until, cause, failures, site, reason, times, observed = row
    return Ban(
        jail, Who(who), at, until, cause,
        failures=failures, site=site, reason=reason, times=times, observed=bool(observed), decided=now,
    )  # fmt: skip


def _hit(*row: Any) -> Hit:  # noqa: ANN401
    jail, who, at, source, name, stream, line, target = row
    return Hit(jail, Who(who), at, Origin(source, name, stream), line, target)
