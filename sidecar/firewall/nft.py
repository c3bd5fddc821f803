"""Runs the text that `ruleset` writes: libnftables, through the distribution's own Python module."""

from __future__ import annotations

from collections.abc import Sequence

import nftables

from sidecar.firewall.errors import FirewallError, NoPermission
from sidecar.firewall.netlink import open_socket

# nft explains at length, and repeats the lines that it did not like.
MAX_ERROR_CHARS = 500


class Nft:
    """One libnftables context, for one thread: two threads at once in it crash the process, and so does a fork.

    Raises NoPermission and FirewallError.
    """

    def __init__(self) -> None:
        # Without such a socket, libnftables ends the whole process.
        open_socket().close()
        # Its `__del__` closes its socket.
        self._nft = nftables.Nftables()

    def run(self, lines: Sequence[str]) -> None:
        """Carry out all of the lines, or none of them, as one transaction. Raises NoPermission and FirewallError."""
        code, _, error = self._nft.cmd("\n".join(lines))
        if not code:
            return
        if "Operation not permitted" in error:
            raise NoPermission
        raise FirewallError(f"nft refused a change: {error.strip()[:MAX_ERROR_CHARS]}")
