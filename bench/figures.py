"""What a benchmark says: a figure with its peer's, its limit and its goal beside it, and how much it wavers."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results.json"
COLUMNS = ("name", "unit", "ours", "peer", "limit", "goal", "met")


@dataclass(frozen=True, slots=True)
class Series:
    """One thing measured again and again."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        """The nearest rank: of fewer than 100 values the worst."""
        return sorted(self.values)[math.ceil(0.99 * len(self.values)) - 1]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of results.json. `peer` is fail2ban's, `limit` what nobody could beat; None: there is none."""

    name: str
    unit: str
    ours: float
    peer: float | None = None
    limit: float | None = None
    at_most: float | None = None  # the goal, one of the two
    at_least: float | None = None
    series: tuple[Series, ...] = ()  # what it was made from

    @property
    def goal(self) -> float | None:
        return self.at_most if self.at_least is None else self.at_least

    @property
    def met(self) -> bool | None:
        """None: there is no goal."""
        if self.at_least is not None:
            return self.ours >= self.at_least
        return None if self.at_most is None else self.ours <= self.at_most

    @property
    def row(self) -> dict[str, object]:
        found = {name: getattr(self, name) for name in COLUMNS}
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in found.items()}


def save(figures: Iterable[Figure], path: Path = RESULTS) -> None:
    """Write the rows; those of figures that were not measured now stay as they were."""
    rows = {row["name"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    rows |= {figure.name: figure.row for figure in figures}
    text = ",\n".join(f"  {json.dumps(row)}" for row in rows.values())
    path.write_text(f"[\n{text}\n]\n")


def report(figures: Sequence[Figure]) -> str:
    """The figures, then the noise of each series that they were made from."""
    found = [
        [f.name, f.unit, *map(_number, (f.ours, f.peer, f.limit)), _goal(f), _MET[f.met]] for f in figures
    ]
    series = dict.fromkeys(series for figure in figures for series in figure.series)
    noise = [
        [s.name, s.unit, str(len(s.values)), *map(_number, (s.median, s.p99, min(s.values), max(s.values)))]
        for s in series
    ]
    return "\n".join(
        [*_table(COLUMNS, found), "", *_table(("series", "unit", "n", "median", "p99", "min", "max"), noise)]
    )


_MET = {True: "yes", False: "NO", None: ""}


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return "-"
    return f"{'<=' if figure.at_least is None else '>='} {_number(figure.goal)}"


def _number(value: float | None) -> str:
    """Three figures that mean something; no fourth does."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return [
        "  ".join(
            text.ljust(width) if at < 2 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, ["-" * width for width in widths], *rows)
    ]
