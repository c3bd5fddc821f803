"""The store of one host: one SQLite file, in which a turn of the loop is one transaction.

Hits and cursors are in the same transaction, so that a line counts exactly once. When a turn cannot
be written, it is owed, and goes with the next one (see `pending`). When the file turns out to be
damaged or taken away, it is quarantined, and a new one is written from what the process has in
memory (see `recovery`).
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from sidecar.core.ban_history import PastBans
from sidecar.core.clock_steps import ClockReading, clock_step
from sidecar.core.events import Ban, Cursor, InForce, Turn
from sidecar.runtime.clock import HostClock
from sidecar.stores import clock_row, past_bans, rows, soundness, turns
from sidecar.stores.base import EndedBan, PastBansWanted, ReadBans, Remembered, StoreError
from sidecar.stores.database import LOCK_TIMEOUT_S, Database, explained, reading
from sidecar.stores.load_limit import HIT_BYTES, MIN_HITS, hits_that_fit, room_beside
from sidecar.stores.pending import Pending, divided
from sidecar.stores.recovery import Backup, Damage, damage_reason, is_taken_away, quarantine
from sidecar.stores.soundness import SoundRows
from sidecar.stores.turns import BanKey

log = logging.getLogger(__name__)

# A log that nobody wrote to for this long has no lines left that a window would count.
CURSOR_KEPT_S = 30 * 86_400.0

# Rows of each table that are forgotten at once: some 100 ms, and the loop waits as long.
MAX_ROWS_FORGOTTEN = 4_000

# Only rows of the right types are asked for (see `soundness`). The first value is by how much the clock was set since
# they were written.
READ_BANS = f"""
    SELECT jail, who, at + ?1, until + ?1, cause, failures, site, reason, times, observed FROM bans
    WHERE until + ?1 > ?2 AND {soundness.BANS.condition}
"""  # noqa: S608
COUNT_BANS = "SELECT count(*) FROM bans WHERE until + ?1 > ?2"
# With the bans that ended while we were away. An address that is banned again has only the ban.
READ_HISTORY = f"""
    SELECT jail, who, times, until + ?1 AS until FROM history WHERE {soundness.HISTORY.condition}
    UNION ALL SELECT jail, who, times, until + ?1 FROM bans
    WHERE until + ?1 <= ?2 AND cause != 'manual' AND {soundness.BANS.condition} ORDER BY until
"""  # noqa: S608
READ_HITS = f"""
    SELECT jail, who, at + ?1, source, name, stream, line, target FROM hits WHERE {soundness.HITS.condition}
    ORDER BY rowid DESC LIMIT ?2
"""  # noqa: S608
# SQLite's word for it.
NO_LIMIT = -1
# How many of the last ?1 failures take ?2 bytes, with their lines. In memory a text has one byte for each character if
# all are ASCII, else up to four.
FITTING_HITS = f"""
    SELECT count(*) FROM (
        SELECT sum({HIT_BYTES:d} + length(text) * iif(length(text) = length(CAST(text AS BLOB)), 1, 4))
            OVER (ORDER BY id DESC) AS weight
        FROM (SELECT rowid AS id, line || target AS text FROM hits ORDER BY rowid DESC LIMIT ?1)
    ) WHERE weight <= ?2
"""  # noqa: S608
READ_CURSORS = f"SELECT key, state FROM cursors WHERE {soundness.CURSORS.condition}"  # noqa: S608
READ_ALLOWED = f"""
    SELECT network, at + ?1, until + ?1, comment FROM allowed
    WHERE until + ?1 > ?2 AND {soundness.ALLOWED.condition} ORDER BY at
"""  # noqa: S608
READ_EVIDENCE = f"SELECT jail, who, lines FROM evidence WHERE {soundness.EVIDENCE.condition}"  # noqa: S608
READ_EVIDENCE_OF = f"{READ_EVIDENCE} AND jail = ? AND who = ?"
# Where the rows of bans, history, hits and evidence have the address.
ADDRESS_AT = 1
FORGET_HITS = "DELETE FROM hits WHERE rowid IN (SELECT rowid FROM hits ORDER BY rowid LIMIT ?) AND at < ?"
FORGET_CURSORS = "DELETE FROM cursors WHERE touched < ?"
FORGET_HISTORY = "DELETE FROM history WHERE until < ?"
FORGET_ALLOWED = "DELETE FROM allowed WHERE until < ?"
EXPIRED_BANS = "SELECT jail, who FROM bans WHERE until < ? LIMIT ?"


def stored_bans(path: Path, clock: ClockReading) -> ReadBans:
    """Return the bans in this file that are not over, without opening it for writing. Raises StoreError.

    No file has no bans. A file of another version may not be readable.
    """
    if not path.exists():
        return ReadBans((), clock)
    with explained(path, "read"), reading(path) as db:
        span = clock_row.step_since(db, clock), clock.at
        return ReadBans(
            rows.bans(SoundRows(db).fetch(READ_BANS, span, address_at=ADDRESS_AT), clock.at), clock
        )


def _fitting_hits(db: Database, room_bytes: float, bans: int) -> int | None:
    """Return how many of the last failures fit beside this many bans, with their lines; None: all."""
    most = hits_that_fit(room_bytes, bans)
    if most is None:
        return None
    (fitting,) = db.read().execute(FITTING_HITS, (most, room_beside(room_bytes, bans))).fetchone()
    return max(MIN_HITS, int(fitting))


class SqliteStore:
    """A Sink. It is used by one thread at a time, but for `evidence` and `past_bans`.

    `is_new`: it began with nothing. `repaired`: a sentence, if the file was damaged at the start,
    and is quarantined or mended. `unavailable`: why the file cannot be opened; everything is owed until
    `forget` can open it. `behind`: there is more to write than fitted into the last turn.
    """

    name = "store"

    def __init__(self, path: Path, clock: HostClock | None = None) -> None:
        """Open or make the file. Raises StoreError for a file of a newer version.

        With a `clock` what is stored keeps the time that it has left where the clock is set, also between two runs.
        """
        self.path = path
        self._clock, self._clock_is_due = clock, True
        self.repaired = self.unavailable = ""
        self.is_new = not path.exists()
        self._pending, self._backup = Pending(), Backup()
        self._damage: Damage | None = None
        self._db = self._open()

    @property
    def behind(self) -> bool:
        return self._pending.behind

    def load(self, now: float, room_bytes: float = math.inf, read: ReadBans | None = None) -> Remembered:
        """Return everything that still matters at this time; of failures the last that fit. Raises StoreError.

        The bans that `stored_bans` has read before are not read again, if they are still the file's.
        """
        if self._db is None:
            return Remembered()
        with explained(self.path, "read"):
            found = SoundRows(self._db.read())
            step = clock_row.step_since(self._db.read(), self._clock.reading) if self._clock else 0.0
            if read and self._has_only(read, step):
                # A ban that has ended since then is not of the history yet.
                bans, now = read.bans, read.clock.at
            else:
                bans = rows.bans(found.fetch(READ_BANS, (step, now), address_at=ADDRESS_AT), now)
            past = found.fetch(READ_HISTORY, (step, now), address_at=ADDRESS_AT)
            history = tuple(map(PastBans._make, past))
            most = _fitting_hits(self._db, room_bytes, len(bans) + len(history))
            latest = found.fetch(READ_HITS, (step, NO_LIMIT if most is None else most), address_at=ADDRESS_AT)
            hits = tuple(rows.hits(latest[::-1]))
            if len(latest) == most:
                log.warning(
                    "memory is short: of the failures before this start only the last %d count. Raise the memory limit",
                    most,
                )
            cursors = dict(found.fetch(READ_CURSORS))
            allowed = tuple(Allow(*row) for row in found.fetch_networks(READ_ALLOWED, (step, now)))
            found.check_types(len(bans) + len(history))
            if found.left_out:
                self._remove_unsound(self._db)
        self._backup.note(Cursor(key, state) for key, state in cursors.items())
        return Remembered(bans, history, hits, cursors, allowed)

    def _has_only(self, read: ReadBans, step: float) -> bool:
        """Return whether these are still all the bans: as many are in the file, and the clock was not set meanwhile.

        There are more in the file if one of them is not sound.
        """
        if self._db is None or (self._clock and clock_step(read.clock, self._clock.reading)):
            return False
        (count,) = self._db.read().execute(COUNT_BANS, (step, read.clock.at)).fetchone()
        return bool(count == len(read.bans))

    def evidence(self, keys: Iterable[BanKey] | None = None) -> dict[BanKey, tuple[str, ...]]:
        """Return the lines of each of these bans, or of all, oldest first, where there are any. Raises StoreError.

        Any thread may ask: it reads with a connection of its own what the last turn wrote.
        """
        pending, wanted = self._pending.turn, None if keys is None else set(keys)
        queries = [(READ_EVIDENCE, ())] if wanted is None else [(READ_EVIDENCE_OF, key) for key in wanted]
        found: dict[BanKey, tuple[str, ...]] = {}
        if not self.unavailable:
            with explained(self.path, "read"), reading(self.path) as db:
                sound = SoundRows(db)
                for query, key in queries:
                    for jail, address, text in sound.fetch(query, key, address_at=ADDRESS_AT):
                        found[jail, Address(address)] = rows.evidence_lines(text)
        for each in pending.decisions if pending else ():
            if (
                isinstance(each, Ban)
                and each.evidence
                and (wanted is None or (each.jail, each.address) in wanted)
            ):
                found[each.jail, each.address] = each.evidence
        return found

    def past_bans(self, wanted: PastBansWanted) -> list[EndedBan]:
        """Return the bans that are over, the last made first. Any thread may ask. Raises StoreError."""
        if self.unavailable:
            raise StoreError(self.unavailable)
        with explained(self.path, "read"), reading(self.path) as db:
            return list(past_bans.read(db, wanted))

    def apply(self, turn: Turn) -> None:
        """Write what one turn changed, in one transaction. Raises StoreError, and then none of it is written.

        Of many decisions only some are written now, and the rest with the next turns. Where the
        disk is full or the file locked, everything is owed. A damaged file is replaced, which a
        StoreError reports as well.
        """
        due = self._pending.add(turn)
        self._backup.note(turn.cursors)
        if self._damage:
            self._pending.limit()
            self._replace(self._damage, turn.in_force)
        if self._db is None:
            self._pending.limit()
            raise StoreError(self.unavailable)
        now, later = divided(due)
        try:
            with explained(self.path, "written"), self._db.transaction() as db:
                self._follow_clock(db)
                turns.write(db, now)
            self._clock_is_due = False
        except StoreError as err:
            if reason := damage_reason(err.__cause__):
                self._replace(self._mark_damaged(reason, due), turn.in_force)
            # Any other error is this turn's own fault, and would come again.
            if isinstance(err.__cause__, sqlite3.OperationalError):
                self._pending.limit()
            else:
                self._pending.written(None)
            raise
        self._pending.written(later)

    def forget(
        self, before: float, history_before: float = -math.inf, in_force: InForce | None = None
    ) -> None:
        """Write what is owed, and forget what is old. Raises StoreError.

        Forgotten are failures before this time, which no window counts; the cursors of logs long
        gone; and bans that ended before `history_before`. Of very many rows, the rest is forgotten
        the next time.
        """
        if self._damage is None:
            if self._db is None:
                self._db = self._open_late(in_force or Remembered())
            elif is_taken_away(self.path):
                self._mark_damaged("it was taken away", Turn(before))
        if self._pending.turn:
            self.apply(Turn(self._pending.turn.at, in_force=in_force))
        if self._db is None:
            raise StoreError(self.unavailable)
        try:
            with explained(self.path, "written"), self._db.transaction() as db:
                self._clock_is_due = True
                self._follow_clock(db)
                db.execute(FORGET_HITS, (MAX_ROWS_FORGOTTEN, before))
                turns.limit_hits(db, MAX_ROWS_FORGOTTEN)
                db.execute(FORGET_CURSORS, (before - CURSOR_KEPT_S,))
                # These ended while we were away.
                turns.end_bans(db, db.execute(EXPIRED_BANS, (before, MAX_ROWS_FORGOTTEN)).fetchall())
                db.execute(FORGET_HISTORY, (history_before,))
                # As did these.
                db.execute(FORGET_ALLOWED, (before,))
                db.execute(past_bans.FORGET, (MAX_ROWS_FORGOTTEN, history_before))
            self._clock_is_due = False
        except StoreError as err:
            if reason := damage_reason(err.__cause__):
                self._replace(self._mark_damaged(reason, Turn(before)), in_force)
            raise

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set: what is owed now, and what is in the file with the next turn."""
        self._pending.shift(by_s)
        self._clock_is_due = True

    def close(self) -> None:
        """Write what is owed, if that is possible, and close the file."""
        # The loop has reported the error.
        with contextlib.suppress(StoreError):
            while self._pending.turn and self._db is not None:
                self.apply(Turn(self._pending.turn.at))
        if self._db is not None:
            self._db.close()

    def _follow_clock(self, db: sqlite3.Connection) -> None:
        """Before anything else is written, have the times in the file follow the clock."""
        if self._clock and self._clock_is_due:
            clock_row.follow(db, self._clock.reading)

    def _remove_unsound(self, db: Database) -> None:
        """Remove rows that we cannot have written, and say so in `repaired`."""
        try:
            with db.transaction() as connection:
                removed = soundness.remove_unsound(connection)
        except sqlite3.OperationalError as err:
            self.repaired = f"{self.path} has damaged rows, which are left out ({err})"
            return
        counts = ", ".join(f"{count:,} of {table}" for table, count in removed.items())
        self.repaired = f"{self.path} had damaged rows, which were removed: {counts}. All others are in use"

    def _open(self) -> Database | None:
        """Open the file at the start. Quarantine a damaged one; if none can be opened, say so."""
        try:
            with explained(self.path, "opened"):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    return Database(self.path)
                # Locked, full or read-only; not damaged.
                except sqlite3.OperationalError:
                    raise
                except sqlite3.DatabaseError as err:
                    quarantined, self.is_new = quarantine(self.path), True
                    self.repaired = (
                        f"{self.path} was damaged ({str(err).splitlines()[0]}): "
                        f"bans and log positions are lost. Kept: {quarantined}"
                    )
                    return Database(self.path)
        except StoreError as err:
            # A file of a newer version: the operator has to choose.
            if err.__cause__ is None:
                raise
            self.unavailable, self.is_new = str(err), True
            return None

    def _open_late(self, in_force: InForce) -> Database:
        """Open the file after all, and write what is in force over what was there. Raises StoreError: not yet."""
        with explained(self.path, "opened"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = self._opened_with_all_in_force(in_force, Turn(0.0))
        self.unavailable = ""
        return db

    def _mark_damaged(self, reason: str, due: Turn) -> Damage:
        """Close the file. `due` is what is to be written into a new one, if nothing is owed."""
        if self._db is not None:
            self._db.close()
        self._db, self._damage = None, Damage(reason)
        self._pending.turn = self._pending.turn or due
        return self._damage

    def _replace(self, damage: Damage, in_force: InForce | None) -> NoReturn:
        """Write what is in force, and what is owed, into a new file.

        Raises StoreError: that it was done, or why not; then it is tried again with the next turn.
        """
        if in_force is None:
            raise StoreError(f"{self.path} is damaged ({damage.reason}), and is not replaced yet")
        with explained(self.path, "replaced"):
            damage.quarantine(self.path)
            self._db = self._opened_with_all_in_force(in_force, self._pending.turn or Turn(0.0))
        self._damage = None
        self._pending.written(None)
        # The next turn comes at once and succeeds, which ends the problem that this error reports.
        self._pending.behind = True
        raise StoreError(
            f"{self.path} was damaged ({damage.reason}): bans, history and log positions are in a new file; "
            f"failures counted so far are lost at the next start.{damage.kept}"
        )

    def _opened_with_all_in_force(self, in_force: InForce, due: Turn) -> Database:
        db = Database(self.path, LOCK_TIMEOUT_S)
        try:
            with db.transaction() as connection:
                self._clock_is_due = True
                self._follow_clock(connection)
                self._backup.write(connection, in_force, due)
        except BaseException:
            db.close()
            raise
        return db
