"""The text formats that are known, and lines in them -> requests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from sidecar.access.log_format import pattern
from sidecar.access.request import Request
from sidecar.access.target import request_line, split
from sidecar.access.when import DATE, unix_time

# A request and its status, wherever they stand in a line.
_READING = re.compile(r'(?<!\\)"(?P<request>[A-Z]{3,16} [^"\\]*+(?:\\.[^"\\]*+)*+)" (?P<status>\d{3})(?= |$)')
_ESCAPE = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|(["\\])|([nrtbvf]))')
_CONTROL: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "v": "\v", "f": "\f"}


@dataclass(frozen=True, slots=True)
class TextFormat:
    """A text format: a name for people, and the pattern of its lines with our fields as groups."""

    name: str
    pattern: re.Pattern[str]
    # Whether a host may stand where other formats have the client. Then a line whose host is an address could be of
    # either, and does not show which format its log has.
    host_first: bool = False

    def shows_format(self, request: Request) -> bool:
        """Return whether a request, read by this format, shows that its log is of this format."""
        return not (self.host_first and re.fullmatch(_ADDRESS, request.host))

    def requests(self, line: str, zone: tzinfo | None = None) -> tuple[Request, ...]:
        """Return the requests that the line may stand for; () where it is not of this format.

        Nearly always one. Where a client's text holds an unescaped quote, the line can be read in several ways, and
        nobody but its writer knows which is meant: then all of them are returned, all of the same client.
        """
        found = self.pattern.match(line)
        if found is None:
            return ()
        first = self._request(found, zone)
        if first is None:
            return ()
        others = (
            _READING.finditer(line, found.end("status")) if line.count('" ', found.end("status")) > 1 else ()
        )
        return first, *(self._also(first, other) for other in others)

    def _request(self, found: re.Match[str], zone: tzinfo | None) -> Request | None:
        fields = {name: text for name, text in found.groupdict().items() if text is not None}
        client = _host(fields["client"])
        if client is None:
            return None
        method, target = fields.get("method", ""), fields.get("target", "")
        if (line := fields.get("request")) is not None:
            method, target = request_line(unescaped(line))
        elif target:
            target = unescaped(target)
        path, query = split(target)
        if "query" in fields and not query:
            _, query = split(f"/?{unescaped(fields['query']).removeprefix('?')}")
        status = fields["status"]
        return Request(
            client,
            method,
            target,
            path,
            query,
            int(status) if status.isdecimal() else 0,
            peer=_host(fields.get("peer", "")) or "",
            user_agent=unescaped(fields.get("user_agent", "")),
            host=unescaped(fields.get("host", "")).rpartition(":")[0] or fields.get("host", ""),
            forwarded=unescaped(fields.get("forwarded", "")),
            time=unix_time(fields["date"], zone) if "date" in fields else None,
            user=_user(fields.get("user", "")),
        )

    def _also(self, first: Request, other: re.Match[str]) -> Request:
        method, target = request_line(unescaped(other["request"]))
        path, query = split(target)
        return first._replace(
            method=method, target=target, path=path, query=query, status=int(other["status"])
        )


def unescaped(text: str) -> str:
    r"""Return the text without the server's escapes: `\x22`, `\"`, `\\`, `\n`."""
    return text if "\\" not in text else _ESCAPE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return found[2] or _CONTROL[found[3]]


def _host(text: str) -> str | None:
    """Return an address without brackets; None where there is none (`-`, `unix:`)."""
    host = text.strip("[]")
    return host if host and host not in ("-", "unix:") else None


def _user(text: str) -> str:
    """Return a user name without the server's escapes; "" where there is none. Apache writes an empty name as `""`."""
    return "" if text in ("-", '""') else unescaped(text)


def known(name: str, text: str) -> TextFormat:
    """Return the format of this name, as nginx's or Apache's configuration writes it."""
    return TextFormat(name, pattern(text))


# A client's address, and what may stand before it. A second address before the request would be a header's.
_ADDRESS = r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*\]?)"
# HAProxy's `option httplog`; captured headers stand in braces before the request.
_HAPROXY = re.compile(
    rf"(?P<client>{_ADDRESS}):\d+ \[(?P<date>{DATE})\] \S+ \S+/\S+ [-+\d/]+ (?P<status>\d{{3}}|-1) \+?\d+ "
    r'\S+ \S+ \S{4} [+\d/]+ \d+/\d+ (?:\{.*?\} )?(?:\{.*?\} )?"(?P<request>[^"]*)"'
)
# X-Forwarded-For first: the header's addresses, then what `combined` goes on with.
_FORWARDED_FIRST = re.compile(
    rf'(?P<forwarded>{_ADDRESS}(?:, ?{_ADDRESS})*), ?(?P<client>{_ADDRESS}) - [^"]*\[(?P<date>{DATE})\][^"]*'
    r'"(?P<request>[^"\\]*+(?:\\.[^"\\]*+)*+)" (?P<status>\d{3})(?: .*)?'
)
# Whatever begins with an address, or a virtual host and an address, and goes on to a date, a quoted request, a status.
_QUOTED = r'"(?:[^"\\]*+(?:\\.[^"\\]*+)*+)"'
_REST = (
    rf'[ ](?:- (?P<user>[^\s"\[\]\\]{{1,60}}) )?(?:[^"\\]|\\.)*?\[(?P<date>{DATE})\](?:[^"\[\]\\]|\\.)*'
    r'"(?P<request>[^"\\]*+(?:\\.[^"\\]*+)*+)" '
    rf'(?P<status>\d{{3}})(?: (?:\d+|-) {_QUOTED} "(?P<user_agent>[^"\\]*+(?:\\.[^"\\]*+)*+)")?(?:[ "].*)?'
)
_LIKE_COMBINED = re.compile(rf'"?(?P<client>{_ADDRESS})(?![ ,]+{_ADDRESS}[ ,]){_REST}', re.DOTALL)
_LIKE_VHOST_COMBINED = re.compile(
    rf'"?(?P<host>[^\s"]{{1,260}}) (?P<client>{_ADDRESS})(?![ ,]+{_ADDRESS}[ ,]){_REST}', re.DOTALL
)
_COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"'
)

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
    TextFormat("HAProxy httplog", _HAPROXY),
    TextFormat(
        "Traefik CLF",
        re.compile(
            rf"(?P<client>{_ADDRESS}) - .*?\[(?P<date>{DATE})\] "
            r'"(?P<request>[^"]*)" (?P<status>\d{3}|-) \S+ "[^"]*" "(?P<user_agent>[^"]*)" \d+ "[^"]*" "[^"]*" \d+ms',
            re.DOTALL,
        ),
    ),
    TextFormat("X-Forwarded-For first", _FORWARDED_FIRST),
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
    known("combined", _COMBINED),
    known("common", '%h %l %u %t "%r" %>s %b'),
    TextFormat("like combined", _LIKE_COMBINED),
    TextFormat("like vhost_combined", _LIKE_VHOST_COMBINED, host_first=True),
)
