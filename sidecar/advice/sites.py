"""What to do about sites that share all of their ports, where bans are to hold for single sites."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sidecar.core.sites import MAX_SITES

MAX_NAMES: Final = 8


def without_ports(sites: Sequence[str], jails: Sequence[str], left_out: Collection[str] = ()) -> str:
    """Return the sentences about sites to which no port leads alone, and these jails with `scope = site`.

    `left_out` are those of them that have ports, where there are too many sites.
    """
    named = ", ".join(sites[:MAX_NAMES])
    more = f" and {len(sites) - MAX_NAMES} more" if len(sites) > MAX_NAMES else ""
    why, change = "no port of this host leads to one of these sites alone", "Publish a port for each site"
    if left_out:
        why = f"only {MAX_SITES} sites can have ports of their own here"
        change = "Put them behind a proxy"
    return (
        f"bans for the logs of {named}{more} drop nothing, as {why}, and {', '.join(jails)} have `scope = site`. "
        f"{change}, or have the log of the proxy in front of them watched, whose bans close its ports for all of them"
    )
