"""The bans that are over, each as it was: for people who ask `history`. Nothing is decided by them.

`history`, the other table, has a count for each address, which makes later bans longer. Here is a row for each ban,
with its end. They are in the file alone and take no memory. The oldest go first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sidecar.core.address import Address, is_wide
from sidecar.core.events import Ban, BanCause, Decision, Unban, UnbanCause
from sidecar.core.jail import SITE_MARK
from sidecar.stores import rows, soundness
from sidecar.stores.base import EndedBan, PastBansWanted

# Some 150 bytes each: 8 MB.
MAX_PAST_BANS: Final = 50_000

# Why a ban ended that one by hand took the place of, beside the causes of unbans.
REPLACED: Final = "replaced"

_COLUMNS = "jail, who, at, until, cause, failures, site, reason, times, observed"
_PUT = f"INSERT INTO past_bans ({_COLUMNS}, ended, ended_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_PUT_STORED = f"""
    INSERT INTO past_bans ({_COLUMNS}, ended, ended_by)
    SELECT {_COLUMNS}, ?3, ?4 FROM bans WHERE jail = ?1 AND who = ?2
"""  # noqa: S608
_PUT_REPLACED = f"{_PUT_STORED} AND cause != 'manual'"
_PUT_EXPIRED = f"""
    INSERT INTO past_bans ({_COLUMNS}, ended, ended_by)
    SELECT {_COLUMNS}, until, '{UnbanCause.EXPIRED}' FROM bans WHERE jail = ? AND who = ?
"""  # noqa: S608
_LIMIT = "DELETE FROM past_bans WHERE id <= (SELECT max(id) FROM past_bans) - ?"
FORGET: Final = (
    "DELETE FROM past_bans WHERE id IN (SELECT id FROM past_bans ORDER BY id LIMIT ?) AND ended < ?"
)
_READ = f"""
    SELECT {_COLUMNS}, ended, ended_by FROM past_bans
    WHERE at >= ?1 AND (?2 IN ('', jail) OR substr(jail, 1, length(?2) + 1) = ?2 || '{SITE_MARK}')
    AND {soundness.PAST_BANS.condition}
"""  # noqa: S608
_NEWEST_FIRST = " ORDER BY at DESC, id DESC"


def write_ended(db: sqlite3.Connection, decisions: Iterable[Decision]) -> None:
    """Write the bans that these decisions end, before the decisions themselves are written."""
    # Each ban as the decisions left it so far.
    current: dict[tuple[str, Address], Ban | None] = {}
    unbanned: list[tuple[object, ...]] = []
    replaced: list[tuple[object, ...]] = []
    known: list[tuple[object, ...]] = []
    for each in decisions:
        key = each.jail, each.address
        if isinstance(each, Unban):
            if key not in current:
                unbanned.append((*key, each.at, str(each.cause)))
            elif ban := current[key]:
                known.append((*rows.ban_row(ban), each.at, str(each.cause)))
            current[key] = None
            continue
        if each.cause == BanCause.MANUAL:
            if key not in current:
                replaced.append((*key, each.at, REPLACED))
            elif (ban := current[key]) and ban.cause != BanCause.MANUAL:
                known.append((*rows.ban_row(ban), each.at, REPLACED))
        current[key] = each
    # Sorted by the key of `bans`, as all of a turn is written.
    db.executemany(_PUT_STORED, sorted(unbanned))
    db.executemany(_PUT_REPLACED, sorted(replaced))
    db.executemany(_PUT, known)
    if unbanned or replaced or known:
        db.execute(_LIMIT, (MAX_PAST_BANS,))


def write_expired(db: sqlite3.Connection, keys: Sequence[tuple[str, Address]]) -> None:
    """Write bans in the file that ended while nobody looked."""
    if keys:
        db.executemany(_PUT_EXPIRED, keys)
        db.execute(_LIMIT, (MAX_PAST_BANS,))


def read(db: sqlite3.Connection, wanted: PastBansWanted) -> Iterator[EndedBan]:
    """Yield the wanted bans, the last made first."""
    query, values = _READ, [wanted.since, wanted.jail]
    # All others are left out before a value is made of them.
    if wanted.address and not is_wide(wanted.address):
        query += f" AND who IN ({', '.join('?' * len(wanted.holders))})"
        values += wanted.holders
    left = wanted.limit
    for *columns, ended, ended_by in db.execute(query + _NEWEST_FIRST, values):
        if left <= 0:
            return
        if soundness.is_address(columns[1]):
            (ban,) = rows.bans([columns], columns[2])
            if wanted.has(ban):
                left -= 1
                yield EndedBan(ban, ended, ended_by)
