"""Port groups: which ports a jail closes to the addresses it bans, and which sets of the table that needs.

Jails with the same ports share a group. Each group has a set of hosts and a set of networks for each IP version, and a
set of its ports unless it closes all of them:

    ports = 80,443 (the web's)   ban4 ban6  net4 net6  ports
    ports = 22                   ban4_22 ban6_22  net4_22 net6_22  ports_22
    ports = all                  ban4_all ban6_all  net4_all net6_all

The ports that watched containers publish are added, unless the jail says `published = no`, or is that of one site:

    ports = 8081, alone          ban4_8081_only ban6_8081_only  net4_8081_only net6_8081_only  ports_8081_only
    no port leads to the site    ban4_none_only ban6_none_only  net4_none_only net6_none_only  ports_none_only
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from sidecar.core.address import Address
from sidecar.core.jail import WEB_PORTS, Jail, Scope, site_of_jail
from sidecar.firewall.elements import classify

# Characters of a set's name that list ports; the kernel takes names of 255 characters at most.
MAX_PORTS_IN_NAME: Final = 40


@dataclass(frozen=True)
class PortGroup:
    """Ports that are closed to banned addresses, and the names of the sets for them."""

    # None: all TCP and UDP ports.
    ports: frozenset[int] | None
    # Whether the ports that watched containers publish are closed too.
    published: bool = True

    @classmethod
    def of(cls, jail: Jail) -> Self:
        """Return the group of a jail. All ports are all ports, from whichever container."""
        return cls(jail.ports, jail.published or jail.ports is None)

    @cached_property
    def suffix(self) -> str:
        """What the names of the group's sets end with."""
        if self.ports is None:
            return "_all"
        end = "" if self.published else "_only"
        if self.ports == WEB_PORTS:
            return end
        listed = "_" + ("_".join(f"{port:d}" for port in sorted(self.ports)) or "none")
        return (
            f"{listed if len(listed) <= MAX_PORTS_IN_NAME else f'_x{zlib.crc32(listed.encode()):08x}'}{end}"
        )

    @cached_property
    def host_sets(self) -> dict[int, str]:
        """By IP version, the set of banned hosts (IPv4) or customers (IPv6 /64)."""
        return {version: f"ban{version:d}{self.suffix}" for version in (4, 6)}

    @cached_property
    def network_sets(self) -> dict[int, str]:
        """By IP version, the set of banned networks that are wider."""
        return {version: f"net{version:d}{self.suffix}" for version in (4, 6)}

    @cached_property
    def port_set(self) -> str | None:
        """The set of the group's ports; None: it closes all ports and needs no set."""
        return None if self.ports is None else f"ports{self.suffix}"

    def set_of(self, address: Address) -> str:
        """Return the set that a banned address belongs in. Raises ValueError if it cannot be banned."""
        version, is_host = classify(address)
        return self.host_sets[version] if is_host else self.network_sets[version]

    def closed_ports(self, published: frozenset[int]) -> frozenset[int]:
        """Return the ports in the group's set: its own, and where it has them, those that containers publish."""
        return (self.ports or frozenset()) | (published if self.published else frozenset())


class PortGroups:
    """The port group of each jail. Immutable."""

    # Bans of a jail that is no longer configured close the web's ports.
    default: Final = PortGroup(WEB_PORTS)
    # Those of a site that is not known close none: they may be the ports of another site.
    unknown_site: Final = PortGroup(frozenset(), published=False)

    def __init__(self, jails: Iterable[Jail]) -> None:
        jails = tuple(jails)
        self.by_jail = {jail.name: PortGroup.of(jail) for jail in jails}
        self._has_site_scope = any(jail.scope is Scope.SITE for jail in jails)
        of_sites = [self.unknown_site] if self._has_site_scope else []
        self._groups = tuple(dict.fromkeys([self.default, *self.by_jail.values(), *of_sites]))
        self.host_sets = tuple(name for group in self._groups for name in group.host_sets.values())
        # Name -> IP version.
        self.network_sets = {
            name: version for group in self._groups for version, name in group.network_sets.items()
        }

    def __iter__(self) -> Iterator[PortGroup]:
        return iter(self._groups)

    def of(self, jail: str) -> PortGroup:
        """Return the group of the jail with this name."""
        if group := self.by_jail.get(jail):
            return group
        return self.unknown_site if self._has_site_scope and site_of_jail(jail) else self.default

    def jails_moved_from(self, before: PortGroups) -> list[str]:
        """Return the names of the jails that are in another group than before."""
        names = dict.fromkeys([*before.by_jail, *self.by_jail])
        return [name for name in names if self.of(name) != before.of(name)]
