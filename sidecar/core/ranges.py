"""Overlapping ranges of addresses as disjoint ones. Addresses are numbers here, and both ends belong to a range."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeVar

Value = TypeVar("Value", int, float)


def flatten(spans: Iterable[tuple[int, int, Value]]) -> list[tuple[int, int, Value]]:
    """Return disjoint (first, last, value) in order. Where spans overlap the smallest value counts.

    Adjacent spans of one value are joined.
    """
    todo = sorted(spans)
    points = sorted({point for first, last, _ in todo for point in (first, last + 1)})
    # A heap of (value, last): the spans that cover `here`.
    covering: list[tuple[Value, int]] = []
    flat: list[tuple[int, int, Value]] = []
    taken = 0
    for here, there in pairwise(points):
        while taken < len(todo) and todo[taken][0] <= here:
            _, last, value = todo[taken]
            heapq.heappush(covering, (value, last))
            taken += 1
        while covering and covering[0][1] < here:
            heapq.heappop(covering)
        if not covering:
            continue
        value = covering[0][0]
        if flat and flat[-1][1] == here - 1 and flat[-1][2] == value:
            flat[-1] = (flat[-1][0], there - 1, value)
        else:
            flat.append((here, there - 1, value))
    return flat
