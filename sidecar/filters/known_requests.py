"""What lines of access logs came to, by filters on requests: a guesser's lines are the same but for their date.

So a line is remembered without its date; and as those of a botnet differ in the client, a request, where no
expression looks at the client, is remembered without that as well. Clients write the lines, so what is remembered is
bounded for all logs together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sidecar.access.reader import LineKey, RequestReader
from sidecar.core.address import Address
from sidecar.filters.attempts import RequestAttempts
from sidecar.filters.cpu_budget import CpuBudget
from sidecar.filters.filter_runner import FilterRunner

# What remembered lines may take, of all logs together, and about what one takes beside its text.
MAX_KNOWN_BYTES: Final = 8 * 1024 * 1024
KNOWN_LINE_BYTES: Final = 500
# A longer line is not remembered.
MAX_KNOWN_CHARS: Final = 1_024


class FailedRequest(NamedTuple):
    """A line that is a failure, or a login that worked, in these jails; `time` is the line's own, `peer` as in Hit."""

    runner: FilterRunner
    jails: list[str]
    address: Address
    target: str
    success: bool
    peer: str
    time: float | None


class KnownLine(NamedTuple):
    """What a line came to by these filters, and whether its text may be shown to people as it is."""

    attempts: RequestAttempts
    failed: Sequence[FailedRequest]
    is_printable: bool


class KnownRequest(NamedTuple):
    """What requests that differ in nothing but client and date came to by these filters, and the filters' budgets."""

    attempts: RequestAttempts
    hits: tuple[tuple[str, str, bool], ...]
    budgets: tuple[CpuBudget, ...]


class Known(NamedTuple):
    """What is remembered of one log.

    `lines`: by a line without its date. `requests`: by a plain line without client, date, size and referer, where no
    expression looks at the client. Which filters are to be tried may depend on what is left out.
    """

    lines: dict[str, KnownLine]
    requests: dict[LineKey, KnownRequest]


class KnownLogs:
    """What is remembered of all logs. Any thread may ask, each log in one thread at a time."""

    def __init__(self) -> None:
        self._logs: dict[RequestReader, Known] = {}
        self._bytes = 0

    def of(self, reader: RequestReader) -> Known:
        """Return what is remembered of a log."""
        known = self._logs.get(reader)
        if known is None:
            known = self._logs[reader] = Known({}, {})
            self.make_room()
        return known

    def make_room(self, chars: int = 0) -> None:
        """Count one more, with this many characters; forget everything if there would be too much.

        Attackers' lines come again soon.
        """
        size = chars + KNOWN_LINE_BYTES
        self._bytes += size
        if self._bytes > MAX_KNOWN_BYTES:
            for known in list(self._logs.values()):
                known.lines.clear()
                known.requests.clear()
            # Logs come and go with their containers. One that is just being read is asked for with its next batch.
            self._logs.clear()
            self._bytes = size
