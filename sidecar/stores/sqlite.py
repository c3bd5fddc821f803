"""One SQLite file: a turn of the loop is one transaction, so that a line counts exactly once."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from sidecar.core.address import Address
from sidecar.core.ban_history import Past
from sidecar.core.events import Ban, BanCause, Cursor, Decision, Hit, Origin, Turn, Unban, UnbanCause
from sidecar.stores.base import Remembered, StoreError

DAY = 86_400.0
GONE = 30 * DAY  # a log that nobody wrote to for so long has no lines left that a window would count
MOST = 100_000  # failures kept, those of 50,000 who are one short of a ban; a start reads them all, in 2 s
OWED = 10_000  # failures that wait in memory while the file cannot be written
AT_ONCE = (
    4_000  # decisions written, or old failures dropped, in one go: some 100 ms, and the loop waits as long
)
PATIENCE = 5.0  # seconds to wait for someone else's lock at the start
BUSY = 0.1  # seconds to wait for someone else's lock: the loop waits as long, and the turn is owed anyway
OPEN = "/proc/self/fd"
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
    # The lines of a ban are most of its bytes, and a start needs none of them.
    """
    CREATE TABLE evidence (jail TEXT, who TEXT, lines TEXT, PRIMARY KEY (jail, who));
    INSERT INTO evidence SELECT jail, who, evidence FROM bans WHERE evidence != '';
    ALTER TABLE bans DROP COLUMN evidence;
    CREATE INDEX history_until ON history (until);
    """,
)
READ = ("bans", "hits", "cursors", "history")
READ_BANS = """
    SELECT jail, who, at, until, cause, failures, site, reason, times, observed FROM bans WHERE until > ?
"""
# Bans that are over, also those that ended while we were away. Whoever is banned again has only the ban.
READ_HISTORY = """
    SELECT * FROM history
    UNION ALL SELECT jail, who, times, until FROM bans WHERE until <= ? AND cause != 'manual' ORDER BY until
"""
INTO_HISTORY = """
    INSERT OR REPLACE INTO history SELECT jail, who, times, until FROM bans WHERE cause != 'manual'
"""
PUT_BAN = """
    INSERT OR REPLACE INTO bans (jail, who, at, until, cause, failures, site, reason, times, observed)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
OVER = "SELECT jail, who FROM bans WHERE until < ? LIMIT ?"
OLD_HITS = "DELETE FROM hits WHERE rowid IN (SELECT rowid FROM hits ORDER BY rowid LIMIT ?) AND at < ?"
TOO_MANY_HITS = """
    DELETE FROM hits WHERE rowid IN (
        SELECT rowid FROM hits WHERE rowid <= (SELECT max(rowid) FROM hits) - ? ORDER BY rowid LIMIT ?
    )
"""


Key: TypeAlias = tuple[str, Address]  # jail, and who is banned there


class Sqlite:
    """The store for one host. Opened wherever; used by one thread at a time. A Sink.

    WAL with synchronous=NORMAL: a power cut may take the last turns, each whole or not at all. Cursors go
    back together with what was decided, so the same lines are read and decided again; the kernel's table is
    lost in a power cut as well. A killed process loses nothing.
    """

    name = "store"

    def __init__(self, path: Path) -> None:
        """Opens or makes the file. One that is damaged is put aside, and `repaired` says so in a sentence.

        Where that cannot be done now (a full disk, a folder that is no folder) `shut` says why: all is owed until
        `forget` finds that it can. Raises StoreError for a file of a newer version.
        """
        self.path = path
        self.repaired = self.shut = ""
        self.anew = not path.exists()  # it begins with nothing
        self.behind = False  # is there more to write than fitted into the last turn?
        self._owed: Turn | None = None  # what could not be written, or not yet
        self._damage = ""  # what SQLite says is wrong with the file
        self._aside: Path | None = None  # where that is now, until there is a new one
        self._cursors: dict[str, Cursor] = {}
        self._in_force: Callable[[], Remembered] = Remembered
        try:
            self._open_first()
        except StoreError as err:
            if err.__cause__ is None:
                raise
            self.shut, self.anew = str(err), True
            self._db = sqlite3.connect(":memory:")

    def load(self, now: float) -> Remembered:
        """Everything that still matters at this time. Raises StoreError."""
        if self.shut:
            return Remembered()
        with self._told("read"):
            bans = _bans(self._db.execute(READ_BANS, (now,)), now)
            past = self._db.execute(READ_HISTORY, (now,)).fetchall()
            hits = self._db.execute("SELECT * FROM hits ORDER BY rowid").fetchall()  # nearly by time already
            cursors = self._db.execute("SELECT key, state FROM cursors").fetchall()
        self._cursors = {key: Cursor(key, state) for key, state in cursors}
        return Remembered(
            bans,
            tuple(map(Past._make, past)),
            tuple(_hits(sorted(hits, key=itemgetter(2)))),
            dict(cursors),
        )

    def backed_by(self, in_force: Callable[[], Remembered]) -> None:
        """Where to ask for the bans in force and the history, should the file be damaged while we run."""
        self._in_force = in_force

    def evidence(self) -> dict[Key, tuple[str, ...]]:
        """The lines of each ban, oldest first, by its jail and whom it is for; of those that have any.

        Any thread may ask: it reads by itself, what the last turn wrote. Raises StoreError.
        """
        owed = self._owed.decisions if self._owed else ()
        found: dict[Key, tuple[str, ...]] = {}
        if not self.shut:
            with self._told("read"), contextlib.closing(_reading(self.path)) as db:
                rows = db.execute("SELECT jail, who, lines FROM evidence")
                found = {(jail, Address(address)): tuple(lines.split("\n")) for jail, address, lines in rows}
        return found | {(e.jail, e.address): e.evidence for e in owed if isinstance(e, Ban) and e.evidence}

    def apply(self, turn: Turn) -> None:
        """What one turn changed, in one transaction. Raises StoreError, and then none of it is kept.

        Of many decisions some are written with the next turns, and what was read with the last of them; until then
        it is `behind`. Where the disk was full or the file locked all is owed, and goes with the next turn. A file
        that turns out to be damaged is put aside, and what is in force written into a new one: that is told by a
        StoreError as well.
        """
        due = _together(self._owed, turn) if self._owed else turn
        self._cursors |= {cursor.key: cursor for cursor in turn.cursors}
        self._owed, self.behind = due, False
        if self.shut or self._damage:
            self._owed = _bounded(due)
        if self.shut:
            raise StoreError(self.shut)
        if self._damage:
            self._begin_anew()
        now, later = _parted(due)
        try:
            with self._told("written"), self._transaction() as db:
                _write(db, now)
        except StoreError as err:
            self._damage = _damage(err.__cause__)
            if self._damage:
                self._begin_anew()
            owes = isinstance(err.__cause__, sqlite3.OperationalError)
            self._owed = _bounded(due) if owes else None
            raise
        self._owed, self.behind = later, later is not None

    def forget(self, before: float, long_ago: float = -math.inf) -> None:
        """Drop failures older than this, which no window counts, and the cursors of logs long gone.

        Bans that ended `long_ago` are forgotten, too. Many go at once, the rest the next time. Writes what is owed,
        too. Raises StoreError.
        """
        if self.shut:
            self._open_again()
        elif not self._damage and _taken_away(self.path):
            self._damage, self._owed = "it was taken away", self._owed or Turn(before)
        if self._owed:
            self.apply(Turn(self._owed.at))
        try:
            with self._told("written"), self._transaction() as db:
                db.execute(OLD_HITS, (AT_ONCE, before))
                db.execute(TOO_MANY_HITS, (MOST, AT_ONCE))
                db.execute("DELETE FROM cursors WHERE touched < ?", (before - GONE,))
                over = db.execute(OVER, (before, AT_ONCE)).fetchall()  # they ended while we were away
                _pass(db, over)
                _remove_bans(db, over)
                db.execute("DELETE FROM history WHERE until < ?", (long_ago,))
        except StoreError as err:
            self._damage = _damage(err.__cause__)
            if not self._damage:
                raise
            self._owed = self._owed or Turn(before)
            self._begin_anew()

    def close(self) -> None:
        with contextlib.suppress(StoreError):  # it was told
            while self._owed and not (self._damage or self.shut):
                self.apply(Turn(self._owed.at))
        self._db.close()

    def _open_first(self) -> None:
        with self._told("opened"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._db = _open(self.path)
            except sqlite3.DatabaseError as err:
                if isinstance(err, sqlite3.OperationalError):
                    raise  # not damaged: locked, full, read-only
                aside, self.anew = _put_aside(self.path), True
                why = str(err).splitlines()[0]
                self.repaired = (
                    f"{self.path} was damaged ({why}): bans and log positions begin anew. Kept: {aside}"
                )
                self._db = _open(self.path)

    def _open_again(self) -> None:
        """What is in force, over what was there. Raises StoreError: not yet."""
        with self._told("opened"):
            self._db.close()  # of the try before, which may have come as far as that
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _open(self.path, BUSY)
            self._put_in_force(Turn(0.0))
        self.shut = ""

    def _put_in_force(self, due: Turn) -> None:
        known = self._in_force()
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?)", known.history)
            _write(db, Turn(due.at, known.bans, cursors=tuple(self._cursors.values())))
            _write(db, due)

    def _begin_anew(self) -> NoReturn:
        """Put the damaged file aside; write what is in force, and what is owed, into a new one.

        Raises StoreError: that it was done, or why not, and then it is tried again with the next turn.
        """
        due = self._owed or Turn(0.0)
        with self._told("begun anew"):
            self._db.close()
            if self._aside:  # it was begun anew, and did not come to its end
                _remove(self.path)
            self._aside = self._aside or (_put_aside(self.path) if os.path.lexists(self.path) else None)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _open(self.path, BUSY)
            self._put_in_force(due)
        kept = f" Kept: {self._aside}" if self._aside else ""
        sentence = (
            f"{self.path} was damaged ({self._damage}): bans, history and log positions are in a new file, "
            f"what counted towards bans begins anew at the next start.{kept}"
        )
        self._damage, self._aside, self._owed = "", None, None
        raise StoreError(sentence)

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


def _open(path: Path, patience: float = PATIENCE) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # before SQLite does: addresses are nobody else's
    path.chmod(0o600)
    db = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA temp_store = MEMORY")  # a large sort needs a file, and a read-only root has none
        _check(db)
        _migrate(db, path)
        db.execute(f"PRAGMA busy_timeout = {BUSY * 1000:.0f}")
    except BaseException:
        db.close()
        raise
    return db


def _taken_away(path: Path) -> bool:
    """Whether what we write would be found by nobody: the file is gone, or another one stands in its place."""
    gone = f"{path.resolve()} (deleted)"
    return not path.exists() or any(_target(fd) == gone for fd in os.listdir(OPEN))  # noqa: PTH208


def _target(number: str) -> str:
    """What a descriptor of ours is. Not by pathlib: it takes five times as long, in the loop, and each log is one."""
    try:
        return os.readlink(f"{OPEN}/{number}")  # noqa: PTH115
    except OSError:  # closed meanwhile
        return ""


def _reading(path: Path) -> sqlite3.Connection:
    """A way to the file of one's own, that cannot write."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY)


def _check(db: sqlite3.Connection) -> None:
    """All that a start reads. Most of the file are the bans' lines: damage there is healed when it is met."""
    for (table,) in db.execute(f"SELECT name FROM sqlite_schema WHERE name IN {READ}").fetchall():  # noqa: S608
        (verdict,) = db.execute(f"PRAGMA quick_check({table})").fetchone()
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
    _remove(path)
    return aside


def _remove(path: Path) -> None:
    """The file, and what belongs to it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _damage(err: BaseException | None) -> str:
    """What is wrong with the file, by SQLite's error; nothing where it is something else."""
    code = getattr(err, "sqlite_errorcode", 0)
    return str(err) if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else ""


def _write(db: sqlite3.Connection, turn: Turn) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)",
        [(_text(cursor.key), cursor.state, turn.at) for cursor in turn.cursors],
    )
    decided = {
        (each.jail, each.address) for each in turn.decisions
    }  # these failures are in its evidence, or forgiven
    # No later than now, as the guard counts them: what is from the future would be new again at each start.
    db.executemany(
        "INSERT INTO hits VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                h.jail, h.address, min(h.at, turn.at), h.origin.source, _text(h.origin.name), h.origin.stream,
                _text(h.line[:LONGEST]), _text(h.target),
            )
            for h in turn.hits
            if (h.jail, h.address) not in decided
        ],
    )  # fmt: skip
    if turn.hits:
        db.execute(TOO_MANY_HITS, (MOST, 2 * len(turn.hits)))
    db.executemany(
        "DELETE FROM hits WHERE jail = ? AND who = ? AND at <= ?",
        [(each.jail, each.address, each.at) for each in turn.forgiven],
    )
    _decide(db, turn.decisions)


def _decide(db: sqlite3.Connection, decisions: Iterable[Decision]) -> None:
    """Sorted by whom they are for, a thousand are written ten times as fast."""
    last = {(each.jail, each.address): each for each in decisions}
    keys = sorted(last)
    bans = [each for key in keys if isinstance(each := last[key], Ban)]
    lifted = [key for key in keys if isinstance(last[key], Unban)]
    stored, known = _over(decisions)
    _pass(db, sorted(stored))
    db.executemany(
        "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?)",
        [(*key, *past) for key in sorted(known) if (past := known[key])],
    )
    db.executemany(
        "DELETE FROM history WHERE jail = ? AND who = ?", [key for key in sorted(known) if not known[key]]
    )
    db.executemany(PUT_BAN, [_row(ban) for ban in bans])
    # Who is only kept out for longer, or no longer just observed, comes without the lines that were written before.
    db.executemany(
        "INSERT OR REPLACE INTO evidence VALUES (?, ?, ?)",
        [(ban.jail, ban.address, _lines(ban)) for ban in bans if ban.evidence],
    )
    _remove_bans(db, lifted)
    # Those that led to the ban are in its evidence; those before an unban are forgiven.
    db.executemany("DELETE FROM hits WHERE jail = ? AND who = ?", keys)


def _pass(db: sqlite3.Connection, keys: Iterable[Key]) -> None:
    """These bans are history."""
    db.executemany(f"{INTO_HISTORY} AND jail = ? AND who = ?", keys)


def _remove_bans(db: sqlite3.Connection, keys: Iterable[Key]) -> None:
    for table in ("bans", "evidence"):
        db.executemany(f"DELETE FROM {table} WHERE jail = ? AND who = ?", keys)  # noqa: S608  one of the two


def _over(decisions: Iterable[Decision]) -> tuple[set[Key], dict[Key, tuple[int, float] | None]]:
    """Whose ban is over, or is one by hand now.

    Those whose ban is in the file as it was; and what is to be remembered of others: how often and until when they
    were banned, None: nothing.
    """
    stored: set[Key] = set()
    known: dict[Key, tuple[int, float] | None] = {}
    here: dict[Key, Ban | None] = {}  # as these decisions left it so far
    for each in decisions:
        key = each.jail, each.address
        if isinstance(each, Unban) and each.cause != UnbanCause.EXPIRED:
            stored.discard(key)
            known[key] = None
        elif each.cause in (UnbanCause.EXPIRED, BanCause.MANUAL):
            if key not in here:
                stored.add(key)
            elif (ban := here[key]) and ban.cause != BanCause.MANUAL:
                known[key] = ban.ban_count, ban.until
        here[key] = each if isinstance(each, Ban) else None
    return stored, known


def _parted(due: Turn) -> tuple[Turn, Turn | None]:
    """What to write now, and later. Failures and cursors stand for all that was decided, so they come last."""
    if len(due.decisions) <= AT_ONCE:
        return due, None
    ordered = sorted(due.decisions, key=attrgetter("address"))  # neighbours in the file are written at once
    now = Turn(due.at, tuple(ordered[:AT_ONCE]))
    decided = {(each.jail, each.address) for each in now.decisions}
    hits = tuple(hit for hit in due.hits if (hit.jail, hit.address) not in decided)
    return now, replace(due, decisions=tuple(ordered[AT_ONCE:]), hits=hits)


def _together(first: Turn, then: Turn) -> Turn:
    """Two turns as one, for later."""
    decided = {(each.jail, each.address) for each in then.decisions}
    hits = (
        [hit for hit in first.hits if (hit.jail, hit.address) not in decided] if decided else list(first.hits)
    )
    cursors = {each.key: each for each in (*first.cursors, *then.cursors)}
    return Turn(
        then.at, (*first.decisions, *then.decisions), (*hits, *then.hits), tuple(cursors.values()),
        forgiven=(*first.forgiven, *then.forgiven),
    )  # fmt: skip


def _bounded(due: Turn) -> Turn:
    """As much of it as may wait for long: the last ban and the last unban of each are what holds."""
    decisions: dict[tuple[str, Address, type[Decision]], Decision] = {}
    for each in due.decisions:
        key = each.jail, each.address, type(each)
        decisions.pop(key, None)
        decisions[key] = each
    return replace(
        due, decisions=tuple(decisions.values()), hits=due.hits[-OWED:], forgiven=due.forgiven[-OWED:]
    )


def _text(line: str) -> str:
    """What SQLite takes: a line, and a file's name, may have bytes that are no text at all."""
    return line if line.isascii() else line.encode(errors="replace").decode()


def _row(ban: Ban) -> tuple[object, ...]:
    return (
        ban.jail, ban.address, ban.at, ban.until, str(ban.cause), ban.failures,
        _text(ban.origin_name), _text(ban.reason), ban.ban_count, ban.dry_run,
    )  # fmt: skip


def _lines(ban: Ban) -> str:
    return _text("\n".join([line[:LONGEST].replace("\n", " ") for line in ban.evidence]))


def _bans(rows: Iterable[Any], now: float) -> tuple[Ban, ...]:
    """Those that were taken over: in force since now, as far as we know.

    Jails, causes and sites are the same few 100,000 times, so each is kept once: 16 MB. By place and in one go takes
    half the time.
    """
    one = dict[str, str]().setdefault
    # A later version may have stored a cause that this one does not know.
    cause_of = {str(cause): cause for cause in BanCause}.get
    return tuple([
        Ban(
            one(jail, jail), address, at, until, cause_of(cause, BanCause.ADOPTED), failures,
            one(site, site), (), one(reason, reason), times, bool(observed), now,
        )
        for jail, address, at, until, cause, failures, site, reason, times, observed in rows
    ])  # fmt: skip


def _hits(rows: Iterable[Any]) -> Iterator[Hit]:
    """They come from few origins, and each is kept once."""
    origins: dict[tuple[str, str, str], Origin] = {}
    for jail, address, at, source, name, stream, line, target in rows:
        key = source, name, stream
        origin = origins.get(key) or origins.setdefault(key, Origin(*key))
        yield Hit(jail, Address(address), at, origin, line, target)
