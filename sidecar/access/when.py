"""Dates as access logs write them -> unix time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS: Final = {name: number for number, name in enumerate(_NAMES, start=1)}
_FRACTION = r"(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE = r"[ ]?(?P<zone>Z|[+-]\d\d:?\d\d)?"
# 30/Nov/2026:06:33:20 +0000, with milliseconds or without a zone as some write it
_CLF = re.compile(
    rf"(?P<day>\d\d)/(?P<month>[A-Z][a-z]{{2}})/(?P<year>\d{{4}}):(?P<clock>\d\d:\d\d:\d\d){_FRACTION}{_ZONE}"
)
# 2026-11-30T06:33:20.123Z, Caddy's 2026/11/30 06:33:20.123
_ISO = re.compile(
    rf"(?P<year>\d{{4}})[-/](?P<month>\d\d)[-/](?P<day>\d\d)[T ](?P<clock>\d\d:\d\d:\d\d){_FRACTION}{_ZONE}"
)
_CLF_CHARS: Final = len("30/Nov/2026:06:33:20 +0000")
_OFFSET = re.compile(r" [+-]\d{4}", re.ASCII)
_TWO_DIGITS: Final = {f"{number:02d}": number for number in range(60)}
_EPOCH = re.compile(r"\d{9,11}(?:\.\d+)?")
_EPOCH_MS = re.compile(r"\d{12,14}")

# Any of these, for patterns that look for a date in a line.
DATE = (
    r"(?:\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?[+-]\d\d:?\d\d)?"
    r"|\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
    r"|\d{10}(?:\.\d{1,9})?)"
)


def unix_time(text: str, zone: tzinfo | None = None) -> float | None:
    """Return the unix time of a date with a year; None: no such date.

    `zone` is for dates that name none; None is the zone of this host.
    """
    if found := _CLF.fullmatch(text) or _ISO.fullmatch(text):
        second = _whole_second(
            (found["year"], found["month"], found["day"]), found["clock"], found["zone"] or "", zone
        )
        return None if second is None else second + float(f"0.{found['fraction'] or 0}")
    if _EPOCH.fullmatch(text):
        return float(text)
    return int(text) / 1000 if _EPOCH_MS.fullmatch(text) else None


def usual_time(text: str, zone: tzinfo | None = None) -> float | None:
    """Return what `unix_time()` does; for `30/Nov/2026:06:33:20 +0000` in a fifth of the time."""
    if len(text) == _CLF_CHARS and text[11] == text[14] == text[17] == ":":
        hour, minute, second = (
            _TWO_DIGITS.get(text[12:14], 24),
            _TWO_DIGITS.get(text[15:17]),
            _TWO_DIGITS.get(text[18:20]),
        )
        if hour < 24 and minute is not None and second is not None:
            midnight = _midnight(text[:11], text[20:])
            if midnight is not None:
                return midnight + (hour * 3_600 + minute * 60 + second)
    return unix_time(text, zone)


@lru_cache(maxsize=64)
def _midnight(day: str, offset: str) -> float | None:
    """Return when a day began at this offset from UTC; None where the day or the offset is invalid."""
    return unix_time(f"{day}:00:00:00{offset}") if _OFFSET.fullmatch(offset) else None


# A busy second has hundreds of lines.
@lru_cache(maxsize=64)
def _whole_second(date: tuple[str, str, str], clock: str, offset: str, zone: tzinfo | None) -> float | None:
    year, month, day = date
    number = MONTHS.get(month) or (int(month) if month.isdecimal() else 0)
    hour, minute, second = map(int, clock.split(":"))
    try:
        # A leap second counts as the one before it.
        at = datetime(
            int(year), number, int(day), hour, minute, min(second, 59), tzinfo=_offset(offset) or zone
        )
        return at.timestamp()
    except (ValueError, OverflowError):
        return None


def _offset(text: str) -> tzinfo | None:
    if not text:
        return None
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
