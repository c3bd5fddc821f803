"""Containers with a log that may name an address that sent nothing.

Docker's userland proxy carries IPv6 clients to a network without IPv6, where they appear as its gateway. Apache in the
official images takes private addresses for proxies and believes their `X-Forwarded-For`, so such clients choose the
address that is logged: to hide their own, or to have another one banned.
"""

from __future__ import annotations

from typing import Final

from sidecar.core.containers import Container

# Why a hit is not believed. They are values of a metric's label.
NEVER_SEEN: Final = "never seen by this host's network"
UNKNOWN: Final = "not known to this host's network"


def exposure(container: Container) -> str | None:
    """Return how the log of this container can name any address, and what to change; None: no way is known."""
    if not container.ipv6_proxied:
        return None
    gateways = ", ".join(gateway for gateway in container.gateways if ":" not in gateway) or "its gateway"
    return (
        f"IPv6 clients reach {container.name} through Docker's userland proxy and appear as {gateways}, so they cannot "
        "be banned and can forge the address in the log. Enable IPv6 on one of the container's networks, or publish "
        "its ports for IPv4 only (0.0.0.0:80:80)"
    )


def unverified(container: Container | None, seen: bool | None) -> str | None:  # noqa: FBT001
    """Return why an address in the log of this container may not be the client's; None: there is no reason to think so.

    `seen`: whether packets of the address came lately. If that is unknown (None), the address is not believed either:
    else a flood of spoofed packets, more senders than the kernel records, would get other addresses banned. Nothing is
    lost that way: a client that wants to stay unbanned here only has to come over IPv6.
    """
    if container is None or exposure(container) is None:
        return None
    return {True: None, False: NEVER_SEEN, None: UNKNOWN}[seen]
