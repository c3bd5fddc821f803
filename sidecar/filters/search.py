"""One search over a batch for many expressions, by Vectorscan (PyPI's package `hyperscan`).

Vectorscan 5.4.12 loses matches, and reads beyond the data, where a search ends: its vectorised loops treat the last
bytes of a buffer in a way of their own (its issues 317, 358, 378, 381, 382). So no search here ends at the data's last
byte: more newlines follow it than the widest vector register has bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import hyperscan

# Behind the data: more than the 64 bytes of an AVX-512 register.
PADDING: Final = b"\n" * 128
# Data up to this size is copied to put the padding behind it, which takes some microseconds. Of more, only the end is.
MAX_COPIED_BYTES: Final = 32 * 1024
# A match is one number, so that sorting matches is quick: its end in the data, and in the low bits its expression.
ID_BITS: Final = 16
ID_MASK: Final = (1 << ID_BITS) - 1

OnMatch: TypeAlias = Callable[[int, int, int, int, object], bool | None]
"""`(expression, start, end, flags, context)`; true ends the search."""


class RefusedError(ValueError):
    """Vectorscan refuses these expressions: they are too large, or would match nothing at all."""


class Search:
    """Finds expressions of bytes in lines. Any thread may search. In an expression `$` is a line's end."""

    def __init__(self, expressions: Sequence[bytes], *, once: bool = False) -> None:
        """Compile the expressions; their places are their numbers. Raises RefusedError.

        `once`: of each expression one match or two are enough, as nobody asks for where it matches.
        """
        flags = hyperscan.HS_FLAG_SINGLEMATCH if once else hyperscan.HS_FLAG_PREFILTER
        self._database = hyperscan.Database()
        self._threads = threading.local()
        try:
            self._database.compile(
                expressions=list(expressions),
                ids=list(range(len(expressions))),
                elements=len(expressions),
                flags=[hyperscan.HS_FLAG_MULTILINE | flags] * len(expressions),
            )
        except hyperscan.error as err:
            raise RefusedError(str(err)) from err

    def matches(self, data: bytes) -> list[int]:
        """Return the matches as `end << ID_BITS | expression`, in order, some perhaps twice."""
        found: list[int] = []
        append = found.append
        start = 0

        def on_match(expression: int, _start: int, end: int, _flags: int, _context: object) -> None:
            append(end + start << ID_BITS | expression)

        if len(data) > MAX_COPIED_BYTES:
            # Up to the padding's length before the end. Lines that may be affected by where this search ends are
            # searched once more, with all that follows them.
            head = len(data) - len(PADDING)
            self.scan(memoryview(data)[:head], on_match)
            start = data.rfind(b"\n", 0, head - len(PADDING)) + 1
        self.scan(data[start:] + PADDING, on_match)
        found.sort()
        # The padding is not a line.
        limit = len(data) + 1 << ID_BITS
        while found and found[-1] >= limit:
            found.pop()
        return found

    def scan(self, data: bytes | memoryview, on_match: OnMatch) -> None:
        """Have Vectorscan call `on_match` for each match."""
        # The types of the package know no memoryview; it takes any buffer.
        self._database.scan(  # type: ignore[type-var]
            data, match_event_handler=on_match, scratch=self._scratch()
        )

    def _scratch(self) -> Any:  # noqa: ANN401  hyperscan carries no types
        """Return this thread's scratch space, which a search needs for itself (Hyperscan's manual, "Scratch space")."""
        scratch = getattr(self._threads, "scratch", None)
        if scratch is None:
            scratch = self._threads.scratch = hyperscan.Scratch(self._database)
        return scratch
