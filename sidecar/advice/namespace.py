"""A network namespace that clients' packets do not pass."""

from __future__ import annotations

from typing import Final

NOT_HOST_NETWORK: Final = "this is not the host's network, so no packet of a client passes the firewall"
# Where nothing shows the network: a quiet site looks alike.
NO_PACKETS: Final = (
    "no packet came to the ports of a jail within the last hour. If clients do reach the site, wp-sidecar is not on "
    "the host's network: set `network_mode: host`"
)
USE_HOST_NETWORK: Final = "Set `network_mode: host` for wp-sidecar"


def not_host_network() -> str:
    """Return that bans drop nothing here, and what to change."""
    return f"{NOT_HOST_NETWORK}: no address of ours is a gateway of a container network. {USE_HOST_NETWORK}"
