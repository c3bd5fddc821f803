"""The addresses that a log has in the client's place, where these are several -> the client.

A proxy appends the address that connected to it to `X-Forwarded-For`, behind whatever the client had sent. So only the
last address is certain. If that is a proxy of ours, the one before it is what that proxy saw, and so on: the client is
the first from the right that is not a trusted proxy. Whatever stands to the left of it was written by the client.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sidecar.access.request import Request
from sidecar.core.address import parse_host, require_network
from sidecar.core.ranges import flatten

_PORT: Final = re.compile(r":\d{1,5}")
_SEPARATOR: Final = re.compile(r"[,\s]+")
# An attacker may send thousands of addresses; no site has so many proxies of its own.
MAX_HOPS: Final = 32


class Proxies:
    """The networks of trusted proxies. It never changes, so any thread may ask."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raise ValueError where a text is neither an address nor a network."""
        self.networks = tuple(sorted(set(networks)))
        spans: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
        for network in map(require_network, self.networks):
            spans[network.version].append((int(network.network_address), int(network.broadcast_address), 0))
        self._spans = {version: flatten(each) for version, each in spans.items()}
        self._lasts = {version: [last for _, last, _ in each] for version, each in self._spans.items()}

    def __contains__(self, address: str) -> bool:
        """Return whether a text is the address of a trusted proxy."""
        host = parse_host(address)
        if host is None:
            return False
        spans, number = self._spans[host.version], int(host)
        index = bisect_left(self._lasts[host.version], number)
        return index < len(spans) and spans[index][0] <= number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Proxies) and self.networks == other.networks

    def __hash__(self) -> int:
        return hash(self.networks)


NO_PROXIES: Final = Proxies()


class Hop(NamedTuple):
    """The client of a chain, and the proxy that named it ("": nobody did, it is the last one)."""

    client: str
    peer: str


def hop(chain: Sequence[str], proxies: Proxies) -> Hop:
    """Return the client of a chain of addresses, the last of which is certain.

    Text that is not an address names nobody: then the client is the proxy that passed it on.
    """
    client, peer = chain[-1], ""
    for each in reversed(chain[-MAX_HOPS:-1]):
        if client not in proxies or parse_host(each) is None:
            break
        client, peer = each, client
    return Hop(client, peer)


def resolved(request: Request, proxies: Proxies) -> Request:
    """Return the request with the client that its chain names."""
    if not request.chain:
        return request
    client, peer = hop(request.chain, proxies)
    return request._replace(client=client, peer=request.peer or peer)


def addresses(text: str) -> tuple[str, ...]:
    """Return what stands between the commas or blanks of a list, each without port and brackets."""
    return tuple(without_port(each) for each in _SEPARATOR.split(text.strip(", \t")) if each)


def without_port(text: str) -> str:
    """Return an address without port and brackets: `[2001:db8::7]:40526`, `203.0.113.7:40526`."""
    host, bracket, port = text.partition("]")
    if host.startswith("[") and (not port or _PORT.fullmatch(port)):
        return host[1:] if bracket else text
    name, _, port = text.rpartition(":")
    return name if name.count(".") == 3 and port.isdecimal() else text
