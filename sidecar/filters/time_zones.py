"""Time zones as people and logs write them.

fail2ban's `logtimezone` knows fixed offsets and abbreviations (`UTC+0200`, `GMT-0500`, `CET`). IANA's names are known
here too (`Europe/Berlin`), and these follow daylight saving time.
"""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo
from typing import Final

# Hours east of Greenwich, of the abbreviations that mean one zone only in logs. IST and AST mean several.
ABBREVIATED_ZONE_HOURS: Final = {
    "Z": 0, "UTC": 0, "GMT": 0,
    "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    "AKST": -9, "AKDT": -8, "HST": -10,
    "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
}  # fmt: skip
_FIXED: Final = re.compile(r"([A-Z]{1,5})?(?:([+-])([01]?\d)(?::?([0-5]\d))?)?", re.ASCII)


def parse_time_zone(text: str) -> tzinfo:
    """Return the zone of `UTC`, `UTC+0200`, `GMT-0500`, `UTC-05:00`, `+0200`, `CET` or `Europe/Berlin`.

    An abbreviation is a fixed offset, as in fail2ban. Raises ValueError with a sentence.
    """
    text = text.strip()
    found = _FIXED.fullmatch(text)
    if found and text and (found[1] or "UTC") in ABBREVIATED_ZONE_HOURS:
        minutes = int(found[3] or 0) * 60 + int(found[4] or 0)
        offset = timedelta(
            hours=ABBREVIATED_ZONE_HOURS[found[1] or "UTC"], minutes=-minutes if found[2] == "-" else minutes
        )
        return timezone(offset)
    # Few logs need it, and it loads the settings with which Python was built.
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    try:
        # ZoneInfo also raises OSError and UnicodeError for what is not a name of a file.
        return ZoneInfo(text)
    except (LookupError, ValueError, OSError):
        raise ValueError(
            f'expected a time zone such as UTC, UTC+0200 or Europe/Berlin, got "{text}"'
        ) from None


def format_offset(seconds: float) -> str:
    """Return the fixed zone this many seconds east of Greenwich, as `logtimezone` has it: `UTC-0500`."""
    hours, minutes = divmod(round(abs(seconds) / 60), 60)
    return f"UTC{'-' if seconds < 0 else '+'}{hours:02}{minutes:02}"
