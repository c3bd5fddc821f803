"""Which format a log has: found from its lines, kept while it fits, found again when the log changes."""

from __future__ import annotations

from collections import Counter
from datetime import tzinfo
from typing import Final, Protocol

from sidecar.access import json_lines
from sidecar.access.formats import TEXT_FORMATS
from sidecar.access.json_lines import JsonFormat
from sidecar.access.request import Request
from sidecar.access.wrappers import unwrapped

# A format is chosen by more lines than an attacker alone writes into a busy log, and by one line in a quiet one.
VOTES: Final = 100
# Lines in another format than the log's, one after the other, until the log has changed.
CHANGED_AFTER: Final = 20
EXAMPLES: Final = 3
EXAMPLE_CHARACTERS: Final = 300


class Format(Protocol):
    """A format of access logs."""

    @property
    def name(self) -> str: ...

    def requests(self, line: str, zone: tzinfo | None = None) -> tuple[Request, ...]:
        """Return the requests that the line may stand for; () where it is not of this format."""

    def shows_format(self, request: Request) -> bool:
        """Return whether a request, read by this format, shows that its log is of this format."""


class AccessLog:
    """One log: its format, and how much of it was understood. Owned by the thread that reads the log."""

    def __init__(self, declared: Format | None = None, zone: tzinfo | None = None) -> None:
        """`declared`: the format that a person configured; None: it is detected.

        `zone` is for dates that name none; None is the zone of this host.
        """
        self.read = 0
        self.understood = 0
        # The newest lines that were not understood, shortened.
        self.examples: list[str] = []
        self._declared = declared
        self._format = declared
        self.zone = zone
        self._votes: Counter[str] = Counter()
        self._by_name: dict[str, Format] = {}
        self._others = 0

    @property
    def format(self) -> str:
        """The name of the format, for people; "" while it is not known."""
        return self._format.name if self._format else ""

    @property
    def declared(self) -> str:
        """The name of the format that a person configured; "" where it is detected."""
        return self._declared.name if self._declared else ""

    def requests(self, line: str) -> tuple[Request, ...]:
        """Return the requests that a line stands for, as its transport handed it over; () where it is none."""
        self.read += 1
        if found := self.learn(line):
            self.understood += 1
            return found
        self.examples = [*self.examples[-(EXAMPLES - 1) :], line[:EXAMPLE_CHARACTERS]]
        return ()

    def learn(self, line: str) -> tuple[Request, ...]:
        """Return the requests that a line stands for, as `requests()` does, but without counting."""
        # The beginning of a declared format may look like a wrapper.
        if self._declared and (found := self._declared.requests(line, self.zone)):
            return found
        text, time, _ = unwrapped(line)
        if self._format and (found := self._format.requests(text, self.zone)):
            self._others = 0
            if self._votes.total() < VOTES and not self._declared:
                self._vote(self._format, text)
            return _dated(found, time)
        if not self._declared:
            for each in FORMATS:
                if each is self._format:
                    continue
                found = each.requests(text, self.zone)
                if found and each.shows_format(found[0]):
                    self._vote(each, text)
                    return _dated(found, time)
        return ()

    def peek(self, line: str) -> tuple[Request, ...]:
        """Return the requests that a line stands for, as `requests()` does, but without date, counting or learning."""
        if self._declared and (found := self._declared.requests(line, self.zone)):
            return found
        text, _, _ = unwrapped(line)
        if self._format and (found := self._format.requests(text, self.zone)):
            return found
        for each in () if self._declared else FORMATS:
            found = each.requests(text, self.zone)
            if found and each.shows_format(found[0]):
                return found
        return ()

    def _vote(self, found: Format, text: str) -> None:
        name = json_lines.kind(text) if isinstance(found, JsonFormat) else found.name
        named = self._by_name.setdefault(name, JsonFormat(name) if isinstance(found, JsonFormat) else found)
        if self._format and self._format is not named:
            self._others += 1
            if self._others >= CHANGED_AFTER:
                self._votes.clear()
                self._others = 0
        self._votes[name] += 1
        self._format = self._by_name[self._votes.most_common(1)[0][0]]


def _dated(requests: tuple[Request, ...], time: float | None) -> tuple[Request, ...]:
    """Return the requests with the transport's time where the line has none of its own."""
    if time is None or requests[0].time is not None:
        return requests
    return tuple(request._replace(time=time) for request in requests)


FORMATS: Final[tuple[Format, ...]] = (JsonFormat(), *TEXT_FORMATS)
