"""How much of the address space may be on the allowlist, and how much is.

The container engine, the Kubernetes API, the host's routes, labels and DNS answers all name networks that are never
banned, and one `docker network create --ipam-driver null` names `0.0.0.0/0`. So what they name counts up to a width
and up to a sum (`bound`). What a person writes into the settings has no such bound; `shares` says how much all of it
covers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Final, NamedTuple

from sidecar.core.address import Network, parse_network
from sidecar.core.allowlist import ALWAYS, PRIVATE, Allowlist
from sidecar.core.ranges import flatten

# IP version -> the shortest prefix of a network that counts. No container network, proxy or CDN is wider.
WIDEST_PREFIX: Final = {4: 8, 6: 16}
# The networks of all sources together have no more addresses than this many of the widest.
MAX_WIDEST: Final = 4
# Networks of one source. A cluster of 5,000 nodes names four for each.
MAX_NETWORKS: Final = 20_000

_BITS: Final = {4: 32, 6: 128}
# The addresses that clients can have, but for those that are private and the like: of IPv6 only 2000::/3 is routed.
_ROUTED: Final = {4: (0, (1 << 32) - 1), 6: (1 << 125, (1 << 126) - 1)}


# The first 16 bits of 6to4 addresses (RFC 3056).
_6TO4: Final = 0x2002


class RefusedNetworks(NamedTuple):
    """A network that does not count, and the reason that it would have been allowlisted for."""

    reason: str
    network: str


class Bounded(NamedTuple):
    """What counts, by reason, and what does not."""

    accepted: dict[str, tuple[str, ...]]
    refused: tuple[RefusedNetworks, ...]


def bound(networks: Mapping[str, Iterable[str]]) -> Bounded:
    """Return which of these networks, by reason, may be on the allowlist: none too wide, nor all together too much.

    Private networks may be as wide as they are. The narrowest count first, so that a wide network displaces no gateway.
    Text that names no network is refused.
    """
    left = {version: MAX_WIDEST << _BITS[version] - widest for version, widest in WIDEST_PREFIX.items()}
    accepted: dict[str, list[str]] = {reason: [] for reason in networks}
    refused: list[RefusedNetworks] = []
    found: list[tuple[int, str, str, Network]] = []
    for reason, texts in networks.items():
        for text in dict.fromkeys(texts):
            network = parse_network(text)
            if network is None:
                refused.append(RefusedNetworks(reason, text))
            else:
                found.append((_public_size(network), reason, text, network))
    for size, reason, text, network in sorted(found, key=_size):
        too_wide = size > 0 and is_too_wide(network.version, network.prefixlen)
        if too_wide or size > left[network.version] or len(accepted[reason]) >= MAX_NETWORKS:
            refused.append(RefusedNetworks(reason, text))
        else:
            left[network.version] -= size
            accepted[reason].append(text)
    return Bounded({reason: tuple(texts) for reason, texts in accepted.items()}, tuple(refused))


def is_narrow_and_public(text: str) -> bool:
    """Return whether this network has public addresses, and `bound` would accept its width."""
    network = parse_network(text)
    return (
        network is not None
        and _public_size(network) > 0
        and not is_too_wide(network.version, network.prefixlen)
    )


def is_too_wide(version: int, prefix_length: int) -> bool:
    """Return whether a network is so wide that allowlisting it is probably a slip."""
    return prefix_length < WIDEST_PREFIX[version]


def shares(allowlist: Allowlist) -> dict[int, dict[str, float]]:
    """Return IP version -> reason -> the part, from 0 to 1, of all public addresses that is allowlisted for it.

    Private addresses and the like do not count. An address with several reasons counts for the first.
    """
    found: dict[int, dict[str, float]] = {}
    for version, (first, last) in _ROUTED.items():
        public = _public_between(version, first, last)
        counts: dict[str, int] = {}
        for low, high, reason in allowlist.spans(version):
            count = _public_between(version, max(low, first), min(high, last))
            # What the allowlist has of 6to4 follows from its IPv4 networks.
            if count and low >> 112 != _6TO4:
                counts[reason] = counts.get(reason, 0) + count
        found[version] = {reason: count / public for reason, count in counts.items()}
    return found


def _size(found: tuple[int, str, str, Network]) -> int:
    return found[0]


def _public_size(network: Network) -> int:
    first, last = int(network.network_address), int(network.broadcast_address)
    return _public_between(network.version, first, last)


def _public_between(version: int, first: int, last: int) -> int:
    """Return how many addresses from first to last are public."""
    if first > last:
        return 0
    spans = _NOT_PUBLIC[version]
    count, index = last - first + 1, bisect_left(spans, first, key=_last)
    while index < len(spans) and spans[index][0] <= last:
        low, high, _ = spans[index]
        count -= min(high, last) - max(low, first) + 1
        index += 1
    return count


def _last(span: tuple[int, int, int]) -> int:
    return span[1]


def _flat(version: int, texts: Iterable[str]) -> list[tuple[int, int, int]]:
    networks = [network for network in map(ip_network, texts) if network.version == version]
    return flatten((int(net.network_address), int(net.broadcast_address), 0) for net in networks)


_ANYWAY: Final = {**ALWAYS, **PRIVATE}
_NOT_PUBLIC: Final = {
    version: _flat(version, (text for texts in _ANYWAY.values() for text in texts))
    for version in WIDEST_PREFIX
}
