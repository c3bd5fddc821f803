"""One frame of `top`: the daemon's answer, fitted to a terminal. No address is broken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sidecar.cli.text import local_time
from sidecar.control.protocol import TopAnswer
from sidecar.core.durations import format_duration
from sidecar.core.text import printable

# Lines of the head, and of each table beside its rows: a title and a blank line.
HEAD_LINES: Final = 3
TABLE_LINES: Final = 2
TABLES: Final = 3
# Of each table, however low the terminal is; and at most, where there is no terminal.
MIN_ROWS: Final = 1
MAX_ROWS: Final = 20
# Columns that are never cut, beside those of addresses; and those that stand on the right.
# Failures, which the daemon counts over ten minutes.
LATELY: Final = "last 10m"
NUMBERS: Final = frozenset({"failures", LATELY, "dropped", "bans", "banned now"})
WHOLE: Final = NUMBERS | {"decision", "banned"}
# A wider terminal shows sites beside jails.
WIDE_COLUMNS: Final = 70


def frame(answer: TopAnswer, before: TopAnswer | None, width: int, height: int | None) -> RenderableType:
    """Return a frame. `before` is the answer before this one, for rates; `height` None: as high as it gets."""
    problems = answer["health"]["why"][: 1 if height else None]
    free = None if height is None else height - HEAD_LINES - len(problems) - TABLES * TABLE_LINES - 1
    rows = MAX_ROWS if free is None else max(MIN_ROWS, free // TABLES)
    jails = _table(
        ("jail", "failures", "bans", "banned now"),
        ((each["name"], each["failures"], each["bans"], each["active"]) for each in answer["jails"][:rows]),
    )
    sites = _table(
        ("log", LATELY),
        ((each["name"], each["failures"]) for each in answer["sites"][:rows]),
    )
    return Group(
        *_head(answer, before, problems),
        Text(),
        _beside(jails, sites) if width >= WIDE_COLUMNS else jails,
        Text(),
        _table(
            ("address", LATELY, "dropped", "banned", "jail", "log"),
            (
                (
                    each["ip"], each["failures"], "" if each["dropped"] is None else f"{each['dropped']:,}",
                    "yes" if each["banned"] else "", each["jail"], each["site"],
                )
                for each in answer["addresses"][:rows]
            ),
        ),
        Text(),
        _table(
            ("decision", "address", "what", "jail", "why"),
            (
                (local_time(each["at"])[11:], each["ip"], each["what"], each["jail"], each["why"])
                for each in answer["decisions"][:rows]
            ),
        ),
    )  # fmt: skip


def _head(answer: TopAnswer, before: TopAnswer | None, problems: Sequence[str]) -> Iterable[RenderableType]:
    ready = answer["health"]["ready"]
    up = format_duration(answer["now"] - answer["started"])
    first = Text(f"wp-sidecar {printable(answer['version'])}, up {up}, ", no_wrap=True, overflow="ellipsis")
    first.append("healthy" if ready else "not healthy", style="green" if ready else "bold red")
    first.append(f", {answer['bans']:,} banned")
    yield first
    figures = (
        f"failures {_rate(answer, before, 'failures')}",
        f"packets dropped {_rate(answer, before, 'dropped')}",
    )
    yield Text(", ".join(figures), no_wrap=True, overflow="ellipsis")
    for sentence in problems:
        yield Text(printable(sentence), style="red", no_wrap=True, overflow="ellipsis")


def _rate(answer: TopAnswer, before: TopAnswer | None, name: str) -> str:
    """Return `3.0/s (1,234 so far)`."""
    total: int = answer[name]  # type: ignore[literal-required]
    if before is None or answer["now"] <= before["now"]:
        return f"{total:,} so far"
    # A daemon that was restarted begins at 0.
    grown = max(0, total - before[name])  # type: ignore[literal-required]
    return f"{grown / (answer['now'] - before['now']):,.1f}/s ({total:,} so far)"


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table without lines. What does not fit is cut off the columns that hold free text."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(titles):
        whole = title == "address" or title in WHOLE
        widest = max((len(row[number]) for row in cells), default=0)
        table.add_column(
            Text(title, no_wrap=True, overflow="ellipsis"),
            justify="right" if title in NUMBERS else "left",
            no_wrap=whole,
            min_width=widest if whole else None,
        )
    for row in cells:
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in row))
    return table


def _beside(left: Table, right: Table) -> Table:
    both = Table.grid(padding=(0, 3))
    both.add_row(left, right)
    return both
