"""Lines of one log -> the canonical lines of the requests that they may stand for.

Guessers send the same request again and again, so that their lines differ in the date alone. Whoever decides lines
may remember what such a line stood for: that costs a look-up instead of a parse.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from sidecar.access.detect import AccessLog
from sidecar.access.request import UNKNOWN, Request
from sidecar.access.sample import LogSample
from sidecar.access.when import unix_time

_unix_time = lru_cache(maxsize=64)(unix_time)


class Reading(NamedTuple):
    """One way to read a line."""

    canonical: str
    # The line's own date; None where it has none.
    time: float | None
    # The address that connected, where that is not the client: then its packets are a proxy's.
    peer: str
    # The user name that the client sent; `-` where there is none.
    user: str = UNKNOWN

    @property
    def with_user(self) -> str:
        """The canonical line with one more field, the user name."""
        return f"{self.canonical} {self.user}"


class RequestReader:
    """Reads the lines of one log. Owned by the thread that reads the log."""

    def __init__(self, log: AccessLog) -> None:
        self.log = log
        self.sample = LogSample(log)

    def readings(self, text: str) -> tuple[Reading, ...]:
        """Return each way to read a line; () where it is no request."""
        return tuple(map(_reading, self.log.requests(text)))

    def peek(self, text: str) -> tuple[str, ...]:
        """Return the canonical lines of `readings()`, but learn nothing about the log from this line."""
        return tuple(request.canonical for request in self.log.peek(text))

    def time(self, date: str) -> float | None:
        """Return the unix time of a date in this log; None where it is none."""
        return _unix_time(date, self.log.zone)


def _reading(request: Request) -> Reading:
    peer = request.peer if request.peer != request.client else ""
    return Reading(request.canonical, request.time, peer, request.canonical_user)
