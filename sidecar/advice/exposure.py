"""Containers with a log that may name an address that sent nothing.

Docker's userland proxy carries IPv6 clients to a network without IPv6, where they appear as its gateway. Apache in the
official images takes private addresses for proxies and believes their `X-Forwarded-For`, so such clients choose the
address that is logged: to hide their own, or to have another one banned. It makes no difference whether they reach the
site itself in this way, or the proxy in front of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidecar.core.containers import Container
from sidecar.core.front_ends import serves_web

# Sites that a sentence lists.
MAX_SITES_SHOWN = 3


def entrance(container: Container) -> Container | None:
    """Return what IPv6 clients reach through Docker's userland proxy: the container itself, or a front end of it.

    None: no such way is known.
    """
    if container.ipv6_proxied:
        return container
    return next((each for each in container.front_ends if each.ipv6_proxied and serves_web(each)), None)


def exposure(container: Container, sites: Sequence[str] = ()) -> str | None:
    """Return how the log of this container can name any address, and what to change; None: no way is known.

    `sites` are the names of all containers that clients reach in the same way; () is this one alone.
    """
    found = entrance(container)
    if found is None:
        return None
    gateways = ", ".join(gateway for gateway in found.gateways if ":" not in gateway) or "its gateway"
    others = [name for name in sites or (container.name,) if name != found.name]
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
