"""Containers whose log can be made to name a stranger, and whom to believe there.

Docker's proxy carries IPv6 clients to a network without IPv6, and they arrive as its gateway. The official images'
Apache takes private addresses for proxies and believes their `X-Forwarded-For`, so these clients write into the log
whatever address they like: to be rid of their own, or to have another's banned.
"""

from __future__ import annotations

from sidecar.core.containers import Container

STRANGER = "never seen by this host's network"
UNKNOWN = "not known to this host's network"


def exposure(container: Container) -> str | None:
    """How its log can be made to name a stranger, and what to change; None: no way is known."""
    if not container.proxied:
        return None
    gateways = ", ".join(gateway for gateway in container.gateways if ":" not in gateway) or "its gateway"
    return (
        f"IPv6 clients reach {container.name} through Docker's proxy, as {gateways}: they cannot be banned, and a "
        "forged X-Forwarded-For of theirs names whomever they like. Enable IPv6 on one of its networks, or publish "
        "its ports for IPv4 only (0.0.0.0:80:80)"
    )


def doubt(container: Container | None, seen: bool | None) -> str | None:  # noqa: FBT001 - what the kernel says
    """Why the one whom this container's log names may not be who came; None: no reason to doubt it.

    `seen`: did packets from there come lately. Where nobody knows (None) it is doubted too: else a flood of forged
    senders, more than the kernel notes, would have strangers banned. Nothing is lost that was not lost before, as
    whoever wants to stay unbanned here only has to come over IPv6.
    """
    if container is None or exposure(container) is None:
        return None
    return {True: None, False: STRANGER, None: UNKNOWN}[seen]
