"""An address as a log line wrote it -> whom a ban would be for."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from sidecar.core.events import Address

CUSTOMER = 64  # an IPv6 customer is given a /64 at the least, so a single /128 bans nobody
KNOWN = 4_096  # answers kept: guessers come again at once or not at all, and a botnet's 100,000 weigh 30 MB

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)


@lru_cache(maxsize=KNOWN)
def parse_address(text: str) -> Address | None:
    """Whom this address stands for: an IPv4 host, or an IPv6 customer's /64. None: not an address.

    Brackets are taken off, `::ffff:a.b.c.d` is the IPv4 address it wraps, and a zone (`fe80::1%eth0`) is dropped.
    `999.1.1.1`, `01.02.03.04` and names are no addresses.
    """
    if _IPV4.fullmatch(text):
        return Address(text)  # canonical already; by far the most are, and ipaddress takes ten times as long
    address = parse_host(text)
    if address is None:
        return None
    if address.version == 4:
        return Address(str(address))
    return Address(str(IPv6Network((int(address) >> CUSTOMER << CUSTOMER, CUSTOMER))))


def parse_host(text: str) -> IPv4Address | IPv6Address | None:
    """The one address that this text is, IPv4-mapped ones unwrapped; None where it is none."""
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_network(text: str) -> IPv4Network | IPv6Network | None:
    """A network as a person wrote it, host bits masked: `10.1.2.3/8` is `10.0.0.0/8`. None: not one."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
