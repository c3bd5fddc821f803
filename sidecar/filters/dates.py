"""Where a line's date is, so that it can be cut out, and which unix time it means.

Filters are written for lines without their date, so the place of the date decides what a failregex sees. `Dates` is a
list of patterns in fail2ban's `datepattern` language. A pattern that is bound to the beginning of the line wins; of
the others the leftmost match does, because a date further right is likely to be text that a client sent.

Nothing is remembered from line to line except what a date's text means, so a line is always read in the same way.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Final

from sidecar.filters.time_zones import ABBREVIATED_ZONE_HOURS

AT_START: Final = r"^(?:\W{0,2})?"
# Not in the middle of a word. The second is for what begins with a word character, and takes half the time.
NOT_IN_WORD: Final = r"(?<!\w(?=\w))"
NOT_BEHIND_WORD: Final = r"(?<!\w)"
DAY_S: Final = 86_400
# How much of a line is searched. To search 50 KB of a client's text takes 10 ms.
MAX_SEARCHED_CHARS: Final = 4_096
# Dates that are remembered with their meaning: an hour of seconds.
MAX_KNOWN_DATES: Final = 4_096

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_LONG_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ZONE: Final = r"Z|UTC|GMT|[+-][01][0-9](?::?[0-9]{2})?"

# Each `%x`: the name of its group, and what it accepts. A name that begins with `_` is matched, but not read.
_FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "Y": ("Y", r"[0-9]{4}"),
    "ExY": ("Y", r"20[0-9]{2}"),
    "y": ("y", r"[0-9]{2}"),
    "Exy": ("y", r"[0-9]{2}"),
    "m": ("m", r"1[0-2]|0[1-9]|[1-9]"),
    "Exm": ("m", r"1[0-2]|0[1-9]"),
    "b": ("b", "|".join(name[:3] for name in _LONG_MONTHS)),
    "B": ("b", "|".join(_LONG_MONTHS)),
    "d": ("d", r"3[01]|[12][0-9]|0[1-9]|[1-9]| [1-9]"),
    "Exd": ("d", r"3[01]|[12][0-9]|0[1-9]"),
    "j": ("j", r"36[0-6]|3[0-5][0-9]|[12][0-9]{2}|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]"),
    "a": ("_a", "|".join(name[:3] for name in _LONG_DAYS)),
    "A": ("_a", "|".join(_LONG_DAYS)),
    "w": ("_w", r"[0-6]"),
    "H": ("H", r"2[0-3]|[01][0-9]|[0-9]"),
    "ExH": ("H", r"2[0-3]|[01][0-9]"),
    "k": ("H", r" ?(?:2[0-3]|[01][0-9]|[0-9])"),
    "I": ("I", r"1[0-2]|0[1-9]|[1-9]"),
    "l": ("I", r" ?(?:1[0-2]|0[1-9]|[1-9])"),
    "p": ("p", r"am|pm"),
    "M": ("M", r"[0-5][0-9]|[0-9]"),
    "ExM": ("M", r"[0-5][0-9]"),
    "S": ("S", r"6[01]|[0-5][0-9]|[0-9]"),
    "ExS": ("S", r"6[01]|[0-5][0-9]"),
    "f": ("_f", r"[0-9]{1,6}"),
    "z": ("z", _ZONE),
    "Exz": ("z", _ZONE + r"|[A-Z]{2,5}"),
    "Z": ("z", r"Z|[A-Z]{3,5}"),
    "ExZ": ("z", r"Z|[A-Z]{2,5}"),
}
_READ: Final = frozenset("YymbdjHIMS")
# Fields with names of days and months; fail2ban ignores case in a pattern that has one.
_NAME_FIELD: Final = re.compile(r"%(?:a|A|b|B|p|c)")
_FIELD: Final = re.compile(r"%(Ex[A-Za-z]|[A-Za-z%])")
_OWN_GROUP: Final = re.compile(r"(?<!\\)\((?!\?)")
# Patterns that say themselves where a date begins or ends: `^`, `$`, or fail2ban's `**`.
_BOUND_START: Final = re.compile(r"\(*(?:\(\?[a-z]+\))?(?:\^|\(*\*\*|\((?:\?:)?\^)")
_BOUND_END: Final = re.compile(r"\$\)*$|\*\*\)*$|\\Z\)*$")

_GROUP_NAME: Final = re.compile(r"\(\?P<\w+>")
_NUMBERED_GROUP: Final = re.compile(r"\\[1-9]|\(\?\(|\(\?P=(?!_sep)")
_SAME_SEPARATOR: Final = re.compile(r"\(\?P=_sep\)")

_EPOCH: Final = r"(?P<E>[0-9]{10,11}\b(?:\.[0-9]{3,6})?)"
_LONG_EPOCH: Final = r"(?P<E>[0-9]{10,11}(?:[0-9]{3}(?:\.[0-9]{1,6}|[0-9]{3})?)?)"
_NUMBERS: Final = {
    # A number alone is a date only where it can be nothing else: at the start, in brackets there, in `audit(...:7)`.
    "EPOCH": rf"(?:(?<=^\[)|(?<=\baudit\()|^){_EPOCH}",
    "LEPOCH": rf"(?:(?<=^\[)|(?<=\baudit\()|^){_LONG_EPOCH}",
    "TAI64N": r"@(?P<T>[0-9a-f]{16})[0-9a-f]{8}",
}

# fail2ban's default list, in its order: ISO 8601; asctime with and without year; day/month; Apache; and so on.
DEFAULT: Final = (
    r"%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?",
    r"%d(?P<_sep>[-/])%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S",
    r"%d(?P<_sep>[-/])%b(?P=_sep)%ExY[ :]?%H:%M:%S(?:\.%f)?(?: %z)?",
    r"%m/%d/%ExY:%H:%M:%S",
    r"%m-%d-%ExY %k:%M:%S(?:\.%f)?",
    "EPOCH",
    r"{^LN-BEG}%H:%M:%S",
    r"^<%m/%d/%Exy@%H:%M:%S>",
    r"%Exy%Exm%Exd  ?%H:%M:%S",
    r"%b %d, %ExY %I:%M:%S %p",
    r"^%b-%d-%Exy %k:%M:%S",
    r"%ExY%Exm%Exd(?:T|  ?)%ExH%ExM%ExS(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%Z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    "TAI64N",
)


@dataclass(frozen=True, slots=True)
class Template:
    """One date pattern as written, and its regex; group 1 is what is cut out.

    `at_start`: it is bound to the beginning of the line.
    """

    text: str
    regex: re.Pattern[str]
    at_start: bool


def template(text: str, *, at_start: bool = False) -> Template:
    """Return one pattern of the `datepattern` language. Raises ValueError, with a sentence, if it is not one."""
    if text == "{NONE}":
        return Template(text, re.compile("()"), at_start=True)
    flags = re.IGNORECASE if _NAME_FIELD.search(text) else re.NOFLAG
    unbound, body = text.startswith("{UNB}"), text.removeprefix("{UNB}")
    if body.startswith("{^LN-BEG}"):
        at_start, body = True, body.removeprefix("{^LN-BEG}")
        # Bound to the beginning, a number can be nothing but a date.
        body = {"EPOCH": "{EPOCH}", "LEPOCH": "{LEPOCH}"}.get(body.upper(), body)
    body = _NUMBERS.get(body.upper(), body).replace("{EPOCH}", _EPOCH).replace("{LEPOCH}", _LONG_EPOCH)
    body = _translated(body)
    if not _OWN_GROUP.search(body):
        body = f"({body})"
    bound = bool(_BOUND_START.match(body))
    if not unbound and not bound:
        body = (AT_START if at_start else NOT_BEHIND_WORD if text in DEFAULT else NOT_IN_WORD) + body
    if not unbound and not _BOUND_END.search(body):
        body += r"(?=\b|\W|$)"
    try:
        return Template(text, re.compile(body.replace("**", ""), flags), at_start or bound)
    except re.error as err:
        raise ValueError(f"`{text}` is not a valid date pattern: {err}") from err


def _translated(text: str) -> str:
    """Return the pattern with its `%x` fields as groups. The first field of a name is read, later ones only match."""
    named: set[str] = set()

    def one(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        if found[1] not in _FIELDS:
            raise ValueError(
                f"`%{found[1]}` is not a date field; fields are "
                + " ".join(f"%{x}" for x in _FIELDS)
                + ", and {EPOCH}"
            )
        name, body = _FIELDS[found[1]]
        if name.startswith("_") or name in named:
            return f"(?:{body})"
        named.add(name)
        return f"(?P<{name}>{body})"

    return _FIELD.sub(one, text)


def templates(patterns: Iterable[str]) -> tuple[Template, ...]:
    """Return the templates of a `datepattern` value, one pattern a line. Raises ValueError.

    Without any pattern it is fail2ban's default list.
    """
    made = [made for text in patterns for made in _expanded(text)]
    return tuple(made) or (*_defaults(at_start=True), *_defaults())


def _expanded(text: str) -> Iterable[Template]:
    if text in {"", "{DEFAULT}"}:
        return () if not text else (*_defaults(at_start=True), *_defaults())
    if text == "{^LN-BEG}":
        return _defaults(at_start=True)
    if "{DATE}" in text:
        bare = (default.removeprefix("{^LN-BEG}") for default in DEFAULT)
        return [template(text.replace("{DATE}", _NUMBERS.get(one, one).removeprefix("^"))) for one in bare]
    return [template(text)]


@cache
def _defaults(*, at_start: bool = False) -> tuple[Template, ...]:
    made = (template(text, at_start=at_start) for text in DEFAULT)
    return tuple(one for one in made if one.at_start == at_start or at_start)


class Dates:
    """Finds and reads the date of a line. Any thread may use it.

    `may_begin(line)` says whether a template that is bound to the beginning may match; for most lines that have no
    date there, one match answers for all of those templates.
    """

    def __init__(self, made: Sequence[Template]) -> None:
        self.templates = tuple(made)
        at_start = [one for one in self.templates if one.at_start]
        self.may_begin = _any_of(at_start) if at_start else _never
        self._at_start = tuple(one.regex.match for one in at_start)
        self._anywhere = tuple(one.regex.search for one in self.templates if not one.at_start)
        self._known: dict[tuple[str, tuple[str | None, ...], tzinfo | None], float] = {}

    def find(self, line: str) -> re.Match[str] | None:
        """Return the match, with the date as group 1; None if the first MAX_SEARCHED_CHARS characters have none."""
        if self.may_begin(line):
            for match in self._at_start:
                if found := match(line):
                    return found
        best: re.Match[str] | None = None
        for search in self._anywhere:
            found = search(line, 0, MAX_SEARCHED_CHARS)
            if found and (best is None or found.start() < best.start()):
                best = found
        return best

    def seconds(self, found: re.Match[str], now: float, zone: tzinfo | None = None) -> float | None:
        """Return what `seconds()` does, and remember it if the date says its year: a busy second has many lines."""
        key = (found.re.pattern, found.groups(), zone)
        known = self._known.get(key)
        if known is None:
            known = seconds(found, now, zone)
            if known is not None and says_year(found):
                if len(self._known) >= MAX_KNOWN_DATES:
                    self._known.clear()
                self._known[key] = known
        return known


def _never(_: str) -> None:
    return None


def _any_of(made: Sequence[Template]) -> Callable[[str], re.Match[str] | None]:
    """Return a function that matches wherever any of these may match."""
    bodies = {_GROUP_NAME.sub("(?:", one.regex.pattern.removeprefix(AT_START)) for one in made}
    bare = "|".join(
        sorted(_SAME_SEPARATOR.sub(r"[-/.]", body) for body in bodies if not body.startswith(("^", "(^")))
    )
    rest = [_SAME_SEPARATOR.sub(r"[-/.]", body) for body in bodies if body.startswith(("^", "(^"))]
    # Numbered groups would be counted differently in one expression for all.
    if any(_NUMBERED_GROUP.search(body) for body in bodies):
        return re.compile("").match
    return re.compile("|".join([f"{AT_START}(?:{bare})"] * bool(bare) + rest), re.IGNORECASE).match


def has_zone(found: re.Match[str]) -> bool:
    """Return whether a date names its time zone, or is a number that has none."""
    fields = found.groupdict()
    return bool(fields.get("z") or fields.get("E") or fields.get("T"))


def says_year(found: re.Match[str]) -> bool:
    """Return whether a date has a year, and so means the same whenever it is read."""
    fields = found.groupdict()
    return bool(fields.get("Y") or fields.get("y"))


def seconds(found: re.Match[str], now: float, zone: tzinfo | None = None) -> float | None:
    """Return the unix time that a date means; None if it means none (`{NONE}`, the 30th of February).

    A date without a zone is in `zone` (None: the system's). A date without a year is in the year of `now`, or the year
    before if that would be more than a day ahead. A date without a day is today, or yesterday if that would be ahead.
    Fractions of a second are dropped, except in numbers.
    """
    fields = {name: text for name, text in found.groupdict().items() if text}
    if text := fields.get("E"):
        return _number(text)
    if text := fields.get("T"):
        # TAI64 counts seconds from 2^62 (cr.yp.to/libtai/tai64.html). Leap seconds are ignored, as by fail2ban.
        return float(int(text, 16) - (1 << 62))
    try:
        return _dated(fields, now, zone) if fields.keys() & _READ else None
    except ValueError:
        # A date that no calendar has.
        return None


def _dated(fields: Mapping[str, str], now: float, zone: tzinfo | None) -> float:
    offset = _offset(fields.get("z", ""))
    zone = zone if offset is None else timezone(timedelta(seconds=offset))
    today = datetime.fromtimestamp(now, zone)
    clock = _clock(fields)
    if "Y" in fields or "y" in fields:
        year = int(fields["Y"]) if "Y" in fields else 2000 + int(fields["y"])
        return _unix(datetime(year, *_day(fields, today), *clock, tzinfo=zone))
    if fields.keys() & {"m", "b", "d", "j"}:
        day = _day(fields, today)
        at = _unix(datetime(today.year, *day, *clock, tzinfo=zone))
        return at if at <= now + DAY_S else _unix(datetime(today.year - 1, *day, *clock, tzinfo=zone))
    at = _unix(datetime(today.year, today.month, today.day, *clock, tzinfo=zone))
    return at if at <= now else at - DAY_S


def _number(text: str) -> float:
    """Return a unix time from its digits: seconds, or milli- or microseconds if there are that many digits."""
    whole = len(text.partition(".")[0])
    return float(text) / (1 if whole < 13 else 1e3 if whole < 16 else 1e6)


def _day(fields: Mapping[str, str], today: datetime) -> tuple[int, int]:
    if "j" in fields:
        # Only its month and day count.
        date = datetime(today.year, 1, 1) + timedelta(days=int(fields["j"]) - 1)  # noqa: DTZ001
        return date.month, date.day
    month = today.month
    if "m" in fields:
        month = int(fields["m"])
    elif "b" in fields:
        month = _MONTHS.index(fields["b"][:3].lower()) + 1
    return month, int(fields.get("d", "1"))


def _clock(fields: Mapping[str, str]) -> tuple[int, int, int]:
    hour = int(fields.get("H") or fields.get("I") or 0)
    if "p" in fields:
        hour = hour % 12 + (12 if fields["p"].lower() == "pm" else 0)
    # `datetime` has no leap seconds; one becomes its minute's last second.
    return hour, int(fields.get("M", 0)), min(int(fields.get("S", 0)), 59)


def _offset(text: str) -> int | None:
    """Return the seconds east of Greenwich; None if the text does not say."""
    if text[:1] not in {"+", "-"}:
        hours = ABBREVIATED_ZONE_HOURS.get(text.upper())
        return None if hours is None else hours * 3600
    digits = text[1:].replace(":", "").ljust(4, "0")
    return (int(digits[:2]) * 3600 + int(digits[2:4]) * 60) * (-1 if text[0] == "-" else 1)


def _unix(at: datetime) -> float:
    return at.timestamp() if at.tzinfo else time.mktime(at.timetuple())
