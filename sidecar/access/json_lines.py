"""JSON access logs -> requests, by the names of their keys.

Traefik, Caddy, nginx with `escape=json`, Apache with a LogFormat of JSON, and the Elastic Common Schema call the same
things by different names. A line is flattened (`request.headers.User-Agent`) and each field is looked up under all of
its names, so a format that nobody has seen is read as long as its names are usual.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from sidecar.access.request import Request
from sidecar.access.target import request_line, split
from sidecar.access.when import unix_time

# Field -> its names, compared without regard to case, `_` and `-`; the first that is there counts.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "client": (
        "ClientHost", "request.client_ip", "request.remote_ip", "remote_addr", "client_ip", "remote_ip", "clientip",
        "client.ip", "source.ip", "client.address", "source.address", "client_addr", "remote_host", "remoteaddress",
        "client", "ip", "h",
    ),
    "peer": ("ClientAddr", "request.remote_ip", "realip_remote_addr", "peer", "peer_addr", "request.remote_addr"),
    "request": ("request", "request_line", "requestline", "request_first_line", "http.request.line", "r"),
    "method": (
        "RequestMethod", "request.method", "request_method", "method", "http.request.method", "http_method", "verb",
        "m",
    ),
    "target": (
        "RequestPath", "request.uri", "request_uri", "request_target", "url.original", "uri", "url.path", "url", "path",
        "request_path", "U",
    ),
    "query": ("args", "query", "query_string", "url.query", "q"),
    "status": (
        "DownstreamStatus", "status", "status_code", "http.response.status_code", "response_code", "response_status",
        "response.status", "code", "s",
    ),
    "user_agent": (
        "request_User-Agent", "request.headers.User-Agent", "http_user_agent", "user_agent.original", "user_agent",
        "agent", "ua",
    ),
    "host": ("RequestHost", "request.host", "host", "http_host", "server_name", "vhost", "virtual_host", "url.domain"),
    "forwarded": (
        "request_X-Forwarded-For", "request.headers.X-Forwarded-For", "http_x_forwarded_for", "x_forwarded_for",
        "xff", "forwarded_for",
    ),
    # Traefik's and Caddy's names for a user are left out: those have been accepted by the proxy itself.
    "user": ("remote_user", "user.name", "auth"),
    "date": (
        "StartUTC", "ts", "time_iso8601", "@timestamp", "timestamp", "time", "time_local", "datetime", "date", "msec",
        "StartLocal", "t",
    ),
}  # fmt: skip
MAX_DEPTH: Final = 4
# Apache and nginx without `escape=json` write `\x22`, which is no JSON.
_HEX = re.compile(r"\\x([0-9A-Fa-f]{2})")
# A key and a plain value, for lines that are no JSON for another reason, such as `"upstream_time": -`.
_PAIR = re.compile(r'"((?:[^"\\]|\\.)*+)"\s*:\s*(?:"((?:[^"\\]|\\.)*+)"|([^",{}\[\]\s]+))')
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}")


def _folded(name: str) -> str:
    return re.sub(r"[_-]", "", name).lower()


_FIELDS: Final = [(field, [_folded(name) for name in names]) for field, names in NAMES.items()]


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """Any JSON object that has a client, a request and a status under usual names."""

    name: str = "JSON"

    def shows_format(self, _request: Request) -> bool:
        """Return whether a request, read by this format, shows that its log is of this format."""
        return True

    def requests(self, line: str, zone: tzinfo | None = None) -> tuple[Request, ...]:
        """Return the request that the line stands for; () where it is none."""
        if not line.startswith("{"):
            return ()
        found = _fields(line)
        client, status = _address(found.get("client", "")), found.get("status", "")
        if not client or not status.isdecimal():
            return ()
        method, target = found.get("method", ""), found.get("target", "")
        if not (method and target) and "request" in found:
            sent_method, sent_target = request_line(found["request"])
            if sent_method:
                method, target = sent_method, sent_target
            else:
                target = target or sent_target
        elif not target:
            return ()
        path, query = split(target)
        if "query" in found and not query:
            _, query = split(f"/?{found['query'].removeprefix('?')}")
        peer = _address(found.get("peer", ""))
        request = Request(
            client, method, target, path, query, int(status),
            peer=peer, user_agent=found.get("user_agent", ""), host=found.get("host", ""),
            forwarded=found.get("forwarded", ""),
            time=unix_time(found["date"].strip("[]"), zone) if "date" in found else None,
            user="" if found.get("user") == "-" else found.get("user", ""),
        )  # fmt: skip
        return (request,)


def kind(line: str) -> str:
    """Return whose JSON it is, for people."""
    if '"ClientAddr"' in line or '"DownstreamStatus"' in line:
        return "Traefik JSON"
    if '"http.log.access' in line:
        return "Caddy JSON"
    if '"remote_addr"' in line:
        return "nginx JSON"
    return "JSON"


def _fields(line: str) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in _flattened(line):
        flat.setdefault(_folded(name), value)
    present = {field: [flat[name] for name in names if name in flat] for field, names in _FIELDS}
    return {field: values[0] for field, values in present.items() if values}


def _flattened(line: str) -> Iterator[tuple[str, str]]:
    try:
        whole = json.loads(line)
    except (ValueError, RecursionError):
        try:
            whole = json.loads(_HEX.sub(r"\\u00\1", line))
        except (ValueError, RecursionError):
            yield from _pairs(line)
            return
    if isinstance(whole, dict):
        yield from _walk(whole, "", MAX_DEPTH)


def _walk(node: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, dict):
            if depth:
                yield from _walk(value, f"{prefix}{key}.", depth - 1)
            continue
        # A header is a list of its values.
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str | int | float):
            yield f"{prefix}{key}", str(first)


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    for found in _PAIR.finditer(line):
        if found[2] is None:
            yield found[1], found[3]
            continue
        try:
            yield found[1], json.loads(f'"{_HEX.sub(chr(92) * 2 + "u00" + chr(92) + "1", found[2])}"')
        except ValueError:
            yield found[1], found[2]


def _address(text: str) -> str:
    """Return an address without port and brackets; "" where the text is none."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal() and (host.count(".") == 3 or host.endswith("]")):
        text = host
    text = text.strip("[]")
    return text if _ADDRESS.fullmatch(text) else ""
