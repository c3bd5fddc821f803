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

# A busy second has many lines.
_unix_time = lru_cache(maxsize=64)(usual_time)
# A line in the format `combined` with nothing in it that could be read in two ways: an IPv4 client, no escape, no quote
# in a quote, no bracket before the date.
_PLAIN_COMBINED: Final = re.compile(
    r"(\d{1,3}(?:\.\d{1,3}){3}) - (-|[\w.@+-]{1,60}) "
    r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"([^"\\]{0,1000})" (\d{3}) \d{1,15} "[^"\\]{0,1000}" "([^"\\]{0,500})"',
    re.ASCII,
)
# Kinds of lines that are remembered for each log, at most some MB.
MAX_LIKE: Final = 1_024


LineKey: TypeAlias = tuple[str, str, str, str]
"""User, request line, status and agent."""


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
        # Of a plain line in the format `combined`: user, request, status and agent -> the canonical lines behind the
        # client, and the user's name in them. The rest of such a line is in no reading.
        self._like: dict[LineKey, tuple[tuple[str, str], ...]] = {}

    def plain(self, text: str) -> tuple[str, str, LineKey] | None:
        """Return client, date and the rest of a line in the format `combined` that cannot be read in two ways.

        Lines with the same rest stand for the same request of another client at another time. None: it is another line.
        """
        plain = _PLAIN_COMBINED.fullmatch(text) if self.log.is_combined else None
        if not plain:
            return None
        client, user, date, request, status, agent = plain.groups()
        return client, date, (user, request, status, agent)

    def readings(self, text: str) -> tuple[Reading, ...]:
        """Return each way to read a line; () where it is no request."""
        plain = self.plain(text)
        if not plain:
            return tuple(map(_reading, self.log.requests(text)))
        client, date, key = plain
        known = self._like.get(key)
        if known is None:
            readings = tuple(map(_reading, self.log.requests(text)))
            if all(each.canonical.startswith(f"{client} ") and not each.peer for each in readings):
                if len(self._like) >= MAX_LIKE:
                    self._like.clear()
                self._like[key] = tuple((each.canonical[len(client) :], each.user) for each in readings)
            return readings
        self.log.count_known()
        time = _unix_time(date, self.log.zone)
        return tuple(Reading(client + rest, time, "", sent_user) for rest, sent_user in known)

    def peek(self, text: str) -> tuple[Reading, ...]:
        """Return the readings, but learn nothing about the log from this line."""
        return tuple(map(_reading, self.log.peek(text)))

    def time(self, date: str) -> float | None:
        """Return the unix time of a date in this log; None where it is none."""
        return _unix_time(date, self.log.zone)


def _reading(request: Request) -> Reading:
    peer = request.peer if request.peer != request.client else ""
    return Reading(request.canonical, request.time, peer, request.canonical_user)
