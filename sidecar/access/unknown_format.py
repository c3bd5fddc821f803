r"""A line of an access log whose format is not known, read field by field -> requests.

    2026-11-30T06:33:20+00:00 | 203.0.113.7 | blog.example.com | "POST /wp-login.php HTTP/2.0" | 200 | "Mozilla/5.0"

People put a server's fields in any order, with blanks, bars, commas or tabs between them. What a field is shows in its
text: a date, an address, a request line, three digits behind it. What a client wrote must not be taken for one:

- The client is the first address. Before it stand only fields that no client writes, and at most one host. Where there
  are two addresses, one of them may be a header; then only a log that is known shows which.
- Each request line is one that may be meant, and each is returned: a referrer that looks like one only adds.
- The status stands behind the request. Only if none does it is taken from between the date and the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from itertools import islice
from typing import Final, NamedTuple

from sidecar.access.chain import without_port
from sidecar.access.dialects import MAX_HOST_CHARS
from sidecar.access.escapes import beginning, unescaped
from sidecar.access.request import MAX_AGENT_CHARS, MAX_READINGS, Request
from sidecar.access.target import request_line, split
from sidecar.access.when import DATE, unix_time
from sidecar.core.address import parse_host

# Behind a quote that none closes, everything is text of a client.
_FIELD: Final = re.compile(
    rf'[\s|;,]+|(?P<date>\[?{DATE}\]?)(?=[\s|,;"\]]|$)'
    r'|"(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*+)"(?=[\s|,;]|$)|\[(?P<bracketed>[^\[\]"]*)\]|(?P<cut>".*)|(?P<bare>[^\s|;,"]+)',
    re.DOTALL,
)
_DATE: Final = re.compile(rf"\[?{DATE}\]?")
# With a version: php-fpm writes `"POST /wp-login.php" 200` of requests that the web server's log has as well.
# nginx takes `HTTP/1.10`, Varnish `http/1.1`.
_REQUEST: Final = re.compile(r"[A-Z]{3,16}\s+\S.*\s(?i:HTTP)/[\d.]{1,8}\s*", re.DOTALL)
_METHOD: Final = re.compile(r"[A-Z]{3,16}")
_TARGET: Final = re.compile(r"/|https?://", re.IGNORECASE)
# What no host begins with.
_REQUEST_BEGIN: Final = re.compile(r"[A-Z]{3,16}\s+(?:/|https?://)", re.IGNORECASE)
_STATUS: Final = re.compile(r"[1-5]\d\d|000")
# Words that servers write before a client's address: numbers, durations, states of a cache, a scheme.
_OURS: Final = re.compile(r"-|[\d.]+(?:ms|s)?|[A-Z]{3,11}|https?|on|off")
# This many fields behind a request line may be something else than its status, such as a time.
NEAR: Final = 4
# A longer line is examined up to here. Servers refuse requests with header lines over 8 KiB, and write four characters
# for one that they do not print. Sources cut lines there, too.
MAX_CHARS: Final = 64 * 1024
# Syslog daemons and HAProxy cut lines at 1024 bytes or more. Then the status is lost, and it is no excuse.
CUT_CHARS: Final = 1000
# Apache's `ssl_request_log`: its request is followed by a size, which is not a status.
_WITHOUT_STATUS: Final = re.compile(
    rf'\[{DATE}\] \S+ (?:(?:TLS|SSL)v[\d.]+ \S+|- -) "[^"\\]*+(?:\\.[^"\\]*+)*+" (?:\d+|-)\s*', re.DOTALL
)


class _Field(NamedTuple):
    kind: str
    text: str


class _Asked(NamedTuple):
    """A request line: its place among the fields, the place behind it, method and target."""

    at: int
    end: int
    method: str
    target: str


@dataclass(frozen=True, slots=True)
class UnknownFormat:
    """Lines with a client, a request and a status that can be told apart, in an order that no known format has."""

    name: str = "like an access log"
    # Which field is the client's; None where the log is not known.
    place: int | None = None
    min_lines: int = 1

    def of_log(self, line: str) -> UnknownFormat:
        """Return the format of a log that has such lines: the client stands in the same place in each."""
        client = _client(list(_fields(line[:MAX_CHARS])))
        return self if client is None else UnknownFormat(self.name, client[0])

    def shows_format(self, _request: Request) -> bool:
        """Return whether a request, read by this format, shows that its log is of this format."""
        return True

    def requests(self, line: str, zone: tzinfo | None = None) -> tuple[Request, ...]:
        """Return the requests that the line may stand for; () where it is not one."""
        if _WITHOUT_STATUS.fullmatch(line):
            return ()
        fields = list(_fields(line[:MAX_CHARS]))
        client = _client(fields, self.place)
        if client is None:
            return ()
        first, address = client
        found = []
        asked_for = _asked(fields, first + 1, is_cut=len(line) >= CUT_CHARS)
        for asked in islice(asked_for, MAX_READINGS + 1):
            path, query = split(asked.target)
            found += [
                (asked.method, asked.target, path, query, status)
                for status in _statuses(fields, asked, first + 1)
            ]
        time = _time(fields, zone)
        agent = next((each.text for each in reversed(fields) if each.kind == "quoted"), "")
        agent = unescaped(beginning(agent, MAX_AGENT_CHARS))
        return tuple(Request(address, *each, user_agent=agent, time=time) for each in dict.fromkeys(found))


def _fields(line: str) -> Iterator[_Field]:
    at = 0
    # LiteSpeed writes its format's own quotes into the line.
    if re.match(r'"[^"\s]+ [^"]*\[', line):
        at = 1
    while at < len(line) and (found := _FIELD.match(line, at)):
        at = found.end()
        if found.lastgroup is None:
            continue
        text = found[found.lastgroup]
        yield _Field("date" if _DATE.fullmatch(text) else found.lastgroup, text)


def _client(fields: list[_Field], place: int | None = None) -> tuple[int, str] | None:
    """Return the place and the text of the client's address; None: it is not certain which that is.

    `place` is where it stands in the lines of this log.
    """
    hosts, found = 0, None
    for number, each in enumerate(fields):
        address = _address(each)
        if address and number == place:
            # Nobody writes before it, or no second address stands behind it, which then may be the client's.
            is_alone = number + 1 == len(fields) or not _address(fields[number + 1])
            return (number, address) if is_alone or not _may_be_sent(fields[:number]) else None
        if found:
            # Only fields before the request tell which address is which.
            if each.kind in ("quoted", "cut") and not address and " " in each.text:
                break
            if address and address != found[1]:
                return None
            continue
        if address and place is None:
            found = number, address
            continue
        if each.kind == "bracketed" and not _OURS.fullmatch(each.text):
            return None
        # Envoy's text has the request first, and behind it an address that is a header's.
        if each.kind == "quoted" and _REQUEST_BEGIN.match(each.text):
            return None
        hosts += each.text != "-" and _may_be_sent([each])
        if hosts > 1 or each.kind == "cut" or len(each.text) > MAX_HOST_CHARS:
            return None
    return found


def _may_be_sent(fields: list[_Field]) -> bool:
    """Return whether a client may have written one of these: they are not only dates, numbers and words of servers."""
    return any(
        each.kind != "date" and (each.text == "-" or not _OURS.fullmatch(each.text)) for each in fields
    )


def _address(each: _Field) -> str:
    """Return the address that a field is, without its port; "" where it is not one."""
    if each.kind not in ("bare", "quoted", "bracketed") or len(each.text) > 64:
        return ""
    # A number alone is not an address.
    text = without_port(f"[{each.text}]" if each.kind == "bracketed" else each.text)
    return text if (":" in text or text.count(".") == 3) and parse_host(text) else ""


def _asked(fields: list[_Field], start: int, *, is_cut: bool) -> Iterator[_Asked]:
    """Yield whatever looks like a request line, in one field or in its parts."""
    for place in range(start, len(fields)):
        kind, text = fields[place]
        sent = unescaped(text[1:] if kind == "cut" else text)
        is_request = kind == "quoted" and _REQUEST.fullmatch(sent)
        if is_request or (kind == "cut" and is_cut and _METHOD.match(sent)):
            yield _Asked(place, place + 1, *request_line(sent))
        # Only in quotes: a part of a longer line, cut somewhere, may be text of a client up to its first quote.
        elif kind == "quoted" and _METHOD.fullmatch(text) and place + 1 < len(fields):
            after = fields[place + 1]
            if after.kind == "quoted" and _TARGET.match(after.text):
                yield _Asked(place, place + 2, text, unescaped(after.text))


def _statuses(fields: list[_Field], asked: _Asked, start: int) -> Iterator[int]:
    """Yield what may be the status of a request: behind it, or else between the last date before it and it."""
    if fields[asked.at].kind == "cut":
        yield 0
    for each in fields[asked.end : asked.end + NEAR]:
        if each.kind in ("bare", "quoted") and _STATUS.fullmatch(each.text):
            yield int(each.text)
            if each.kind == "bare":
                return
            # What stands in quotes may be a header, such as a client that calls itself 302.
            break
    for each in reversed(fields[start : asked.at]):
        if each.kind == "date":
            break
        if each.kind == "bare" and _STATUS.fullmatch(each.text):
            yield int(each.text)
            break


def _time(fields: list[_Field], zone: tzinfo | None) -> float | None:
    """Return the latest date, so that one in a client's text makes no failure look older."""
    times = (unix_time(each.text.strip("[]"), zone) for each in fields if each.kind == "date")
    return max((time for time in times if time is not None), default=None)
