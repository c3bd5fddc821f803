"""Cuts the date out of line after line, and remembers what a text at a date's place meant.

A busy second has many lines, and all their dates are the same text. If a filter's dates can begin at one place only,
and how far one can reach is known, then the text there alone decides whether there is a date, where it ends and what
it means. So that text is looked up before it is searched.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final, NamedTuple

from sidecar.filters import regex_tree
from sidecar.filters.dates import MAX_SEARCHED_CHARS, Dates, Template, says_year
from sidecar.filters.regex_tree import Anchor, Assertion, Chars, Node

# Apache's date with its brackets has 28 characters, the longest of the default list 40.
MAX_DATE_CHARS: Final = 64
# Texts that are remembered. Each may end with the beginning of a request, so they differ; together at most 1 MB.
MAX_KNOWN_TEXTS: Final = 4_096


class DatePlace(NamedTuple):
    """The character that a date begins with, and how many characters from there on decide; ("", 0): not known."""

    begins: str
    reach: int


class DateCutter:
    """Finds dates as `Dates.find` does and reads them as `Dates.seconds` does, in one zone. Any thread may cut."""

    def __init__(self, dates: Dates, zone: tzinfo | None) -> None:
        self._dates, self._zone = dates, zone
        anywhere = [one for one in dates.templates if not one.at_start]
        self._place = date_place(anywhere[0]) if len(anywhere) == 1 else DatePlace("", 0)
        # The text at the place -> where the date starts and ends in it, and its unix time.
        self._known: dict[str, tuple[int, int, float]] = {}
        self._in_zones: dict[tzinfo, DateCutter] = {}

    @property
    def dates(self) -> Dates:
        return self._dates

    def in_zone(self, zone: tzinfo) -> DateCutter:
        """Return a cutter that reads the same dates in this zone. There are few zones."""
        found = self._in_zones.get(zone)
        if found is None:
            found = self._in_zones[zone] = DateCutter(self._dates, zone)
        return found

    def cut(self, line: str, now: float) -> tuple[str, float | None]:
        """Return the line without its date, and the date's unix time; None if it has none, or means none."""
        at, window = -1, ""
        begins, reach = self._place
        if begins and not self._dates.may_begin(line):
            at = line.find(begins, 0, MAX_SEARCHED_CHARS)
            if at < 0:
                return line, None
            if at + reach <= MAX_SEARCHED_CHARS:
                # One character before it may decide too.
                window = line[at - 1 if at else 0 : at + reach]
                if known := self._known.get(window):
                    start, end, seconds = known
                    return line[: at + start] + line[at + end :], seconds
        return self._search(line, now, window, at)

    def _search(self, line: str, now: float, window: str, at: int) -> tuple[str, float | None]:
        found = self._dates.find(line)
        if not found:
            return line, None
        start, end = found.span(1)
        seconds = self._dates.seconds(found, now, self._zone)
        if window and seconds is not None and found.start() == at and says_year(found):
            if len(self._known) >= MAX_KNOWN_TEXTS:
                self._known.clear()
            self._known[window] = start - at, end - at, seconds
        return line[:start] + line[end:], seconds


def date_place(template: Template) -> DatePlace:
    """Return where a date of this template can begin, and how far it reaches.

    That is known only if the template looks no farther than one character before or behind what it matches. `$` looks
    at two, as the last may be a newline.
    """
    nodes = regex_tree.parse(template.regex)
    width = regex_tree.width(nodes).most
    first = next((node for node in nodes if not isinstance(node, Assertion)), None)
    begins = first.literal if isinstance(first, Chars) else ""
    if (
        not begins
        or begins.isalpha()
        or width > MAX_DATE_CHARS
        or not all(map(_is_near, regex_tree.walk(nodes)))
    ):
        return DatePlace("", 0)
    return DatePlace(begins, int(width) + 2)


def _is_near(node: Node) -> bool:
    """Return whether a node looks at no more than one character outside of the match."""
    match node:
        case Assertion(body):
            return regex_tree.width(body).most <= 1
        case Anchor.LINE_START | Anchor.TEXT_START:
            return False
    return True
