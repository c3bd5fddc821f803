"""Containers with a log that may name an address that sent nothing.

Docker's userland proxy carries IPv6 clients to a network without IPv6, where they appear as its gateway. Apache in the
official images takes private addresses for proxies and believes their `X-Forwarded-For`, so such clients choose the
address that is logged: to hide their own, or to have another one banned.
"""

from __future__ import annotations

from sidecar.core.containers import Container


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
