"""A network namespace that clients' packets do not pass."""

from __future__ import annotations

from typing import Final

NOT_HOST_NETWORK: Final = "this is not the host's network, so no packet of a client passes the firewall"
NO_PACKETS: Final = (
    "no packet of any client passes through this firewall. Run wp-sidecar on the host's network "
    "(`network_mode: host`)"
)
USE_HOST_NETWORK: Final = "Set `network_mode: host` for wp-sidecar"


def not_host_network() -> str:
    """Return that bans drop nothing here, and what to change."""
    return f"{NOT_HOST_NETWORK}: no address of ours is a gateway of a container network. {USE_HOST_NETWORK}"
