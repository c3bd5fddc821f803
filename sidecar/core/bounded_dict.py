"""How a dictionary in order of age is bounded."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, takewhile
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

# Each time a full dictionary drops one in this many of its entries.
DROPPED_SHARE: Final = 16


def drop_oldest(table: dict[K, V]) -> list[tuple[K, V]]:
    """Remove the first sixteenth, at least one entry, and return it.

    Not one by one: to find its first entry a dictionary steps over all that were deleted before it since it last grew.
    An attacker who makes us track address after address would make each of them cost more than the one before.
    """
    oldest = list(islice(table.items(), len(table) // DROPPED_SHARE + 1))
    for key, _ in oldest:
        del table[key]
    return oldest


def halved(table: dict[K, V], least: int) -> tuple[dict[K, V], int]:
    """Return the newer half of the table, but no fewer than its `least` newest entries, and how many are not in it.

    It is another dictionary, because one that entries are removed from keeps its memory.
    """
    kept = max(len(table) // 2, least)
    dropped = max(0, len(table) - kept)
    return (dict(islice(table.items(), dropped, None)), dropped) if dropped else (table, 0)


def drop_while(table: dict[K, V], is_old: Callable[[V], bool]) -> None:
    """Remove the first entries, up to one that is not old. Late arrivals behind it are removed by a later call."""
    for key, _ in list(takewhile(lambda entry: is_old(entry[1]), table.items())):
        del table[key]
