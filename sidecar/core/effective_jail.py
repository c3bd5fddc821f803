"""A jail as it applies to one container: the jails file, with what the container's labels change."""

from __future__ import annotations

from typing import NamedTuple, Self

from sidecar.core.address import Address
from sidecar.core.allowlist import IGNOREIP, PROXY, Allowlist
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides


class EffectiveJail(NamedTuple):
    """The settings that decide about a hit. `allowlist` is the jail's own; None where it is empty."""

    jail: Jail
    allowlist: Allowlist | None

    @classmethod
    def of(cls, jail: Jail, overrides: Overrides | None = None) -> Self:
        """Return the jail as it is where these overrides hold."""
        proxies: tuple[str, ...] = ()
        if overrides is not None:
            jail, proxies = overrides.apply_to(jail), overrides.own_proxies
        if not (proxies or jail.ignoreip):
            return cls(jail, None)
        # Private addresses are on the general allowlist where they belong there, so they are not on this one.
        return cls(jail, Allowlist({PROXY: proxies, IGNOREIP: jail.ignoreip}, ban_private=True))

    def allowlist_reason(self, address: Address) -> str | None:
        """Return why this jail never bans the address; None: it may."""
        return self.allowlist.reason(address) if self.allowlist else None
