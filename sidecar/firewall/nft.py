"""Runs what `changes` wrote: libnftables, by the distribution's own Python module."""

from __future__ import annotations

from collections.abc import Sequence

import nftables

from sidecar.firewall.netlink import FirewallError, NoPermission


class Nft:
    """One libnftables context, for one thread: two in it at once crash the process, and so does a fork."""

    def __init__(self) -> None:
        self._nft = nftables.Nftables()  # its __del__ closes the socket

    def run(self, lines: Sequence[str]) -> None:
        """All the lines, or none of them, as one transaction. Raises FirewallError with nft's words."""
        code, _, error = self._nft.cmd("\n".join(lines))
        if not code:
            return
        if "Operation not permitted" in error:
            raise NoPermission
        raise FirewallError(f"nft refused a change: {error.strip()[:500]}")
