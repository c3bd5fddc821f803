"""What can go wrong between us and the kernel."""

from __future__ import annotations


class FirewallError(Exception):
    """The kernel did not take a change; the message is nft's or the kernel's own. What is wanted is kept."""


class NoPermission(FirewallError):  # noqa: N818
    """We may not change this host's firewall."""

    def __init__(self) -> None:
        super().__init__(
            "no permission to change the firewall: give the container `cap_add: [NET_ADMIN]` and leave its user "
            "root (uid 0), or outside a container run as root"
        )
