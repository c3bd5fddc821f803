"""Rows as text for a person: columns where the terminal is wide enough, and a second line where it is not.

No word is ever broken: half an address is not an address. What does not fit into the first line goes to lines below it,
each cell with the title of its column, and a cell that is a sentence to several lines. Where the output is not a
terminal each row is one line, however wide.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sidecar.cli.stdio import terminal_width, wrapped, write_row
from sidecar.core.text import printable

GAP: Final = "  "
INDENT: Final = "    "
# Rows that are looked at to know how wide columns are. Among more of them, a wider cell moves the rest of its line.
MEASURED_ROWS: Final = 1_000


def print_table(titles: Sequence[str], rows: Iterable[Iterable[object]], *, wide: bool = False) -> None:
    """Write a blank line, the titles and the rows; nothing where there are no rows. `wide`: one line a row."""
    lines = iter(table(titles, rows, None if wide else terminal_width()))
    for number, line in enumerate(lines):
        if not number:
            write_row("")
        write_row(line)


def table(titles: Sequence[str], rows: Iterable[Iterable[object]], width: int | None) -> Iterator[str]:
    """Yield the lines of a table that is at most this many columns wide; None: as wide as it gets.

    Only a word that is wider by itself makes a wider line. Memory does not grow with the number of rows.
    """
    cells = ([printable(str(value)) for value in row] for row in rows)
    measured = list(itertools.islice(cells, MEASURED_ROWS))
    if not measured:
        return
    widths = [max(map(len, column)) for column in zip(titles, *measured, strict=True)]
    first = len(titles) if width is None else _fitting(widths, width)
    yield _joined(titles[:first], widths)
    for row in itertools.chain(measured, cells):
        yield _joined(row[:first], widths)
        if first < len(titles):
            yield from _below(titles[first:], row[first:], width or 0)


def _fitting(widths: Sequence[int], width: int) -> int:
    """Return how many columns fit into the first line."""
    used = 0
    for count, each in enumerate(widths):
        used += each + (len(GAP) if count else 0)
        if used > width:
            # The first column names the row.
            return max(count, 1)
    return len(widths)


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()


def _below(titles: Sequence[str], cells: Sequence[str], width: int) -> Iterator[str]:
    """Yield the lines below a row: `title cell`, as many of them as fit, without the empty ones."""
    line = ""
    for pair in (f"{title} {cell}" for title, cell in zip(titles, cells, strict=True) if cell):
        longer = f"{line}{GAP}{pair}" if line else f"{INDENT}{pair}"
        if line and len(longer) > width:
            yield from wrapped(line, width, INDENT * 2)
            longer = f"{INDENT}{pair}"
        line = longer
    if line:
        yield from wrapped(line, width, INDENT * 2)
