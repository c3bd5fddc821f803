"""Which addresses must never be banned, and why.

An `Allowlist` never changes. When networks, settings or host names change a new one replaces it, so it may remember its
answers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range
from typing import Final

from sidecar.core.address import Address, Network, first_and_last, require_network
from sidecar.core.ranges import flatten

OWN: Final = "this host's own address"
GATEWAY: Final = "a gateway"
RESOLVER: Final = "a resolver"
CONTAINERS: Final = "a container network"
PROXY: Final = "a trusted proxy"
IGNOREIP: Final = "ignoreip"
BY_HAND: Final = "allowed by hand"

ALWAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "loopback": ("127.0.0.0/8", "::1"),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "unspecified": ("0.0.0.0/8", "::"),
    "broadcast": ("255.255.255.255",),
    # RFC 1112 section 4; the kernel of a host with such an address is its own affair.
    "reserved": ("240.0.0.0/4",),
    # RFC 6890: DS-Lite, NAT64 discovery and the like.
    "IETF protocol assignments": ("192.0.0.0/24",),
    # RFC 7526: it was an anycast address of many relays, so a ban would be of nobody.
    "6to4 relay": ("192.88.99.0/24",),
    # Health probes, DNS, DHCP and metadata: Azure's (its documentation of 168.63.129.16) and Alibaba Cloud's. Those of
    # other clouds are link-local.
    "the cloud's platform": ("168.63.129.16", "100.100.100.200"),
    # RFC 6052 and 8215: the client is in the last 32 bits, so one /64 is a whole IPv4 internet.
    "NAT64": ("64:ff9b::/96", "64:ff9b:1::/48"),
    # RFC 4380: the client is in the last 64 bits, so one /64 is every client of one server.
    "Teredo": ("2001::/32",),
}
PRIVATE: Final[Mapping[str, tuple[str, ...]]] = {
    # Without the ranges for benchmarks and documentation (RFC 2544, 5737): a client that has one is not a neighbour.
    "a private address": (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10",
    ),
}  # fmt: skip

# Every reason not to ban an address, except CDNs and monitoring services, which depend on the settings.
REASONS: Final = (OWN, GATEWAY, RESOLVER, CONTAINERS, PROXY, IGNOREIP, BY_HAND, *ALWAYS, *PRIVATE)

# An answer takes 3 microseconds to find, and this many weigh 2 MB.
CACHED_REASONS: Final = 16_384
_UNKNOWN: Final = ""


class Allowlist:
    """The addresses that must never be banned, with a reason for each. For one thread, because it remembers answers."""

    def __init__(
        self, reasons: Mapping[str, Iterable[str]] | None = None, *, ban_private: bool = False
    ) -> None:
        """`reasons` maps a reason to addresses and networks. Where several reasons hold, the first one counts.

        Loopback and the other ranges of `ALWAYS` are always included, and private ranges are unless `ban_private`.
        Raises ValueError where a text is neither an address nor a network.
        """
        given = {reason: tuple(texts) for reason, texts in (reasons or {}).items()}
        ranked = [*given.items(), *ALWAYS.items(), *(() if ban_private else PRIVATE.items())]
        self._reasons = tuple(reason for reason, _ in ranked)
        networks = [(rank, require_network(text)) for rank, (_, texts) in enumerate(ranked) for text in texts]
        networks += [
            (rank, _over_6to4(network)) for rank, network in networks if isinstance(network, IPv4Network)
        ]
        # Disjoint (first, last, rank of the reason) in order, by IP version, and their last addresses for `bisect`.
        self._spans = {version: flatten(_spans(version, networks)) for version in (4, 6)}
        self._lasts = {version: [last for _, last, _ in spans] for version, spans in self._spans.items()}
        self._prefixes = frozenset(_touched_prefixes(self._spans[4]))
        self._octets = frozenset(prefix.partition(".")[0] for prefix in self._prefixes)
        self._cache: dict[Address, str | None] = {}

    def reason(self, address: Address) -> str | None:
        """Return the first reason with a network that overlaps this address or network; None: it may be banned."""
        if ":" not in address:
            # Nearly every attacker is far from all networks: none of them touches his /8, or at least his /16. A /16 is
            # the widest that can be banned, so this answers for networks too.
            dot = address.find(".")
            octet = address[:dot]
            if octet not in self._octets:
                return None
            if octet not in self._prefixes and address[: address.find(".", dot + 1)] not in self._prefixes:
                return None
        reason = self._cache.get(address, _UNKNOWN)
        if reason is not _UNKNOWN:
            return reason
        if len(self._cache) >= CACHED_REASONS:
            self._cache.clear()
        self._cache[address] = reason = self._find(address)
        return reason

    def spans(self, version: int) -> Iterator[tuple[int, int, str]]:
        """Yield all its addresses of this IP version: first, last and the reason, disjoint and in order."""
        for first, last, rank in self._spans[version]:
            yield first, last, self._reasons[rank]

    def networks(self, version: int) -> tuple[str, ...]:
        """Return all its networks of this IP version as disjoint ones, for the kernel's accept rule."""
        address = IPv4Address if version == 4 else IPv6Address
        return tuple(
            str(network)
            for first, last, _ in flatten((first, last, 0) for first, last, _ in self._spans[version])
            for network in summarize_address_range(address(first), address(last))
        )

    def _find(self, address: Address) -> str | None:
        version, first, last = first_and_last(address)
        spans = self._spans[version]
        found = len(self._reasons)
        index = bisect_left(self._lasts[version], first)
        while index < len(spans) and spans[index][0] <= last:
            found = min(found, spans[index][2])
            index += 1
        return self._reasons[found] if found < len(self._reasons) else None


def of_cdn(name: str) -> str:
    """Return the reason for an address of this CDN. A ban of one of its nodes would block every visitor behind it."""
    return f"an address of the CDN {name}"


def of_monitor(name: str) -> str:
    """Return the reason for an address of this monitoring service."""
    return f"an address of the monitoring service {name}"


def _over_6to4(network: IPv4Network) -> IPv6Network:
    """Return where the same hosts are over 6to4 (RFC 3056): `2002:`, then their IPv4 address."""
    return IPv6Network((0x2002 << 112 | int(network.network_address) << 80, 16 + network.prefixlen))


def _spans(version: int, networks: Iterable[tuple[int, Network]]) -> list[tuple[int, int, int]]:
    return [
        (int(network.network_address), int(network.broadcast_address), rank)
        for rank, network in networks
        if network.version == version
    ]


def _touched_prefixes(spans: Iterable[tuple[int, int, int]]) -> Iterator[str]:
    """Yield `10` for each IPv4 /8 that lies whole in a span, and `172.16` for each other /16 that one touches."""
    for first, last, _ in spans:
        for sixteen in range(first >> 16, (last >> 16) + 1):
            octet = sixteen >> 8
            is_whole = first <= octet << 24 and (octet + 1 << 24) - 1 <= last
            yield f"{octet}" if is_whole else f"{octet}.{sixteen & 255}"
