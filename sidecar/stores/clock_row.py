"""The clocks as they were when the file was written, and how its times move where the wall clock was set since.

One row says it. A start reads the file before it changes it, so its queries move the times themselves.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sidecar.core.clock_steps import ClockReading, clock_step
from sidecar.stores import soundness

_EXISTS: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'clock'"
_READ: Final = "SELECT CAST(boot AS BLOB), since_boot, at FROM clock"
_REMOVE: Final = "DELETE FROM clock"
_PUT: Final = "INSERT INTO clock VALUES (?, ?, ?)"
# The columns of times, in all tables. Rows that are not sound (`soundness`) are left as they are: a sum is a number.
_TIMES: Final = ("at", "until", "ended", "touched")
_SHIFTS: Final = tuple(
    f"UPDATE {table.name} SET {', '.join(f'{each} = {each} + ?1' for each in table.numbers if each in _TIMES)} "  # noqa: S608
    f"WHERE {table.condition}"
    for table in (*soundness.TABLES, soundness.PAST_BANS)
)


def step_since(db: sqlite3.Connection, now: ClockReading) -> float:
    """Return by how many seconds the clock was set since the file was written; 0 if that is not known."""
    # A file of an earlier version, which is read only.
    if db.execute(_EXISTS).fetchone() is None:
        return 0.0
    row = db.execute(_READ).fetchone()
    # An editor or a failing disk may have left anything there.
    if row is None or [*map(type, row)] != [bytes, float, float]:
        return 0.0
    boot, since_boot, at = row
    return clock_step(ClockReading(boot.decode(errors="replace"), since_boot, at), now)


def follow(db: sqlite3.Connection, now: ClockReading) -> None:
    """Move all times in the file if the clock was set, and note the clocks. The caller has a transaction."""
    if step := step_since(db, now):
        for statement in _SHIFTS:
            db.execute(statement, (step,))
    db.execute(_REMOVE)
    db.execute(_PUT, now)
