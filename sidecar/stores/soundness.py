"""Rows that this program cannot have written: another program, an editor or a failing disk did.

SQLite stores any type in any column, and bytes that are not text. One such row must not cost the others, so it is left
out when the tables are read, removed, and reported.
"""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.core.address import parse_canonical, parse_network


@dataclass(frozen=True, slots=True)
class Table:
    """What a sound row of one table is like."""

    name: str
    # What distinguishes its rows. "rowid" is an integer, all others are text.
    key: tuple[str, ...]
    texts: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        """An SQL expression: every value has its type. Otherwise it is false, or NULL because one of them is.

        SQLite orders values by their type: NULL, numbers, text, blobs (https://sqlite.org/datatype3.html, section 4.1).
        A comparison takes a third of the time of `typeof`, and a start asks it of 100,000 bans. The plus keeps SQLite
        from going through an index for it.
        """
        kinds = (
            (self.texts, ">= ''"), (self.texts, "< x''"), (self.numbers, "< ''"), (self.blobs, ">= x''"),
        )  # fmt: skip
        return " AND ".join(f"+{column} {kind}" for columns, kind in kinds for column in columns)


BANS: Final = Table(
    "bans", ("jail", "who"), ("jail", "who", "cause", "site", "reason"),
    ("at", "until", "failures", "times", "observed"),
)  # fmt: skip
HISTORY: Final = Table("history", ("jail", "who"), ("jail", "who"), ("times", "until"))
HITS: Final = Table(
    "hits", ("rowid",), ("jail", "who", "source", "name", "stream", "line", "target"), ("at",)
)
CURSORS: Final = Table("cursors", ("key",), ("key",), ("touched",), ("state",))
ALLOWED: Final = Table("allowed", ("network",), ("network", "comment"), ("at", "until"))
EVIDENCE: Final = Table("evidence", ("rowid",), ("jail", "who", "lines"))
PAST_BANS: Final = Table(
    "past_bans", ("id",), ("jail", "who", "cause", "site", "reason", "ended_by"),
    ("at", "until", "failures", "times", "observed", "ended"),
)  # fmt: skip
# The tables that a start reads. Evidence, most of the file, and past bans are read when somebody asks.
TABLES: Final = (BANS, HISTORY, HITS, CURSORS, ALLOWED)


class SoundRows:
    """Reads from one connection, and leaves out rows that are not sound. `left_out` is whether there were any."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.left_out = False

    def fetch(self, query: str, values: Sequence[object] = (), *, address_at: int | None = None) -> list[Any]:
        """Return the rows of a query that asks for sound types itself. `address_at`: the column with an address."""
        try:
            found = self._db.execute(query, values).fetchall()
        except sqlite3.OperationalError as err:
            # Nothing else distinguishes this error. It ends the whole query.
            if "decode" not in str(err):
                raise
            found = [row for row in self._fetch_lenient(query, values) if all(map(_is_text, row))]
            self.left_out = True
        if address_at is None:
            return found
        sound = [row for row in found if is_address(row[address_at])]
        self.left_out = self.left_out or len(sound) < len(found)
        return sound

    def fetch_networks(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """Return the rows of a query whose first column is a network of any width."""
        found = self.fetch(query, values)
        sound = [row for row in found if parse_network(row[0])]
        self.left_out = self.left_out or len(sound) < len(found)
        return sound

    def check_types(self, banned: int) -> None:
        """Look for rows that no query asked for. `banned` is how many sound rows of bans and history were read."""
        # A start counts 100,000 bans in a tenth of the time in which it looks at them.
        known = self._count(BANS) + self._count(HISTORY) == banned
        for table in TABLES:
            if known and table in {BANS, HISTORY}:
                continue
            query = f"SELECT EXISTS (SELECT 1 FROM {table.name} WHERE ({table.condition}) IS NOT TRUE)"  # noqa: S608
            self.left_out = self.left_out or bool(self._db.execute(query).fetchone()[0])

    def _count(self, table: Table) -> int:
        (count,) = self._db.execute(f"SELECT count(*) FROM {table.name}").fetchone()  # noqa: S608
        return int(count)

    def _fetch_lenient(self, query: str, values: Sequence[object]) -> list[Any]:
        before, self._db.text_factory = self._db.text_factory, _lenient_text
        try:
            return self._db.execute(query, values).fetchall()
        finally:
            self._db.text_factory = before


def is_address(text: str) -> bool:
    """Return whether the text is an address or a network. For 100,000 rows at a start, so it avoids `ipaddress`."""
    address, slash, prefix = text.partition("/")
    if slash and (prefix != "64" or ":" not in address):
        return parse_canonical(text) is not None
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    # Text that is not ASCII, or has a zero byte, is a ValueError.
    except (OSError, ValueError):
        return False
    return not slash or not any(packed[8:])


def remove_unsound(db: sqlite3.Connection) -> dict[str, int]:
    """Remove the rows that are not sound, and return how many these were, by table. The caller has a transaction."""
    removed = {}
    for table in TABLES:
        if keys := _unsound_keys(db, table):
            db.executemany(f"DELETE FROM {table.name} WHERE {_where(table)}", keys)  # noqa: S608 - our own names
            removed[table.name] = len(keys)
    return removed


def _unsound_keys(db: sqlite3.Connection, table: Table) -> list[tuple[object, ...]]:
    """Return the keys of the rows that are not sound: bytes, or a rowid."""
    columns = ", ".join((*map(_raw, table.key), table.condition, *map(_raw, table.texts)))
    keys = len(table.key)
    found = []
    for row in db.execute(f"SELECT {columns} FROM {table.name}"):  # noqa: S608 - our own names
        texts = dict(zip(table.texts, row[keys + 1 :], strict=True))
        if not row[keys] or not _are_sound(texts):
            found.append(row[:keys])
    return found


def _are_sound(texts: dict[str, bytes]) -> bool:
    try:
        decoded = {column: text.decode() for column, text in texts.items()}
    except UnicodeDecodeError:
        return False
    if "network" in decoded:
        return parse_network(decoded["network"]) is not None
    return "who" not in decoded or is_address(decoded["who"])


def _raw(column: str) -> str:
    return column if column == "rowid" else f"CAST({column} AS BLOB)"


def _where(table: Table) -> str:
    return " AND ".join(f"{_raw(column)} = ?" for column in table.key)


def _lenient_text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _is_text(value: object) -> bool:
    """Return whether this is anything but a text that was read from bytes that are not text."""
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
