"""Writes one turn of the loop into the tables.

A ban moves from `bans` to `history` when it is over, and not when it is made: that is a third less
to write for each ban of an attack.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TypeAlias

from sidecar.core.address import Address
from sidecar.core.allowed import Allow, AllowChange
from sidecar.core.ban_history import PastBans
from sidecar.core.events import Ban, BanCause, Decision, Turn, Unban, UnbanCause
from sidecar.stores import past_bans, rows

# Failures kept: those of 50,000 addresses that are one short of a ban. A start reads them all, in 2
# s.
MAX_HITS = 100_000

PUT_CURSOR = "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)"
PUT_HIT = "INSERT INTO hits VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
FORGIVE = "DELETE FROM hits WHERE jail = ? AND who = ? AND at <= ?"
CLEAR_HITS = "DELETE FROM hits WHERE jail = ? AND who = ?"
TOO_MANY_HITS = """
    DELETE FROM hits WHERE rowid IN (
        SELECT rowid FROM hits WHERE rowid <= (SELECT max(rowid) FROM hits) - ? ORDER BY rowid LIMIT ?
    )
"""
PUT_BAN = """
    INSERT OR REPLACE INTO bans (jail, who, at, until, cause, failures, site, reason, times, observed)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
PUT_EVIDENCE = "INSERT OR REPLACE INTO evidence VALUES (?, ?, ?)"
PUT_HISTORY = "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?)"
CLEAR_HISTORY = "DELETE FROM history WHERE jail = ? AND who = ?"
# Bans by hand are not history.
BAN_TO_HISTORY = """
    INSERT OR REPLACE INTO history SELECT jail, who, times, until FROM bans
    WHERE cause != 'manual' AND jail = ? AND who = ?
"""
PUT_ALLOWED = "INSERT OR REPLACE INTO allowed VALUES (?, ?, ?, ?)"
REMOVE_ALLOWED = "DELETE FROM allowed WHERE network = ?"
REMOVE_BAN = (
    "DELETE FROM bans WHERE jail = ? AND who = ?",
    "DELETE FROM evidence WHERE jail = ? AND who = ?",
)

# The primary key of a ban.
BanKey: TypeAlias = tuple[str, Address]


def write(db: sqlite3.Connection, turn: Turn) -> None:
    """Write what one turn changed."""
    cursors = [(rows.storable(cursor.key), cursor.state, turn.at) for cursor in turn.cursors]
    db.executemany(PUT_CURSOR, cursors)
    # Failures of those that were decided about are in the ban's evidence, or forgiven.
    decided = {(each.jail, each.address) for each in turn.decisions}
    hits = [rows.hit_row(hit, turn.at) for hit in turn.hits if (hit.jail, hit.address) not in decided]
    db.executemany(PUT_HIT, hits)
    if turn.hits:
        limit_hits(db, 2 * len(turn.hits))
    db.executemany(FORGIVE, [(each.jail, each.address, each.at) for each in turn.forgiven])
    write_allow_changes(db, turn.allow_changes)
    _write_decisions(db, turn.decisions)


def write_allow_changes(db: sqlite3.Connection, changes: Iterable[AllowChange]) -> None:
    """Write what people put on the allowlist, and remove what ended of it."""
    last = {each.address: each for each in changes}
    db.executemany(PUT_ALLOWED, [rows.allow_row(each) for each in last.values() if isinstance(each, Allow)])
    db.executemany(
        REMOVE_ALLOWED, [(address,) for address, each in last.items() if not isinstance(each, Allow)]
    )


def write_history(db: sqlite3.Connection, history: Iterable[PastBans]) -> None:
    """Write bans that are over."""
    db.executemany(PUT_HISTORY, history)


def limit_hits(db: sqlite3.Connection, at_most: int) -> None:
    """Remove the oldest failures above MAX_HITS, at most this many."""
    db.execute(TOO_MANY_HITS, (MAX_HITS, at_most))


def end_bans(db: sqlite3.Connection, keys: list[BanKey]) -> None:
    """Move these bans, which have expired, to the history."""
    past_bans.write_expired(db, keys)
    db.executemany(BAN_TO_HISTORY, keys)
    _remove_bans(db, keys)


def _write_decisions(db: sqlite3.Connection, decisions: Iterable[Decision]) -> None:
    """Write decisions, sorted by their keys: a thousand are then written ten times as fast."""
    past_bans.write_ended(db, decisions)
    last = {(each.jail, each.address): each for each in decisions}
    keys = sorted(last)
    bans = [each for key in keys if isinstance(each := last[key], Ban)]
    unbanned = [key for key in keys if isinstance(last[key], Unban)]
    stored, known = _ended(decisions)
    db.executemany(BAN_TO_HISTORY, sorted(stored))
    db.executemany(PUT_HISTORY, [(*key, *past) for key in sorted(known) if (past := known[key])])
    db.executemany(CLEAR_HISTORY, [key for key in sorted(known) if not known[key]])
    db.executemany(PUT_BAN, [rows.ban_row(ban) for ban in bans])
    # A ban that only lasts longer now, or is enforced now, comes without the lines that were
    # written before.
    evidence = [(ban.jail, ban.address, rows.evidence_text(ban)) for ban in bans if ban.evidence]
    db.executemany(PUT_EVIDENCE, evidence)
    _remove_bans(db, unbanned)
    # The failures that led to the ban are in its evidence; those before an unban are forgiven.
    db.executemany(CLEAR_HITS, keys)


def _remove_bans(db: sqlite3.Connection, keys: list[BanKey]) -> None:
    for statement in REMOVE_BAN:
        db.executemany(statement, keys)


def _ended(decisions: Iterable[Decision]) -> tuple[set[BanKey], dict[BanKey, tuple[int, float] | None]]:
    """Return the bans that are over, or are replaced by one by hand.

    First those that are in the file; then those that were made by these decisions themselves, with
    their count and end for the history, or None where an unban by hand cleared the history.
    """
    stored: set[BanKey] = set()
    known: dict[BanKey, tuple[int, float] | None] = {}
    # Each ban as these decisions left it so far.
    current: dict[BanKey, Ban | None] = {}
    for each in decisions:
        key = each.jail, each.address
        if isinstance(each, Unban) and each.cause != UnbanCause.EXPIRED:
            stored.discard(key)
            known[key] = None
        elif each.cause in (UnbanCause.EXPIRED, BanCause.MANUAL):
            if key not in current:
                stored.add(key)
            elif (ban := current[key]) and ban.cause != BanCause.MANUAL:
                known[key] = ban.ban_count, ban.until
        current[key] = each if isinstance(each, Ban) else None
    return stored, known
