"""An allowlist that covers too much: what it means, and what to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sidecar.core.allowed import MAX_ALLOWED
from sidecar.core.allowlist_bounds import MAX_NETWORKS, MAX_WIDEST, WIDEST_PREFIX, RefusedNetworks
from sidecar.core.text import printable

# Networks that a sentence lists.
MAX_SHOWN: Final = 5
MAX_CHARS: Final = 64


def refused_networks(refused: Sequence[RefusedNetworks]) -> str:
    """Return which networks are not allowlisted, why, and what to change."""
    shown = [f"{printable(each.network, MAX_CHARS)} ({each.reason})" for each in refused[:MAX_SHOWN]]
    if more := len(refused) - MAX_SHOWN:
        shown += [f"{more} more"] if more > 0 else []
    widest = f"/{WIDEST_PREFIX[4]} (IPv6: /{WIDEST_PREFIX[6]})"
    return (
        f"not allowlisted, because nobody in there could be banned: {', '.join(shown)}. Networks of containers, "
        f"routes, nodes, labels and DNS answers count up to a {widest}, and together up to {MAX_WIDEST} such networks "
        f"or {MAX_NETWORKS:,} of one kind. Remove such a network (docker network ls), or put the addresses that must "
        "never be banned into ignoreip"
    )


TOO_MANY_ALLOWED: Final = (
    f"no more than {MAX_ALLOWED:,} addresses and networks can be allowed by hand; put a longer list into a file, "
    "and name it in ignoreip (file:PATH)"
)


def cannot_allow(refused: Sequence[RefusedNetworks]) -> str:
    """Return why these networks cannot be allowed by hand, and what to do instead."""
    shown = ", ".join(printable(each.network, MAX_CHARS) for each in refused[:MAX_SHOWN])
    return (
        f"nothing was allowed, because {shown} would be beyond what may be: a /{WIDEST_PREFIX[4]} "
        f"(IPv6: /{WIDEST_PREFIX[6]}), and with the networks of containers, routes and "
        f"labels {MAX_WIDEST} times as much. Allow narrower networks, or put them into ignoreip"
    )


def too_much(version: int, by_reason: Mapping[str, float]) -> str:
    """Return how much of the address space is allowlisted, for which reasons, and what to change."""
    ordered = sorted(by_reason.items(), key=lambda item: -item[1])
    reasons = ", ".join(f"{share:.1%} as {reason}" for reason, share in ordered[:MAX_SHOWN])
    return (
        f"{sum(by_reason.values()):.0%} of all public IPv{version} addresses are on the allowlist, so nobody there is "
        f"banned: {reasons}. Use narrower networks in ignoreip, trusted_proxies and the lists of CDNs"
    )
