"""The border where text becomes an address that may be banned.

Log lines, people, other nodes and the container engine all name addresses as text, and attackers write some of it.
Only the functions of this module turn such text into an `Address`, which is always in one canonical form:

    203.0.113.7            an IPv4 host
    2001:db8:1:2::/64      an IPv6 customer, with a /64 at least
    198.51.100.0/24        a network

Functions that take an `Address` rely on that form and do not check it again.

`Address` is a `NewType` of `str`, not a class of its own. Text hashes 30 times faster than an object of `ipaddress`,
weighs a third, and is what nft is given. A subclass of `str` with methods was measured: 109 bytes for each address
instead of 61 and no faster, which is 48 MB more for a million tracked addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NewType, TypeAlias

Address = NewType("Address", str)
Network: TypeAlias = IPv4Network | IPv6Network

# Providers give each customer a /64 at least (RFC 6177), and a customer changes addresses within it at will (RFC 8981),
# so a ban of a single IPv6 address stops no attacker.
IPV6_CUSTOMER_PREFIX: Final = 64

# The shortest prefix that a ban may have, by IP version.
WIDEST_BAN_PREFIX: Final = {4: 16, 6: 32}

# Attackers come back at once or not at all, so few answers are worth keeping; a botnet's 100,000 would weigh 30 MB.
CACHED_ADDRESSES: Final = 4_096

# The octets of an IPv4 address in its canonical form. An expression takes longer.
_OCTETS: Final = frozenset(map(str, range(256)))
_ZONE = re.compile(r"%[^/]*")
# The prefixes of networks that may be banned, as text, and the bits of an address that they leave to its hosts.
_HOST_BITS = {
    version: {
        str(prefix): (1 << bits - prefix) - 1 for prefix in range(WIDEST_BAN_PREFIX[version], longest + 1)
    }
    for version, bits, longest in ((4, 32, 31), (6, 128, IPV6_CUSTOMER_PREFIX))
}


@lru_cache(maxsize=CACHED_ADDRESSES)
def parse_address(text: str) -> Address | None:
    """Return the address that a ban of this client needs: the IPv4 host, or the IPv6 customer's /64.

    Brackets and a zone (`fe80::1%eth0`) are dropped, and `::ffff:a.b.c.d` is the IPv4 address that it wraps. None
    means that the text is not an address; `999.1.1.1`, `01.02.03.04`, networks and host names are not.
    """
    # Already canonical. This is by far the most common case, and `ipaddress` takes ten times as long.
    if address := parse_ipv4(text):
        return address
    host = parse_host(text)
    if host is None:
        return None
    if host.version == 4:
        return Address(str(host))
    shift = host.max_prefixlen - IPV6_CUSTOMER_PREFIX
    return Address(str(IPv6Network((int(host) >> shift << shift, IPV6_CUSTOMER_PREFIX))))


def parse_ipv4(text: str) -> Address | None:
    """Return the IPv4 host that this text is the canonical form of; None: it is another text.

    This remembers nothing, so for clients that come once it takes half of the time of `parse_address`.
    """
    octets = text.split(".")
    return Address(text) if len(octets) == 4 and _OCTETS.issuperset(octets) else None


def parse_host(text: str) -> IPv4Address | IPv6Address | None:
    """Return the single address that this text names, without brackets, zone or IPv4 mapping; None: it names none."""
    try:
        host = ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    return getattr(host, "ipv4_mapped", None) or host


def parse_network(text: str) -> Network | None:
    """Return the network that this text names: `10.1.2.3/8` is `10.0.0.0/8`, a lone address is a network of one.

    Spaces and a zone are dropped, host bits are masked, and a network within `::ffff:0:0/96` is the IPv4 network that
    it wraps. None means that the text is neither network nor address.
    """
    try:
        network = ip_network(_ZONE.sub("", text.strip()), strict=False)
    except ValueError:
        return None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return IPv4Network((int(mapped), network.prefixlen - 96))


def require_network(text: str) -> Network:
    """Return what `parse_network` does. Raises ValueError with a sentence for the person who wrote the text."""
    network = parse_network(text)
    if network is None:
        raise ValueError(
            f"{text!r} is neither an address nor a network: write it like 203.0.113.7, 198.51.100.0/24 or "
            "2001:db8:1:2::/64 (host names are not looked up)"
        )
    return network


def parse_ban_target(text: str) -> Address:
    """Return the address or network that a person wants to ban, unban or look up.

    Host bits are masked, and an IPv6 address is widened to its customer's /64. Raises ValueError with a sentence for
    that person where the text is neither, or is wider than any ban may be.
    """
    network = require_network(text)
    widest = WIDEST_BAN_PREFIX[network.version]
    if network.prefixlen < widest:
        raise ValueError(f"{text}: too wide to ban; the widest is a /{widest} for IPv{network.version}")
    return _widened(network)


def parse_allow_target(text: str) -> Address:
    """Return the address or network that a person wants to allow; an IPv6 address is widened to its customer's /64.

    Raises ValueError with a sentence for that person where the text is neither.
    """
    return _widened(require_network(text))


def parse_canonical(text: str) -> Address | None:
    """Return the text as an `Address` if it is canonical already and may be banned; None otherwise.

    This is for text that another node or an earlier version of this program wrote. Whatever they would have written in
    another form could be read in two ways, so it is refused.
    """
    # By hand, because a start checks 100,000 of them: `ipaddress` takes twenty times as long.
    host, slash, prefix = text.partition("/")
    version = 6 if ":" in host else 4
    if not slash:
        return parse_ipv4(text) if version == 4 else None
    host_bits = _HOST_BITS[version].get(prefix)
    if host_bits is None:
        return None
    if version == 4:
        is_canonical = parse_ipv4(host) is not None and not first_and_last(Address(host))[1] & host_bits
    else:
        try:
            first = IPv6Address(host)
        except ValueError:
            return None
        is_canonical = not int(first) & host_bits and str(first) == host and not first.scope_id
    return Address(text) if is_canonical else None


def from_network(network: Network) -> Address:
    """Return the canonical form of a network: a single IPv4 address is written without its prefix."""
    return Address(str(network).removesuffix("/32") if network.version == 4 else str(network))


def _widened(network: Network) -> Address:
    """Return the network, or the customer's /64 of an IPv6 address within it."""
    if network.version == 6 and network.prefixlen > IPV6_CUSTOMER_PREFIX:
        network = network.supernet(new_prefix=IPV6_CUSTOMER_PREFIX)
    return from_network(network)


def ip_version(address: Address) -> int:
    """Return 4 or 6."""
    return 6 if ":" in address else 4


def first_and_last(address: Address) -> tuple[int, int, int]:
    """Return the IP version, and the first and the last address that it covers, as numbers."""
    # By hand, because the form is canonical: `ip_network` takes twenty times as long.
    text, _, prefix = address.partition("/")
    if ":" in text:
        first = int(IPv6Address(text))
        return 6, first, first + (1 << 128 - int(prefix or 128)) - 1
    one, two, three, four = text.split(".")
    first = int(one) << 24 | int(two) << 16 | int(three) << 8 | int(four)
    return 4, first, first + (1 << 32 - int(prefix or 32)) - 1


def is_within(inner: Address, outer: Address) -> bool:
    """Return whether one is the other, or lies inside it."""
    if inner == outer:
        return True
    # Only a network can hold another address.
    if "/" not in outer or ip_version(inner) != ip_version(outer):
        return False
    _, inner_first, inner_last = first_and_last(inner)
    _, outer_first, outer_last = first_and_last(outer)
    return outer_first <= inner_first and inner_last <= outer_last


def overlap(one: Address, other: Address) -> bool:
    """Return whether the two have an address in common."""
    version, first, last = first_and_last(one)
    other_version, other_first, other_last = first_and_last(other)
    return version == other_version and first <= other_last and other_first <= last


def wider_networks(address: Address) -> Iterator[Address]:
    """Yield every network that holds this one and is wider, the widest first."""
    network = ip_network(address)
    for prefix in range(network.prefixlen):
        yield from_network(network.supernet(new_prefix=prefix))


def is_wide(address: Address) -> bool:
    """Return whether this is a network of more than one client: not an IPv4 host, and not an IPv6 customer's /64."""
    return "/" in address and not address.endswith("/64")


def neighbourhood(address: Address) -> Address | None:
    """Return the /24 around an IPv4 host; None for a network and for IPv6, which have none."""
    if ":" in address or "/" in address:
        return None
    return Address(f"{address.rpartition('.')[0]}.0/24")


def networks_of(address: Address) -> tuple[Address, ...]:
    """Return the networks that are banned for what their members do: a host's /24, or a customer's /56 and /48.

    A network has none.
    """
    if ":" not in address:
        group = neighbourhood(address)
        return (group,) if group else ()
    text, _, prefix = address.partition("/")
    if prefix != "64":
        return ()
    customer = int(IPv6Address(text)) >> 64
    return tuple(
        Address(f"{IPv6Address((customer >> 64 - length << 64 - length) << 64)}/{length}")
        for length in (56, 48)
    )
