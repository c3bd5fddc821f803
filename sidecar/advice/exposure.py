"""Containers with a log that may name an address that sent nothing.

Docker's userland proxy carries IPv6 clients to a network without IPv6, where they appear as its gateway. Apache in the
official images takes private addresses for proxies and believes their `X-Forwarded-For`, so such clients choose the
address that is logged: to hide their own, or to have another one banned. It makes no difference whether they reach the
site itself in this way, or the proxy in front of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.core.containers import Container
from sidecar.core.front_ends import serves_web

# Sites that a sentence lists.
MAX_SITES_SHOWN = 3


def entrances(container: Container) -> tuple[Container, ...]:
    """Return what IPv6 clients reach through Docker's userland proxy: the container itself, and front ends of it."""
    front_ends = (each for each in container.front_ends if each.ipv6_proxied and serves_web(each))
    return (container, *front_ends) if container.ipv6_proxied else tuple(front_ends)


def exposure(container: Container) -> str | None:
    """Return how the log of this container can name any address, and what to change; None: no way is known."""
    found = entrances(container)
    return exposed_by(found[0], [container.name]) if found else None


def exposed_by(found: Container, sites: Iterable[str]) -> str:
    """Return how clients that reach this container can forge the address in the logs of these, and what to change."""
    gateways = ", ".join(gateway for gateway in found.gateways if ":" not in gateway) or "its gateway"
    others = [name for name in sites if name != found.name]
    log = f"the logs of {_listed([found.name, *others])}" if others else "the log"
    networks = f"{found.network_of}'s networks" if found.network_of else "the container's networks"
    return (
        f"IPv6 clients reach {found.name} through Docker's userland proxy and appear as {gateways}, so they cannot "
        f"be banned and can forge the address in {log}. Enable IPv6 on one of {networks}, or publish "
        "its ports for IPv4 only (0.0.0.0:80:80)"
    )


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = len(shown) - MAX_SITES_SHOWN - 1
    if more > 0:
        return f"{', '.join(shown[: MAX_SITES_SHOWN + 1])} and {more} more"
    return ", ".join(shown)
