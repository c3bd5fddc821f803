"""Bans that are due and not made, and clients that no ban could drop: what is behind it, and what to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.advice.namespace import NO_PACKETS, NOT_HOST_NETWORK, USE_HOST_NETWORK
from sidecar.advice.unbannable import PERIOD_S
from sidecar.core.address import Address
from sidecar.core.refused_bans import RefusalReason

# This many failures of addresses that sent no packet are reported. A few may be older than the firewall's table.
MIN_FAILURES: Final = 10

# Addresses that a sentence lists.
MAX_ADDRESSES_SHOWN: Final = 3

_MINUTES: Final = f"{PERIOD_S / 60:.0f} minutes"
_SEE: Final = "See docs/allowlist.md"

_WITHOUT_WITNESS: Final = {
    RefusalReason.NEVER_SEEN: (
        "sent no packet to the ports of a jail, so they are not banned. They are forged; or a CDN or balancer "
        "connects for them (ban them there); or `port` of the jail lacks their port; or their packets take another "
        "path (set `witness = off`)"
    ),
    RefusalReason.UNKNOWN: (
        "may have sent no packet to this host, so they are not banned before their next packet: the firewall's table "
        "is younger than ten minutes, too many addresses send packets (a flood from spoofed addresses?), or another "
        "program keeps changing the firewall"
    ),
}


_OTHER_PATH: Final = "if packets take another path on purpose, set `witness = off` in the jail"


def without_witness(
    origin: str,
    reason: RefusalReason,
    failures: int,
    exposed: str | None = None,
    *,
    sees_packets: bool = True,
    is_elsewhere: bool = False,
) -> str:
    """Return that a log names addresses that may never have been here, and what to change.

    `exposed`: how the log's container lets clients forge addresses (`exposure.exposure`), if that is known.
    `sees_packets`: whether packets of any client come to this host, or may not have come yet. `is_elsewhere`: this is
    certainly not the host's network.
    """
    if not sees_packets:
        why = f"{NOT_HOST_NETWORK}. {USE_HOST_NETWORK}" if is_elsewhere else NO_PACKETS
        return f"{failures:,} failures in {origin} are no ban, because {why}; {_OTHER_PATH}. {_SEE}."
    what = f"{failures:,} failures in {origin} name addresses that "
    if exposed and reason == RefusalReason.NEVER_SEEN:
        return f"{what}sent no packet to this host. They are forged, so they are not banned. {exposed}."
    return f"{what}{_WITHOUT_WITNESS[reason]}. {_SEE}."


def probable_proxies(jail: str, addresses: Sequence[Address], failures: int) -> str:
    """Return that addresses look like proxies or offices, so that their failures are excused for now."""
    shown = ", ".join(addresses[:MAX_ADDRESSES_SHOWN])
    more = len(addresses) - MAX_ADDRESSES_SHOWN
    what = "looks like a proxy or an office" if len(addresses) == 1 else "look like proxies or offices"
    return (
        f"{shown}{f' and {more:,} more' if more > 0 else ''} {what}: logins from there work, or it forwards clients. "
        f"So [{jail}] excused {failures:,} failures, but not many more. Add your own proxies to trusted_proxies, and "
        "offices to ignoreip. See docs/allowlist.md."
    )


def behind_proxy(origin: str, peer: str, failures: int) -> str:
    """Return that the clients of this log cannot be dropped by packets, because a proxy sends them."""
    return (
        f"{failures:,} failures in {origin} within {_MINUTES} are of clients behind the proxy {peer}. Their packets "
        "are the proxy's, so this host cannot drop them. Ban them at the proxy (a CDN has a firewall for that), or "
        f"have it pass on packets with the client's own address. {_SEE}."
    )
