"""Lines of one log -> the canonical lines of the requests that they may stand for.

Guessers send the same request again and again, so that their lines differ in the date alone. What decides lines
may remember what such a line stood for: that costs a look-up instead of a parse.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from sidecar.access.detect import AccessLog
from sidecar.access.request import Request
from sidecar.access.sample import LogSample
from sidecar.access.when import usual_time
from sidecar.core.address import Address, parse_ipv4

# A busy second has many lines.
_unix_time = lru_cache(maxsize=64)(usual_time)
# All but the first of a minute.
_LATER_SECONDS: Final = {f"{second:02d}": float(second) for second in range(1, 60)}
# A longer line is not plain, so what is remembered of plain lines is bounded.
MAX_PLAIN_CHARS: Final = 1_024
# How many parts the quotes of a line in the format `combined` make of it, if no quoted text has another.
_PARTS: Final = 7
# What stands right behind such a line's request -> the status in it.
_STATUSES: Final = {f" {status:03d} ": f"{status:03d}" for status in range(1_000)}
# What stands between a plain line's client and its request.
_USER_AND_DATE: Final = re.compile(
    r"- (-|[\w.@+-]{1,60}) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] ", re.ASCII
)
# Where the seconds stand in that.
_SECOND: Final = slice(-len("00 +0000] "), -len(" +0000] "))
# Users and dates that are remembered for each log.
MAX_DATES: Final = 256


LineKey: TypeAlias = tuple[str, str, str, str]
"""User, request line, status and agent."""


Plain: TypeAlias = tuple[Address, float, LineKey]
"""Client, unix time and the rest of a line that can be read in one way only."""


class Reading(NamedTuple):
    """One way to read a line."""

    canonical: str
    # The line's own date; None where it has none.
    time: float | None
    # The address that connected, where that is not the client: then its packets are a proxy's.
    peer: str
    # The user name that the client sent; "" where there is none.
    user: str = ""

    @property
    def with_user(self) -> str:
        """The canonical line with one more field, the user name, if there is one."""
        return f"{self.canonical} {self.user}" if self.user else self.canonical


class RequestReader:
    """Reads the lines of one log. Owned by the thread that reads the log."""

    def __init__(self, log: AccessLog) -> None:
        self.log = log
        self.sample = LogSample(log)
        # What stands between client and request in a plain line -> user and unix time.
        self._dates: dict[str, tuple[str, float]] = {}

    def plain(self, text: str) -> Plain | None:
        """Return client, time and the rest of a line in the format `combined` that cannot be read in two ways.

        Such a line has an IPv4 client, no escape, no quote in a quote, and no bracket before the date. Lines with the
        same rest stand for the same request of another client at another time. None: it is another line.
        """
        # The hot path: an expression for the whole line takes three times as long.
        if not self.log.is_combined:
            return None
        parts = text.split('"')
        if len(parts) != _PARTS or len(text) > MAX_PLAIN_CHARS or "\\" in text:
            return None
        before, request, numbers, _, blank, agent, behind = parts
        client, _, user_and_date = before.partition(" ")
        status, size = _STATUSES.get(numbers[:5]), numbers[5:-1]
        if status is None or numbers[-1] != " " or not (size.isdigit() and size.isascii()):
            return None
        if behind or blank != " ":
            return None
        address = parse_ipv4(client)
        known = self._dates.get(user_and_date) or self._user_and_time(user_and_date)
        if address is None or known is None:
            return None
        user, time = known
        return address, time, (user, request, status, agent)

    def _user_and_time(self, text: str) -> tuple[str, float] | None:
        """Return the user and the time of the text between client and request; None: the line is not plain."""
        # In a log that is read again each second is a new one, but only a minute has to be parsed.
        later = _LATER_SECONDS.get(text[_SECOND], 0.0)
        if later:
            first = f"{text[: _SECOND.start]}00{text[_SECOND.stop :]}"
            minute = self._dates.get(first) or self._user_and_time(first)
            known = (minute[0], minute[1] + later) if minute else None
        else:
            found = _USER_AND_DATE.fullmatch(text)
            time = _unix_time(found[2], self.log.zone) if found else None
            known = None if found is None or time is None else (found[1], time)
        if known is not None:
            if len(self._dates) >= MAX_DATES:
                self._dates.clear()
            self._dates[text] = known
        return known

    def readings(self, text: str) -> tuple[Reading, ...]:
        """Return each way to read a line; () where it is not a request."""
        return tuple(map(_reading, self.log.requests(text)))

    def peek(self, text: str) -> tuple[Reading, ...]:
        """Return the readings, but learn nothing about the log from this line."""
        return tuple(map(_reading, self.log.peek(text)))

    def time(self, date: str) -> float | None:
        """Return the unix time of a date in this log; None where it is not one."""
        return _unix_time(date, self.log.zone)


def _reading(request: Request) -> Reading:
    peer = request.peer if request.peer != request.client else ""
    return Reading(request.canonical, request.time, peer, request.canonical_user)
