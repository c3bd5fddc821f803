"""How the firewall fails."""

from __future__ import annotations

from typing import Final

_NO_CAPABILITY: Final = (
    "give the container `cap_add: [NET_ADMIN]` and leave its user root (uid 0), or outside a container "
    "run as root"
)


class FirewallError(Exception):
    """The firewall did not do what it was asked to. The message is for people, and often nft's or the kernel's own.

    What should be in force is remembered all the same, so the next repair makes up for it.
    """


class NoPermission(FirewallError):  # noqa: N818
    """The process may not change the host's firewall, and trying again will not help."""

    def __init__(self, why: str = _NO_CAPABILITY) -> None:
        super().__init__(f"no permission to change the firewall: {why}")


class AlreadyRunning(FirewallError):  # noqa: N818
    """Another wp-sidecar owns the firewall of this network namespace."""

    def __init__(self) -> None:
        super().__init__("another wp-sidecar is running on this host; stop it first")
