"""Addresses as elements of nftables sets, and back. Pure.

An IPv4 host or an IPv6 customer (/64) is a key of a hash set: four bytes, or sixteen of which the last eight are zero.
A wider network is an interval of an interval set. Each element ends by itself, so it also has a timeout.

Whatever text is made here for nft is made from a number, so nothing that an attacker wrote becomes part of a command.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network, summarize_address_range
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final, TypeAlias

from sidecar.core.address import (
    IPV6_CUSTOMER_PREFIX,
    WIDEST_BAN_PREFIX,
    Address,
    first_and_last,
    from_network,
    ip_version,
    parse_canonical,
)
from sidecar.core.ranges import flatten

# First and last address of a network, as numbers.
Interval: TypeAlias = tuple[int, int]

# Beyond a hundred years an element has no timeout.
MAX_TIMEOUT_S: Final = 36_500 * 86_400

# A timeout in the kernel may differ from the desired one: ours are whole seconds, rounded up, and 100,000 of them take
# one or two seconds to write.
TIMEOUT_SHORTER_S: Final = 2.0
TIMEOUT_LONGER_S: Final = 5.0


# The mask for the /64 of an IPv6 packet's source, as nft writes it; and the end of a key, which it makes zero.
CUSTOMER_MASK: Final = "ffff:ffff:ffff:ffff::"
_CUSTOMER_END: Final = bytes(16 - IPV6_CUSTOMER_PREFIX // 8)


def classify(address: Address) -> tuple[int, bool]:
    """Return the IP version, and whether the address is the key of a hash set instead of an interval.

    This is the last check before the kernel: nft would resolve a host name, so only text that a number is written as
    passes. Raises ValueError with a sentence for anything else, and for networks that are too wide to be banned.
    """
    text, _, prefix = address.partition("/")
    # Without functions of our own and `contextlib.suppress`: a start asks this of 100,000 bans.
    try:
        if text == address:
            if ":" not in text and inet_ntop(AF_INET, inet_pton(AF_INET, text)) == text:
                return 4, True
        elif prefix != "64":
            if parse_canonical(address):
                return ip_version(address), False
        elif (packed := inet_pton(AF_INET6, text)).endswith(_CUSTOMER_END) and inet_ntop(
            AF_INET6, packed
        ) == text:
            return 6, True
    # Text that is not ASCII, or has a zero byte, is a ValueError.
    except (OSError, ValueError):
        pass
    raise ValueError(
        f"{address!r} cannot be banned: it is no IPv4 host, no IPv6 /64 and no network of allowed width"
    )


def host_version(address: Address) -> int | None:
    """Return the IP version of a host or an IPv6 customer; None for a wider network."""
    if ":" in address:
        return 6 if address.endswith("/64") else None
    return None if "/" in address else 4


def element(address: Address) -> str:
    """Return a host or IPv6 customer as nft writes it."""
    return address.removesuffix("/64")


def key(address: Address) -> bytes:
    """Return the key of a host or IPv6 customer. Raises OSError if the text is not an address."""
    return pack(address.partition("/")[0])


def pack(text: str) -> bytes:
    """Return an address without prefix as the kernel has it. Raises OSError if the text is not an address."""
    return inet_pton(AF_INET6 if ":" in text else AF_INET, text)


def unpack(key: bytes) -> str:
    """Return a hash set's key as nft writes it."""
    return inet_ntop(AF_INET if len(key) == 4 else AF_INET6, key)


def interval_text(version: int, low: int, high: int) -> str:
    """Return an interval as nft writes it."""
    kind = IPv4Address if version == 4 else IPv6Address
    return f"{kind(low)}-{kind(high)}" if low != high else str(kind(low))


# The allowlist seldom changes, and to work this out is a third of what a repair of the table takes.
@lru_cache(maxsize=2)
def merged_intervals(version: int, networks: tuple[str, ...]) -> tuple[Interval, ...]:
    """Return the networks of one IP version as disjoint intervals, as an `auto-merge` set holds them."""
    nets = [net for net in map(ip_network, networks) if net.version == version]
    spans = flatten((int(net.network_address), int(net.broadcast_address), 0) for net in nets)
    return tuple((low, high) for low, high, _ in spans)


@lru_cache(maxsize=2)
def interval_texts(version: int, networks: tuple[str, ...]) -> tuple[str, ...]:
    """Return the same intervals as nft writes them."""
    return tuple(interval_text(version, low, high) for low, high in merged_intervals(version, networks))


def ban_intervals(networks: Mapping[Address, float], now: float) -> dict[Interval, float]:
    """Return banned networks (address -> end of the ban) as disjoint intervals with the seconds that are left.

    Networks may lie within each other, but an interval set refuses overlaps, and one refusal is the whole
    transaction's. Where bans overlap, the longest counts.
    """
    banned = [(interval_of(address), until) for address, until in networks.items() if until > now]
    banned.sort(key=lambda ban: (ban[0][0], -ban[0][1]))
    return {interval: until - now for interval, until in disjoint(banned).items()}


def interval_of(address: Address) -> Interval:
    """Return the first and the last address of a network, as numbers."""
    return first_and_last(address)[1:]


def disjoint(networks: Iterable[tuple[Interval, float]]) -> dict[Interval, float]:
    """Return networks (interval, end of the ban), which are in order, as disjoint intervals.

    Where they overlap, the latest end counts. What lies in different outermost networks is never joined, so that each
    can be changed without the others.
    """
    found: dict[Interval, float] = {}
    region: list[tuple[Interval, float]] = []
    for network in networks:
        if region and network[0][0] > region[0][0][1]:
            found |= _flat(region)
            region = []
        region.append(network)
    return found | _flat(region)


def _flat(region: list[tuple[Interval, float]]) -> dict[Interval, float]:
    # Nearly always: no network lies within another.
    if len(region) < 2:
        return dict(region)
    spans = flatten((low, high, -until) for (low, high), until in region)
    return {(low, high): -negative for low, high, negative in spans}


def hosts_from_keys(elements: Mapping[bytes, float]) -> Iterator[tuple[Address, float]]:
    """Yield the addresses in a hash set as the kernel has it (key -> seconds left), with the seconds left."""
    for key, left_s in elements.items():
        if len(key) == 4:
            yield Address(unpack(key)), left_s
        elif key.endswith(_CUSTOMER_END):
            yield Address(f"{unpack(key)}/{IPV6_CUSTOMER_PREFIX:d}"), left_s


def networks_from_intervals(
    version: int, intervals: Mapping[Interval, float]
) -> Iterator[tuple[Address, float]]:
    """Yield an interval set as the kernel has it as networks that may be banned, with the seconds left."""
    kind = IPv4Address if version == 4 else IPv6Address
    for (low, high), left_s in intervals.items():
        for net in summarize_address_range(kind(low), kind(high)):
            for part in net.subnets(new_prefix=max(net.prefixlen, WIDEST_BAN_PREFIX[version])):
                yield from_network(part), left_s


def timeout_s(left_s: float) -> int | None:
    """Return an element's timeout in whole seconds, never shorter than the ban; None: it never ends."""
    return None if left_s > MAX_TIMEOUT_S else max(1, math.ceil(left_s))


def timeout_text(left_s: float) -> str:
    """Return an element's timeout as nft writes it. nft reads at most eight digits of each unit."""
    if (whole := timeout_s(left_s)) is None:
        return ""
    days, rest = divmod(whole, 86_400)
    return f" timeout {days:d}d{rest:d}s"


def is_equivalent(found_s: float | None, left_s: float) -> bool:
    """Return whether a timeout in the kernel is the desired one, as near as whole seconds allow."""
    return found_s is not None and (
        found_s == left_s
        or -TIMEOUT_SHORTER_S <= found_s - left_s <= TIMEOUT_LONGER_S
        or min(found_s, left_s) > MAX_TIMEOUT_S
    )
