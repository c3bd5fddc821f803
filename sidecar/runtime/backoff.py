"""Exponential backoff: how long to wait before the next try."""

from __future__ import annotations


class Backoff:
    """Delays that double from `first_s` to `longest_s`; `reset()` after a success. Owned by one thread."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self.first_s = first_s
        self.longest_s = longest_s
        self._next_s = first_s

    def next(self) -> float:
        """Return the seconds to wait now, and double the delay after it."""
        delay_s = self._next_s
        self._next_s = min(delay_s * 2, self.longest_s)
        return delay_s

    def reset(self) -> None:
        """Begin again with the shortest delay."""
        self._next_s = self.first_s
