"""Cuts the date out of line after line: what stands where one may begin is looked up before it is searched for.

A busy second has many lines, and their dates are the same text. Where a filter has one place only at which a date can
begin, and how far it can reach is known, that text alone decides whether there is one, where it ends and what it means.
"""

from __future__ import annotations

import re._constants as op  # type: ignore[import-not-found]  # the parser is stable, but has no public name
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from typing import Any, Final

from sidecar.filters.dates import WITHIN, Dates, Template, says_year

LONGEST: Final = 64  # characters; Apache's date with its brackets has 28, the longest of the default list 40
MOST_KNOWN: Final = (
    4_096  # texts kept in mind, each with what a visitor asked for behind its date: at most 1 MB
)
_ENDS: Final = {op.AT_BOUNDARY, op.AT_NON_BOUNDARY, op.AT_END, op.AT_END_STRING}


class Cutter:
    """Finds dates as `Dates.find` does and reads them as `Dates.seconds` does, in one zone. Any thread may cut."""

    def __init__(self, dates: Dates, zone: tzinfo | None) -> None:
        self._dates, self._zone = dates, zone
        anywhere = [one for one in dates.templates if not one.at_start]
        self._begins, self._reach = place(anywhere[0]) if len(anywhere) == 1 else ("", 0)
        self._known: dict[str, tuple[int, int, float]] = {}

    def cut(self, line: str, now: float) -> tuple[str, float | None]:
        """The line without its date, and the unix time that the date means; None where it means none."""
        at, window = -1, ""
        if self._begins and not self._dates.may_begin(line):
            at = line.find(self._begins, 0, WITHIN)
            if at < 0:
                return line, None
            if at + self._reach <= WITHIN:
                window = line[at - 1 if at else 0 : at + self._reach]
                if known := self._known.get(window):
                    start, end, told = known
                    return line[: at + start] + line[at + end :], told
        found = self._dates.find(line)
        if not found:
            return line, None
        start, end = found.span(1)
        seconds = self._dates.seconds(found, now, self._zone)
        if window and seconds is not None and found.start() == at and says_year(found):
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[window] = start - at, end - at, seconds
        return line[:start] + line[end:], seconds


def place(one: Template) -> tuple[str, int]:
    """The character that a date of this template begins with, and how many from there on decide; ("", 0): not known.

    That holds only where nothing is looked at farther than one character before or behind what is matched; `$` looks
    at two, for the last may be a newline.
    """
    parsed = parser.parse(one.regex.pattern, one.regex.flags)
    width = int(parsed.getwidth()[1])
    first = next((node for node in parsed if node[0] not in {op.ASSERT, op.ASSERT_NOT}), None)
    if first is None or first[0] is not op.LITERAL or width > LONGEST or not all(map(_near, _all(parsed))):
        return "", 0
    begins = chr(first[1])
    return ("", 0) if begins.isalpha() else (begins, width + 2)


def _near(node: Any) -> bool:  # noqa: ANN401  # the parser's
    kind, value = node
    if kind in {op.ASSERT, op.ASSERT_NOT}:
        return int(value[1].getwidth()[1]) <= 1
    return kind is not op.AT or value in _ENDS


def _all(nodes: Iterable[Any]) -> Iterator[Any]:
    """The parser's nodes, with those inside of them."""
    for kind, value in nodes:
        yield kind, value
        held = value if isinstance(value, tuple) else (value,)
        for part in (*held, *(each for one in held if isinstance(one, list) for each in one)):
            if isinstance(part, parser.SubPattern):
                yield from _all(part)
