"""Who may never be banned, and why.

A Trust is made anew when the surroundings change; it never changes itself, so it may remember its answers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    summarize_address_range,
)
from typing import Final

from sidecar.core.address import Address, Network, first_and_last, require_network
from sidecar.core.ranges import flatten

OWN = "this host's own address"
GATEWAY = "a gateway"
RESOLVER = "a resolver"
CONTAINERS = "a container network"
PROXY = "a trusted proxy"
IGNOREIP = "ignoreip"

ALWAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "loopback": ("127.0.0.0/8", "::1"),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "unspecified": ("0.0.0.0/8", "::"),
    "broadcast": ("255.255.255.255",),
    # RFC 6052 and 8215: the client is in the last 32 bits, so one /64 is a whole IPv4 internet
    "NAT64": ("64:ff9b::/96", "64:ff9b:1::/48"),
    # RFC 4380: the client is in the last 64 bits, so one /64 is all who use the same server
    "Teredo": ("2001::/32",),
}
PRIVATE: Final[Mapping[str, tuple[str, ...]]] = {
    # Not what is kept for benchmarks and the like (198.18.0.0/15): who comes with such an address is no neighbour.
    "a private address": (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10",
    ),
}  # fmt: skip

# Every reason not to ban an address, but for CDNs: those depend on the settings.
REASONS: Final = (OWN, GATEWAY, RESOLVER, CONTAINERS, PROXY, IGNOREIP, *ALWAYS, *PRIVATE)

_UNKNOWN: Final = ""
REMEMBERED = 16_384  # answers kept, 2 MB; to find one takes 3 microseconds


class Allowlist:
    """Who may never be banned, and why. Immutable; for one thread."""

    def __init__(
        self, reasons: Mapping[str, Iterable[str]] | None = None, *, ban_private: bool = False
    ) -> None:
        """`reasons` says why -> addresses and networks; where several hold, the first is told.

        What holds everywhere (loopback and its like) is always in; private ranges are unless `ban_private`.
        Raises ValueError where a text is neither address nor network.
        """
        given = {why: tuple(texts) for why, texts in (reasons or {}).items()}
        named = [*given.items(), *ALWAYS.items(), *(() if ban_private else PRIVATE.items())]
        self._reasons = tuple(why for why, _ in named)
        never = [(rank, require_network(text)) for rank, (_, texts) in enumerate(named) for text in texts]
        never += [(rank, _over_6to4(net)) for rank, net in never if isinstance(net, IPv4Network)]
        self._spans = {version: flatten(_spans(version, never)) for version in (4, 6)}
        self._highs = {version: [high for _, high, _ in spans] for version, spans in self._spans.items()}
        self._near = frozenset(_near(self._spans[4]))
        self._known: dict[Address, str | None] = {}

    def reason(self, address: Address) -> str | None:
        """Why they may never be banned: the first reason whose networks overlap them. None: they may be."""
        if ":" not in address and self._is_far(address):
            return None
        reason = self._known.get(address, _UNKNOWN)
        if reason is not _UNKNOWN:
            return reason
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[address] = reason = self._find(address)
        return reason

    def networks(self, version: int) -> tuple[str, ...]:
        """All that may never be banned, collapsed, for the kernel's accept rule. `version`: 4 or 6."""
        address = IPv4Address if version == 4 else IPv6Address
        return tuple(
            str(net)
            for low, high, _ in flatten((low, high, 0) for low, high, _ in self._spans[version])
            for net in summarize_address_range(address(low), address(high))
        )

    def _is_far(self, address: Address) -> bool:
        """Whether nobody of these is in their /16, the widest that can be banned. Nearly all who fail, in 0.3 us."""
        one = address.find(".")
        return address[:one] not in self._near and address[: address.find(".", one + 1)] not in self._near

    def _find(self, address: Address) -> str | None:
        version, low, high = first_and_last(address)
        spans = self._spans[version]
        found = len(self._reasons)
        at = bisect_left(self._highs[version], low)
        while at < len(spans) and spans[at][0] <= high:
            found = min(found, spans[at][2])
            at += 1
        return self._reasons[found] if found < len(self._reasons) else None


def of_cdn(name: str) -> str:
    """The reason for an address of this CDN: whoever bans one of its nodes cuts off all who come through it."""
    return f"an address of the CDN {name}"


def _over_6to4(net: IPv4Network) -> IPv6Network:
    """Where the same hosts are over 6to4 (RFC 3056): `2002:` and then their IPv4 address."""
    return IPv6Network((0x2002 << 112 | int(net.network_address) << 80, 16 + net.prefixlen))


def _spans(version: int, never: Iterable[tuple[int, Network]]) -> list[tuple[int, int, int]]:
    return [
        (int(net.network_address), int(net.broadcast_address), rank)
        for rank, net in never
        if net.version == version
    ]


def _near(spans: Iterable[tuple[int, int, int]]) -> Iterator[str]:
    """The first octet of each IPv4 /8 that is whole in these, and the first two of each other /16 that is touched."""
    for low, high, _ in spans:
        for sixteen in range(low >> 16, (high >> 16) + 1):
            octet = sixteen >> 8
            whole = low <= octet << 24 and (octet + 1 << 24) - 1 <= high
            yield f"{octet}" if whole else f"{octet}.{sixteen & 255}"
