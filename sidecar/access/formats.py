"""The text formats that are known, and lines in them -> requests."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from itertools import islice
from typing import Final

from sidecar.access.chain import addresses, without_port
from sidecar.access.dialects import MAX_HOST_CHARS
from sidecar.access.escapes import beginning, from_haproxy, unescaped
from sidecar.access.log_format import cut_pattern, has_backslashes, other_patterns, pattern
from sidecar.access.request import MAX_AGENT_CHARS, MAX_READINGS, MAX_USER_CHARS, Request
from sidecar.access.target import request_line, split
from sidecar.access.when import DATE, unix_time
from sidecar.core.address import parse_address

# Lines are cut at 64 KiB, which may be a quarter as many characters.
LONG_CHARS: Final = 16 * 1024
# A request line of Go's, which may hold quotes but no blanks.
_GO_REQUEST = r"[A-Z]{3,16} \S+ HTTP/\d(?:\.\d)?"
# A request and its status, wherever they stand in a line.
_READING = re.compile(
    rf'(?<!\\)"(?P<request>[A-Z]{{3,16}} [^"\\]*+(?:\\.[^"\\]*+)*+|{_GO_REQUEST})" (?P<status>\d{{3}})(?= |$)'
)
# Where a request and its status may end, of a server that leaves a client's quotes as they are.
_REQUEST_END = re.compile(r' (?i:HTTP)/[\d.]+" (?P<status>\d{3})(?= |$)')
# This many ends of one line are looked at, the last ones.
MAX_ENDS: Final = 8
_BRACKETED = re.compile(rf"\[({DATE})\]")


@dataclass(frozen=True, slots=True)
class TextFormat:
    """A text format: a name for people, and the pattern of its lines with our fields as groups."""

    name: str
    pattern: re.Pattern[str]
    # Whether a host may stand where other formats have the client. Then a line whose host is an address could be of
    # either, and does not show which format its log has.
    host_first: bool = False
    # The pattern of a log that is known to be of this format, which may take text that is in doubt elsewhere.
    known_pattern: re.Pattern[str] | None = None
    # The pattern of lines that a transport may have cut (`LONG_CHARS`).
    cut_pattern: re.Pattern[str] | None = None
    # Patterns that read a line in other ways, all of the same client.
    other_patterns: tuple[re.Pattern[str], ...] = ()
    # This many lines must be of this format before any is read by it.
    min_lines: int = 1
    # Whether a header stands before the client's address, so that a client writes the beginning of the line.
    header_first: bool = False
    # Whether anything may stand between the client's address and the date.
    is_loose: bool = False
    # How the server wrote what a client sent -> what it sent.
    unescape: Callable[[str], str] = unescaped

    @property
    def begins_with_client(self) -> bool:
        """Whether the client's address is the first field."""
        return self.pattern.pattern.startswith(("(?P<client>", '"?(?P<client>'))

    @property
    def begins_with_host(self) -> bool:
        """Whether what a client chose, its Host header, stands before its address."""
        groups = self.pattern.groupindex
        return groups.get("host", groups["client"]) < groups["client"]

    def of_log(self, _line: str) -> TextFormat:
        """Return the format of a log that has such lines."""
        return self if self.known_pattern is None else replace(self, pattern=self.known_pattern)

    def shows_format(self, request: Request) -> bool:
        """Return whether a request, read by this format, shows that its log is of this format."""
        return not (self.host_first and re.fullmatch(_ADDRESS, request.host))

    def requests(self, line: str, zone: tzinfo | None = None) -> tuple[Request, ...]:
        """Return the requests that the line may stand for; () where it is not of this format.

        Nearly always one. Where a client's text holds an unescaped quote, the line can be read in several ways, and
        nobody but its writer knows which is meant: then all of them are returned, all of the same client. If they are
        more than MAX_READINGS, some are left out, and more than MAX_READINGS are returned.
        """
        found = self.pattern.match(line)
        if found is None and self.cut_pattern and len(line) >= LONG_CHARS:
            found = self.cut_pattern.match(line)
        if self.other_patterns:
            return self._each_way(line, found, zone)
        if found is None:
            return ()
        first = self._request(found, zone)
        if first is None:
            return ()
        status_end = found.end("status")
        others = (
            list(islice(_READING.finditer(line, status_end), MAX_READINGS))
            if line.count('" ', status_end) > 1
            else []
        )
        # A user name or a host may hold a date, too. An older one would excuse a failure.
        if latest := _latest_date(line[: others[-1].start() if others else status_end], zone):
            first = first._replace(time=max(latest, first.time or latest))
        readings = [(other["request"], other["status"]) for other in others]
        if "request" in self.pattern.groupindex:
            ends = list(_REQUEST_END.finditer(line, found.end("request")))[-MAX_ENDS:]
            begin = found.start("request")
            readings += [(line[begin : end.start("status") - 2], end["status"]) for end in ends]
        return first, *(self._also(first, *reading) for reading in readings)

    def _each_way(self, line: str, found: re.Match[str] | None, zone: tzinfo | None) -> tuple[Request, ...]:
        """Return each request that the patterns read in a line, at the latest of their times."""
        ways = (found, *(each.match(line) for each in self.other_patterns))
        requests = [request for way in ways if way and (request := self._request(way, zone))]
        time = max((each.time for each in requests if each.time is not None), default=None)
        different = {(each.method, each.target, each.status): each for each in reversed(requests)}
        return tuple(each._replace(time=time) for each in reversed(different.values()))

    def _request(self, found: re.Match[str], zone: tzinfo | None) -> Request | None:
        fields = {name: text for name, text in found.groupdict().items() if text is not None}
        client, unescape = _host(fields["client"]), self.unescape
        if client is None:
            return None
        method, target = fields.get("method", ""), fields.get("target", "")
        if (line := fields.get("request")) is not None:
            method, target = request_line(unescape(line))
        elif target:
            target = unescape(target)
        path, query = split(target)
        if "query" in fields and not query:
            _, query = split(f"/?{unescape(fields['query']).removeprefix('?')}")
        status = fields["status"]
        return Request(
            client,
            method,
            target,
            path,
            query,
            int(status) if status.isdecimal() else 0,
            peer=_host(fields.get("peer", "")) or "",
            user_agent=unescape(beginning(fields.get("user_agent", ""), MAX_AGENT_CHARS)),
            host=unescape(fields.get("host", "")).rpartition(":")[0] or fields.get("host", ""),
            forwarded=unescape(fields.get("forwarded", fields.get("before", ""))),
            time=unix_time(fields["date"], zone) if "date" in fields else None,
            user=_user(fields.get("user", "")),
            chain=(*addresses(fields["before"]), client) if "before" in fields else (),
        )

    def _also(self, first: Request, request: str, status: str) -> Request:
        method, target = request_line(self.unescape(request))
        path, query = split(target)
        return first._replace(method=method, target=target, path=path, query=query, status=int(status))


def _latest_date(text: str, zone: tzinfo | None) -> float | None:
    """Return the latest of the dates in brackets; None where there is at most one."""
    if text.count("[") < 2:
        return None
    times = (unix_time(date, zone) for date in _BRACKETED.findall(text))
    return max((time for time in times if time is not None), default=None)


def _host(text: str) -> str | None:
    """Return an address without port and brackets; None where there is none (`-`, `unix:`, `06:33:20`)."""
    host = without_port(text)
    if ":" in host:
        return host if parse_address(host) else None
    return host if host and host != "-" else None


def _user(text: str) -> str:
    """Return a user name without the server's escapes; "" where there is none. Apache writes an empty name as `""`."""
    return "" if text in ("-", '""') else unescaped(beginning(text, MAX_USER_CHARS))


def known(name: str, text: str) -> TextFormat:
    """Return the format of this name, as the configuration of nginx, Apache or HAProxy writes it."""
    return TextFormat(name, pattern(text), cut_pattern=cut_pattern(text))


def declared(name: str, text: str) -> TextFormat:
    """Return the format that a person configured, of whatever server. Raises what `log_format.pattern` does."""
    unescape = unescaped if has_backslashes(text) else from_haproxy
    return replace(known(name, text), other_patterns=other_patterns(text), unescape=unescape)


# A client's address, and what may stand before it. A second address before the request would be a header's.
_ADDRESS = r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*(?:%[\w.-]{1,15})?\]?)"
# HAProxy's `option httplog`. A captured cookie may have blanks, and captured headers stand in braces before the
# request. It cuts lines at 1024 bytes.
_HAPROXY = re.compile(
    rf"(?P<client>{_ADDRESS}):\d+ \[(?P<date>{DATE})\] \S+ \S+/\S+ [-+\d/]+ (?P<status>\d{{3}}|-1) \+?\d+ "
    r'[^"]*? \S{4} [+\d/]+ \d+/\d+ (?:\{.*?\} )?(?:\{.*?\} )?"(?P<request>[^"]*)(?:".*)?'
)
# X-Forwarded-For first: what the client sent, the address that the proxy appended, then what `combined` goes on with.
# With blanks in what the client sent it might be another format. A user name that holds a second such address may be
# meant instead, so that nobody knows which is the client.
_APPENDED = rf", ?{_ADDRESS} - "
# No quote, but one that a server has escaped.
_UNQUOTED = r'(?:[^"\\]|\\.)'
_AFTER_HEADER = (
    rf', ?(?P<client>{_ADDRESS}) - (?!{_UNQUOTED}*?{_APPENDED})(?:(?P<user>[^\s"\[\]\\]{{1,60}}) )?{_UNQUOTED}*'
    rf'\[(?P<date>{DATE})\]{_UNQUOTED}*"(?P<request>[^"\\]*+(?:\\.[^"\\]*+)*+)" (?P<status>\d{{3}})(?!\d)(?: .*)?'
)
_FORWARDED_FIRST = re.compile(rf'(?P<before>[^\s",]+(?:, ?[^\s",]+)*?){_AFTER_HEADER}')
# Not possessive: Python before 3.11.5 loses matches of a possessive group with a look-ahead in it (gh-106052).
_ANYTHING_FIRST = re.compile(
    rf"(?!{_ADDRESS} - )(?P<before>(?:(?!{_APPENDED}){_UNQUOTED})*){_AFTER_HEADER}", re.DOTALL
)
# Its client may be in doubt: a second address before the first quote, or a second date before a quote.
_DOUBTFUL = re.compile(rf'{_UNQUOTED}*{_APPENDED}|.*\[{DATE}\] ".*\[{DATE}\] "', re.DOTALL)
# Whatever begins with an address, or a virtual host and an address, and goes on to a date, a quoted request, a status.
_QUOTED = r'"(?:[^"\\]*+(?:\\.[^"\\]*+)*+)"'
_REST = (
    rf'[ ](?:- (?P<user>[^\s"\[\]\\]{{1,60}}) )?(?:[^"\\]|\\.)*?\[(?P<date>{DATE})\](?:[^"\[\]\\]|\\.)*'
    r'"(?P<request>[^"\\]*+(?:\\.[^"\\]*+)*+)" '
    rf'(?P<status>\d{{3}})(?!\d)(?: (?:\d+|-) {_QUOTED} "(?P<user_agent>[^"\\]*+(?:\\.[^"\\]*+)*+)")?(?:[ "].*)?'
)
_TWO_FIRST = re.compile(rf"(?P<before>{_ADDRESS}(?:, ?{_ADDRESS})*) (?P<client>{_ADDRESS}){_REST}", re.DOTALL)
_CLIENT_FIRST = re.compile(rf'"?(?P<client>{_ADDRESS}){_REST}', re.DOTALL)
_LIKE_COMBINED = re.compile(rf'"?(?P<client>{_ADDRESS})(?![ ,]+{_ADDRESS}[ ,]){_REST}', re.DOTALL)
# nginx writes no host where it could not read the request.
_LIKE_VHOST_COMBINED = re.compile(
    rf'"?(?P<host>[^\s"]{{0,{MAX_HOST_CHARS}}})"? (?P<client>{_ADDRESS})(?![ ,]+{_ADDRESS}[ ,]){_REST}',
    re.DOTALL,
)
# The same in a log that is known to have a host first. Varnish takes hosts with blanks; then the only address before
# the request is the client. With two of them, one is in the host or in the user name, and nobody knows which.
_VHOST_FIRST = re.compile(
    rf'"?(?P<host>[^\s"]{{0,{MAX_HOST_CHARS}}}|(?!{_UNQUOTED}*? {_ADDRESS}(?= ){_UNQUOTED}*? {_ADDRESS} )'
    rf'{_UNQUOTED}{{1,{MAX_HOST_CHARS}}}?)"? (?P<client>{_ADDRESS})(?![ ,]+{_ADDRESS}[ ,]){_REST}',
    re.DOTALL,
)
# Traefik escapes nothing but quotes in headers.
_TRAEFIK = rf'(?P<client>{_ADDRESS}) - .*?\[(?P<date>{DATE})\] "(?P<request>[^"]*|{_GO_REQUEST})" (?P<status>\d{{3}}|-)'
# Over HTTP/2 a target may have blanks, besides quotes. It is looked for behind the first date, or each date would cost
# a search through the whole line.
_RAW_REQUEST = re.compile(
    rf'(?P<client>{_ADDRESS}) - (?:(?!\[{DATE}\] ").)*\[(?P<date>{DATE})\] '
    r'"(?P<request>[A-Z]{3,16} .*? (?i:HTTP)/[\d.]+)" (?P<status>\d{3}|-)(?= |$)',
    re.DOTALL,
)
_COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"'
)

# For the lines of a log in which other lines have shown that the header stands first.
HEADER_FIRST: Final = TextFormat("X-Forwarded-For first", _ANYTHING_FIRST, header_first=True)


def has_one_client(line: str) -> bool:
    """Return whether a line of a log in which headers may stand first names one client only."""
    return not _DOUBTFUL.match(line)


COMBINED: Final = known("combined", _COMBINED)
# The first that reads a log's lines is taken.
TEXT_FORMATS: Final = (
    known(
        "Nginx Proxy Manager",
        "[$time_local] $upstream_cache_status $upstream_status $status - $request_method $scheme $host "
        '"$request_uri" [Client $remote_addr] [Length $body_bytes_sent] [Gzip $gzip_ratio] [Sent-to $server] '
        '"$http_user_agent" "$http_referer"',
    ),
    known(
        "Nginx Proxy Manager (standard)",
        '[$time_local] $status - $request_method $scheme $host "$request_uri" [Client $remote_addr] '
        '[Length $body_bytes_sent] [Gzip $gzip_ratio] "$http_user_agent" "$http_referer"',
    ),
    TextFormat("HAProxy httplog", _HAPROXY, unescape=from_haproxy),
    TextFormat(
        "Traefik CLF",
        re.compile(rf'{_TRAEFIK} \S+ "[^"]*" "(?P<user_agent>[^"]*)" \d+ "[^"]*" "[^"]*" \d+ms', re.DOTALL),
    ),
    TextFormat("X-Forwarded-For first", _FORWARDED_FIRST, header_first=True),
    # Client and peer, the header and the peer, or a virtual host that is an address: the second is certain in each. But
    # a single such line may have a Host header that is an address behind the client.
    TextFormat("two addresses first", _TWO_FIRST, min_lines=20),
    known(
        "rt_cache",
        '$remote_addr $upstream_response_time $upstream_cache_status [$time_local] $http_host "$request" $status '
        '$body_bytes_sent "$http_referer" "$http_user_agent"',
    ),
    known(
        "ingress-nginx",
        f"{_COMBINED} $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name]",
    ),
    known("vhost_combined", '%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"'),
    COMBINED,
    known("common", '%h %l %u %t "%r" %>s %b'),
    TextFormat("like combined", _LIKE_COMBINED, known_pattern=_CLIENT_FIRST, is_loose=True),
    TextFormat("Traefik generic CLF", re.compile(rf"{_TRAEFIK} .*", re.DOTALL), is_loose=True),
    TextFormat("Traefik generic CLF", _RAW_REQUEST, is_loose=True),
    TextFormat(
        "like vhost_combined",
        _LIKE_VHOST_COMBINED,
        known_pattern=_VHOST_FIRST,
        host_first=True,
        is_loose=True,
    ),
)
