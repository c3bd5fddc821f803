"""How a dictionary that is kept in order of age is bounded."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, takewhile
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SHARE: Final = 16


def drop_oldest(table: dict[K, V]) -> list[tuple[K, V]]:
    """Take out the first sixteenth, at least one, and return it.

    Not one by one: to find the first entry, a dictionary steps over all that were deleted before it since it last grew,
    so that whoever makes us track one address after the other would cost more with each.
    """
    oldest = list(islice(table.items(), len(table) // SHARE + 1))
    for key, _ in oldest:
        del table[key]
    return oldest


def drop_while(table: dict[K, V], over: Callable[[V], bool]) -> None:
    """Take out the first entries, up to one that is not over: order of age is that of arrival but for stragglers."""
    for key, _ in list(takewhile(lambda entry: over(entry[1]), table.items())):
        del table[key]
