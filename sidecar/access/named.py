"""Fields by name, as JSON logs and others have them -> requests.

Traefik, Caddy, nginx with `escape=json`, Apache with a LogFormat of JSON, Envoy and the Elastic Common Schema call the
same things by different names. Each field is looked up under all of its names, so a format that nobody has seen is read
as long as its names are usual.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from functools import lru_cache
from itertools import islice, product
from typing import Final, TypeAlias

from sidecar.access.chain import addresses, without_port
from sidecar.access.request import MAX_READINGS, Request
from sidecar.access.target import request_line, split
from sidecar.access.when import unix_time
from sidecar.core.address import parse_host

# Field -> its names, compared without regard to case, `_` and `-`; the first that is there counts.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "client": (
        "ClientHost", "request.client_ip", "request.remote_ip", "remote_addr", "client_ip", "remote_ip", "clientip",
        "client.ip", "source.ip", "client.address", "source.address", "client_addr", "client_address", "remote_host",
        "remote_address", "network.client.ip", "downstream_remote_address", "source_ip", "src_ip", "real_ip",
        "the_real_ip", "c-ip", "client", "remote", "ip", "ip_address", "h",
    ),
    "peer": (
        "ClientAddr", "request.remote_ip", "realip_remote_addr", "peer", "peer_addr", "peer_address",
        "request.remote_addr",
    ),
    "request": (
        "request", "request_line", "request_first_line", "http.request.line", "http_request", "req", "r",
    ),
    "method": (
        "RequestMethod", "request.method", "request_method", "method", "http.request.method", "http.method",
        "http_method", "req_method", "verb", "cs-method", "ClientRequestMethod", "m",
    ),
    "target": (
        "RequestPath", "request.uri", "request_uri", "request_target", "url.original", "http.url", "request_url",
        "http_uri", "uri", "url.path", "url", "path", "request_path", "url_path", "uri_path", "http_path",
        "cs-uri-stem", "x-envoy-origin-path", "x-envoy-original-path", "ClientRequestURI", "ClientRequestPath", "U",
    ),
    "query": (
        "args", "query", "query_string", "request_query", "request_querystring", "request_args", "url.query",
        "cs-uri-query", "q",
    ),
    "status": (
        "DownstreamStatus", "status", "status_code", "http.response.status_code", "http.status_code", "http_status",
        "http_status_code", "response_code", "response_status", "response.status", "response.status_code",
        "resp_status", "sc-status", "EdgeResponseStatus", "OriginStatus", "code", "s",
    ),
    "user_agent": (
        "request_User-Agent", "request.headers.User-Agent", "http_user_agent", "user_agent.original", "user_agent",
        "http.useragent", "ClientRequestUserAgent", "useragent", "agent", "ua",
    ),
    "host": (
        "RequestHost", "request.host", "vhost", "host", "http_host", "server_name", "virtual_host", "url.domain",
        "authority", "domain", "ClientRequestHost",
    ),
    "forwarded": (
        "request_X-Forwarded-For", "request.headers.X-Forwarded-For", "http_x_forwarded_for", "x_forwarded_for",
        "xff", "forwarded_for", "forwardedfor",
    ),
    # Traefik's and Caddy's names for a user are left out: those have been accepted by the proxy itself. That there was
    # an Authorization header they show, without its value.
    "user": (
        "remote_user", "user.name", "auth", "request.headers.Authorization", "request_Authorization",
    ),
    "date": (
        "StartUTC", "ts", "time_iso8601", "@timestamp", "timestamp", "time", "time_local", "datetime", "date_time",
        "date", "msec", "StartLocal", "start_time", "time_stamp", "eventtime", "EdgeStartTimestamp", "started_at", "t",
    ),
}  # fmt: skip
# Headers that Traefik keeps: a client may send one that is called Method, so these names have to fit exactly.
_HEADER: Final = re.compile(r"(?:request|origin|downstream)_[A-Z]")
# What stands in these a client or another server chose, by any name.
_OTHERS: Final = re.compile(
    r"header|cookie|param|query|args|form|body|upstream|backend|origin|response|server|host|kube|geo|dest|docker",
    re.IGNORECASE,
)
# `$host$request_uri`; a client chooses the host, so it may be any text.
_HOST_FIRST: Final = re.compile(r"(?![a-zA-Z][a-zA-Z0-9+.-]*://)[^/]+/")
# Between a place for everything and a field: `@nginx_fields.status`, `nginx.access.status`.
MAX_PLACES: Final = 2

# A client may send headers of any name, and some logs have them all.
KNOWN_RECORDS: Final = 256

Named: TypeAlias = Iterable[tuple[str, str]]
"""Name and value of fields in the order of the line; of one inside another, `outer.inner`."""


def _folded(name: str) -> str:
    return name if _HEADER.match(name) else name.replace("_", "").replace("-", "").lower()


_FIELDS: Final = {field: tuple(map(_folded, names)) for field, names in NAMES.items()}


def requests(named: Named, zone: tzinfo | None = None, *, is_cut: bool = False) -> tuple[Request, ...]:
    """Return the requests that the fields may stand for; () where these are no request's.

    `is_cut`: the end of the line is missing. If the status was there, that excuses nothing: it is 0.

    Where a name is there twice, because a server wrote a client's quotes as they were, nobody knows which is meant:
    then all are returned. If that is so of the client, it is nobody's request.
    """
    found = _found(named)
    client = _client(found)
    if client is None or not ("status" in found or is_cut):
        return ()
    statuses = [status for text in found.get("status", ("-",)) if (status := _status(text)) is not None]
    dates = (unix_time(text.strip("[]"), zone) for text in found.get("date", ()))
    rest = client._replace(
        user_agent=found.get("user_agent", ("",))[0],
        host=found.get("host", ("",))[0],
        forwarded=found.get("forwarded", ("",))[0],
        time=next((date for date in dates if date is not None), None),
        user=next((user for user in found.get("user", ()) if user != "-"), ""),
    )
    asked = _targets(found)
    return tuple(
        rest._replace(method=method, target=target, path=split(target)[0], query=query, status=status)
        for (method, target, query), status in islice(product(asked, statuses), MAX_READINGS + 1)
    )


def _found(named: Named) -> dict[str, Sequence[str]]:
    """Return field -> its values, each once; those of a date under all names."""
    names, values = [], []
    for name, value in named:
        names.append(name)
        values.append(value)
    # A log's lines nearly always have the same names.
    places = _places(tuple(names))
    return {
        field: (values[at[0]],) if len(at) == 1 else tuple(dict.fromkeys(values[place] for place in at))
        for field, at in places.items()
    }


@lru_cache(maxsize=KNOWN_RECORDS)
def _places(names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Return field -> where its values stand in a record with these names."""
    flat: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        flat.setdefault(_folded(name), []).append(place)
    inner = _inner(flat)
    found = {field: _of(flat, field, each) or _of(inner, field, each) for field, each in _FIELDS.items()}
    return {field: tuple(places) for field, places in found.items() if places}


def _of(flat: Mapping[str, list[int]], field: str, names: Iterable[str]) -> list[int]:
    present = [flat[name] for name in names if name in flat]
    if field == "date":
        return [place for places in present for place in places]
    return present[0] if present else []


def _inner(flat: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Return the fields without the places that they stand in, as far as no client chooses their names."""
    inner: dict[str, list[int]] = {}
    for name, places in flat.items():
        parts = name.split(".")
        for count in range(1, min(MAX_PLACES, len(parts) - 1) + 1):
            if not any(map(_OTHERS.search, parts[:count])):
                inner.setdefault(".".join(parts[count:]), []).extend(places)
    return inner


def _client(found: Mapping[str, Sequence[str]]) -> Request | None:
    """Return a request with the client, the peer and their chain; None: it is not certain who the client is."""
    clients = found.get("client", ())
    if len(clients) != 1:
        return None
    peer = without_port(found.get("peer", ("",))[0])
    chain = addresses(clients[0])
    # What the last proxy wrote is an address. If this is not one, a client wrote it, and the peer is not a proxy.
    client = chain[-1] if chain and parse_host(chain[-1]) else peer
    if not parse_host(client):
        return None
    chain = chain if len(chain) > 1 and client == chain[-1] else _leftmost(found, client, peer)
    return Request(client, "", "", "", "", 0, peer=peer if parse_host(peer) else "", chain=chain)


def _leftmost(found: Mapping[str, Sequence[str]], client: str, peer: str) -> tuple[str, ...]:
    """Return the header that the client was taken from, where a server takes the leftmost address, as Caddy does."""
    if not peer or peer == client:
        return ()
    header = addresses(found.get("forwarded", ("",))[0])
    return header if client in header[:1] and parse_host(header[-1]) else ()


def _targets(found: Mapping[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    """Return each method, target and query that the line may mean."""
    asked = found.get("query", ("",))[0].removeprefix("?")
    query = split(f"/?{asked}")[1] if asked else ""
    lines = [request_line(text) for text in found.get("request", ())]
    sent = [(method, target) for method, target in lines if method]
    methods = found.get("method", ("",))
    # `"request": "%U"` is a path; a path that the server has rewritten may stand beside the request line.
    paths = list(found.get("target", ())) or [target for method, target in lines if not method]
    # `$host$request_uri`
    paths = [f"http://{path}" if _HOST_FIRST.match(path) else path for path in paths]
    if "method" in found or not sent:
        sent += product(methods, paths)
    elif paths:
        sent += [(method, path) for method, _ in sent[:1] for path in paths]
    whole = [(method, target, split(target)[1] or query) for method, target in sent]
    # The same request, once as it was sent and once without its query.
    seen: dict[tuple[str, str], tuple[str, str, str]] = {}
    for method, target, asked_for in whole:
        seen.setdefault((method, split(target)[0]), (method, target, asked_for))
    return list(seen.values())


def _status(text: str) -> int | None:
    """Return an HTTP status; 0 where the server has none to say, None where the text is something else."""
    if text.isdecimal() and len(text) <= 3:
        return int(text)
    return 0 if text in ("-", "") else None
