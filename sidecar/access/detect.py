"""Which format a log has: found from its lines, kept while it fits, found again when the log changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from itertools import islice
from typing import Final, NamedTuple, Protocol

from sidecar.access.chain import NO_PROXIES, Proxies, resolved, without_port
from sidecar.access.formats import COMBINED, HEADER_FIRST, TEXT_FORMATS, TextFormat, has_one_client
from sidecar.access.json_lines import JsonFormat
from sidecar.access.pairs import LogfmtFormat, LtsvFormat
from sidecar.access.request import MAX_READINGS, Request
from sidecar.access.target import paths
from sidecar.access.unknown_format import UnknownFormat
from sidecar.access.wrappers import unwrapped
from sidecar.core.address import parse_host

# A format is chosen by more lines than an attacker alone writes into a busy log, and by one line in a quiet one.
VOTES: Final = 100
# Lines in another format than the log's, one after the other, until the log has changed.
CHANGED_AFTER: Final = 20
EXAMPLES: Final = 3
EXAMPLE_CHARACTERS: Final = 300


# As Apache, nginx and HAProxy begin a line. Then a second address is a user name, as far as anybody can tell.
_BEGINNING: Final = r"[0-9A-Fa-f.:]+(?: - |:\d+ \[)"
_USUAL: Final = re.compile(rf'"?{_BEGINNING}')
# The same in a log's first line, also behind a host that is not an address.
_USUAL_FIRST: Final = re.compile(rf'"?(?:[^\sg-zG-Z]*[g-zG-Z]\S* )?{_BEGINNING}')
# What separates words in front of the request.
_BETWEEN: Final = re.compile(r"[\s,;|()\[\]{}<>=\\]+")


class Format(Protocol):
    """A format of access logs."""

    @property
    def name(self) -> str: ...

    @property
    def min_lines(self) -> int:
        """How many lines must be of this format before any is read by it."""

    def requests(self, line: str, zone: tzinfo | None = None) -> tuple[Request, ...]:
        """Return the requests that the line may stand for; () where it is not of this format."""

    def of_log(self, line: str) -> Format:
        """Return the format of a log that has such lines. Its name may be another."""

    def shows_format(self, request: Request) -> bool:
        """Return whether a request, read by this format, shows that its log is of this format."""


class _Found(NamedTuple):
    """The format that reads a line, and what it reads."""

    format: Format
    requests: tuple[Request, ...]


class FormatVotes:
    """Which format a log has: the one of most of its lines."""

    def __init__(self, known: Format | None = None) -> None:
        self.format = known
        self._votes: Counter[str] = Counter()
        self._by_name: dict[str, Format] = {}
        self._others = 0

    def confirm(self) -> None:
        """Count a line of the log's format."""
        self._others = 0
        if self.format and self._votes.total() < VOTES:
            self.add(self.format)

    def add(self, found: Format) -> None:
        """Count a line of this format."""
        known = self._by_name.setdefault(found.name, found)
        if self.format and self.format is not known:
            self._others += 1
            if self._others >= CHANGED_AFTER:
                self._votes.clear()
                self._others = 0
            elif self._votes.total() >= VOTES:
                # Scattered lines of another format outvote nothing: an attacker may have as many as there is time for.
                return
        self._votes[known.name] += 1
        self.format = self._by_name[self._votes.most_common(1)[0][0]]

    @property
    def is_settled(self) -> bool:
        """Whether enough lines were counted, so that one more of the log's format changes nothing."""
        return self._others == 0 and self._votes.total() >= VOTES

    def is_shown(self, each: Format) -> bool:
        """Return whether enough lines are of this format, where a client could write one that looks so."""
        is_of_log = self.format is not None and self.format.name == each.name
        return each.min_lines == 1 or (is_of_log and self._votes[each.name] >= each.min_lines)


class AccessLog:
    """One log: its format, and how much of it was understood. Owned by the thread that reads the log."""

    def __init__(
        self, declared: Format | None = None, zone: tzinfo | None = None, proxies: Proxies = NO_PROXIES
    ) -> None:
        """`declared`: the format that a person configured; None: it is detected.

        `zone` is for dates that name none; None is the zone of this host. `proxies` are trusted to name their clients.
        """
        self.read = 0
        self.understood = 0
        # The newest lines that were not understood, shortened.
        self.examples: list[str] = []
        self._declared = declared
        # Whether the declared format has read a line.
        self._is_confirmed = False
        self.zone = zone
        self._votes = FormatVotes(declared)
        self._proxies = proxies
        # Whether a header stands first, which a client can write into: no line of another log can look so.
        self._header_first = False
        # Whether lines in the format `combined` are what the log has had for long, and no header stands first. It is
        # asked for each line, and changes with those that are parsed.
        self.is_combined = False

    @property
    def format(self) -> str:
        """The name of the format, for people; "" while it is not known."""
        known = self._votes.format
        return known.name if known else ""

    @property
    def declared(self) -> str:
        """The name of the format that a person configured; "" where it is detected."""
        return self._declared.name if self._declared else ""

    def count_known(self) -> None:
        """Count a line of the log's format that need not be parsed, because one like it was."""
        self.read += 1
        self.understood += 1

    def requests(self, line: str) -> tuple[Request, ...]:
        """Return the requests that a line stands for, as its transport handed it over; () where it is not one."""
        self.read += 1
        if found := self.learn(line):
            self.understood += 1
            return found
        self.examples = [*self.examples[-(EXAMPLES - 1) :], line[:EXAMPLE_CHARACTERS]]
        return ()

    def learn(self, line: str) -> tuple[Request, ...]:
        """Return the requests that a line stands for, as `requests()` does, but without counting."""
        text, time, found = self._found(line)
        if not found:
            return ()
        self._is_confirmed |= found.format is self._declared
        if not self._declared:
            self._count(found, text)
        is_read = self._votes.is_shown(found.format)
        return _readings(found.requests, time, self._proxies) if is_read else ()

    def peek(self, line: str) -> tuple[Request, ...]:
        """Return the requests that a line stands for, as `requests()` does, but without date, counting or learning."""
        _, _, found = self._found(line)
        is_read = found and self._votes.is_shown(found.format)
        return _readings(found.requests, None, self._proxies) if found and is_read else ()

    def _found(self, line: str) -> tuple[str, float | None, _Found | None]:
        """Return a line without wrappers, its transport's time, and the format that reads it."""
        # The beginning of a declared format may look like a wrapper.
        if self._declared and (requests := self._declared.requests(line, self.zone)):
            return line, None, _Found(self._declared, requests)
        text, time, _ = unwrapped(line)
        for each in self._candidates():
            requests = each.requests(text, self.zone)
            if not requests or not self._is_certain(each, text):
                continue
            if each is self._votes.format or each.shows_format(requests[0]):
                return text, time, _Found(each, requests)
        return text, time, None

    def _candidates(self) -> Iterator[Format]:
        """Yield the formats that may read a line, the log's own first."""
        known = self._votes.format
        if known:
            yield known
        if self._declared:
            # A line in which a server left a client's quotes as they were may not fit.
            if self._is_confirmed and _begins_with_client(self._declared):
                yield from CLIENT_FIRST
            return
        if self._header_first:
            yield HEADER_FIRST
        yield from (each for each in FORMATS if each is not known)
        # A line that has something else where the others have a host or a number begins like the others.
        if isinstance(known, TextFormat) and known.begins_with_client and not self._header_first:
            yield UnknownFormat(place=0)
            yield HEADER_FIRST

    def _is_certain(self, each: Format, text: str) -> bool:
        """Return whether what a format reads in a line can be of no other client."""
        known = self._votes.format
        # A client may have written what stands before its address, and so an address that looks like the first field.
        if (
            each is not known
            and not _begins_with_client(known)
            and _takes_first(each)
            and _has_addresses(text)
            and (known or not _USUAL.match(text))
        ):
            return False
        # What stands before the second of two clients would be a host, and has blanks or quotes in it: it is a header.
        if (
            isinstance(each, TextFormat)
            and each.host_first
            and _begins_with_client(known)
            and not has_one_client(text)
        ):
            return False
        # The first line of a log whose format is not known: it may begin with what a client sent, up to its address.
        # One that begins as usual counts: else nobody's guesses would, where all requests are of one who hides so.
        is_header = isinstance(each, TextFormat) and each.header_first
        if (
            known is None
            and isinstance(each, TextFormat)
            and not (is_header or has_one_client(text) or _USUAL_FIRST.match(text))
        ):
            return False
        return not self._header_first or is_header or isinstance(each, JsonFormat) or has_one_client(text)

    def _count(self, found: _Found, text: str) -> None:
        """Count which format the log has, by a line."""
        if isinstance(found.format, TextFormat) and found.format.header_first:
            known = self._votes.format
            self._header_first |= not (isinstance(known, TextFormat) and known.begins_with_host)
        if found.format is self._votes.format:
            self._votes.confirm()
        else:
            self._votes.add(found.format.of_log(text))
        is_usual = self._votes.format is COMBINED and self._votes.is_settled
        self.is_combined = is_usual and not (self._declared or self._header_first)


def _takes_first(each: Format) -> bool:
    """Return whether a format takes the first address of a line for the client's, or the first behind a host."""
    return _is_loose(each) or (isinstance(each, TextFormat) and each.begins_with_client)


def _is_loose(each: Format) -> bool:
    """Return whether a format takes the first address for the client, whatever else stands before a quote."""
    return isinstance(each, UnknownFormat) or (isinstance(each, TextFormat) and each.is_loose)


def _begins_with_client(known: Format | None) -> bool:
    """Return whether nothing that a client writes stands before its address in a log of this format."""
    if isinstance(known, UnknownFormat):
        return known.place == 0
    return isinstance(known, TextFormat) and known.begins_with_client


def _has_addresses(line: str) -> bool:
    """Return whether several addresses stand where a client's may: before the date in brackets, or the first quote."""
    head = line.lstrip('"').partition('"')[0]
    # What stands behind the date is a host. The last bracket is the server's own, whatever a client wrote before it.
    head = head[: head.rfind("[")] if head.rfind("[") > 0 else head
    return (
        len({host for word in _BETWEEN.split(head) if word and (host := parse_host(without_port(word)))}) > 1
    )


def _readings(found: Iterable[Request], time: float | None, proxies: Proxies) -> tuple[Request, ...]:
    """Return the requests that a line stands for: one more than are looked at, if there are more than that."""
    return tuple(islice(_each_reading(found, time, proxies), MAX_READINGS + 1))


def _each_reading(found: Iterable[Request], time: float | None, proxies: Proxies) -> Iterator[Request]:
    """Yield the requests with their clients, and once more with each other path that a server may see.

    `time` is the transport's. A date in the line does not make it older: a client may have written that.
    """
    for each in found:
        request = resolved(each, proxies)
        if time is not None and (request.time is None or request.time < time):
            request = request._replace(time=time)
        yield request
        for path in paths(request.target)[1:]:
            yield request._replace(path=path)


# Whatever begins with a client's address, in a log that is known to begin so.
CLIENT_FIRST: Final[tuple[Format, ...]] = (
    *(each.of_log("") for each in TEXT_FORMATS if each.is_loose and each.begins_with_client),
    UnknownFormat(place=0),
)
# The known formats before those that read whatever looks like a request.
FORMATS: Final[tuple[Format, ...]] = (
    JsonFormat(),
    *TEXT_FORMATS,
    LtsvFormat(),
    LogfmtFormat(),
    UnknownFormat(),
)
