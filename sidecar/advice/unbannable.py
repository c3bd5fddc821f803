"""Failures of addresses that are never banned.

The attack goes on, so an operator has to know. Usually the address is not the attacker's: the log shows a proxy, a
gateway or a CDN instead of the client.
"""

from __future__ import annotations

from typing import Final

from sidecar.advice.kubernetes import replaced_client_address
from sidecar.core.allowlist import CONTAINERS, GATEWAY, OWN, PRIVATE, PROXY

# This many failures within the period are reported: more than people mistype, fewer than any attack makes.
PERIOD_S: Final = 600.0
FAILURES: Final = 100

_HIDDEN = "The log shows this address instead of the client's"
_REMEDIES = {
    OWN: (
        "Correct the password of the program on this host that logs in, or if a proxy on this host hides the clients, "
        "see docs/allowlist.md"
    ),
    GATEWAY: f"{_HIDDEN}. Let the site see the client: see docs/allowlist.md",
    CONTAINERS: (
        f"{_HIDDEN}, or another container has a wrong password. Let the site see the client, or correct the password: "
        "see docs/allowlist.md"
    ),
    PROXY: f"{_HIDDEN}. Let mod_remoteip or real_ip take the client's from X-Forwarded-For",
    **dict.fromkeys(
        PRIVATE,
        f"{_HIDDEN}, or a client in your network has a wrong password. Let the site see the client, or correct the "
        "password: see docs/allowlist.md",
    ),
}
_CDN = (
    f"{_HIDDEN}. Let mod_remoteip or real_ip take the client's from the CDN's header, and let the CDN ban it"
)
_OTHER = f"{_HIDDEN}. Let the site see the client: see docs/allowlist.md"


def unbannable_failures(origin: str, reason: str, count: int, exposed: str | None = None) -> str:
    """Return that failures in this log come from addresses that are never banned for this reason, and what to change.

    `exposed`: what is wrong with the log's container, if that explains it.
    """
    remedy = (
        exposed
        or replaced_client_address(origin, reason)
        or _REMEDIES.get(reason, _CDN if "CDN" in reason else _OTHER)
    )
    return (
        f"{count:,} failures in {origin} within {PERIOD_S / 60:.0f} minutes came from {reason}, which is never banned. "
        f"{remedy}."
    )
