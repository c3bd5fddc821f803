"""Overlapping ranges of addresses -> disjoint ones. Addresses are whole numbers here, both ends included."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeVar

Value = TypeVar("Value", int, float)


def flatten(spans: Iterable[tuple[int, int, Value]]) -> list[tuple[int, int, Value]]:
    """Disjoint spans in order: where several lay over each other the smallest value stays.

    Neighbours of one value join.
    """
    todo = sorted(spans)
    points = sorted({point for low, high, _ in todo for point in (low, high + 1)})
    over: list[tuple[Value, int]] = []  # a heap of (value, high): the spans that lie over `here`
    flat: list[tuple[int, int, Value]] = []
    taken = 0
    for here, there in pairwise(points):
        while taken < len(todo) and todo[taken][0] <= here:
            _, high, value = todo[taken]
            heapq.heappush(over, (value, high))
            taken += 1
        while over and over[0][1] < here:
            heapq.heappop(over)
        if not over:
            continue
        value = over[0][0]
        if flat and flat[-1][1] == here - 1 and flat[-1][2] == value:
            flat[-1] = (flat[-1][0], there - 1, value)
        else:
            flat.append((here, there - 1, value))
    return flat
