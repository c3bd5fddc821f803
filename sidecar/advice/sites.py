"""What to do about sites that share all of their ports, where bans are to hold for single sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_NAMES: Final = 8


def without_ports(sites: Sequence[str], jails: Sequence[str]) -> str:
    """Return the sentences about sites to which no port leads alone, and these jails with `scope = site`."""
    named = ", ".join(sites[:MAX_NAMES])
    more = f" and {len(sites) - MAX_NAMES} more" if len(sites) > MAX_NAMES else ""
    return (
        f"bans for the logs of {named}{more} drop nothing, as no port of this host leads to one of these sites alone, "
        f"and {', '.join(jails)} have `scope = site`. Publish a port for each site, or have the log of the proxy in "
        "front of them watched, whose bans close its ports for all of them"
    )
