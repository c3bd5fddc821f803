"""The dry-run backend: it logs what a firewall would do, and touches nothing."""

from __future__ import annotations

import logging
from collections.abc import Collection

from sidecar.core.address import Address
from sidecar.firewall.backend import AddressDrops, AddressFacts, Dropped, RecoveredBan, Repair
from sidecar.firewall.desired import BansChanged, Change, DesiredState, GroupsChanged, TopologyChanged
from sidecar.firewall.errors import FirewallError
from sidecar.firewall.port_groups import PortGroup, PortGroups

log = logging.getLogger(__name__)


class NoSightings:
    """`Sightings` of a firewall that sees no packets."""

    def seen(self, address: Address) -> bool | None:
        """Return None: it is unknown which addresses sent packets."""
        del address
        return None

    def sees_packets(self) -> bool:
        """Return False: a dry run sees none."""
        return False

    def facts(self, address: Address, group: PortGroup, age_s: float) -> AddressFacts:
        """Raise FirewallError: there is no packet to know anything from."""
        del group, age_s
        raise FirewallError(f"a dry run sees no packets of {address}")


class DryRun:
    """A `Backend` that enforces nothing."""

    sightings = NoSightings()
    missing = 0
    limitation = None

    def recover_ports(self, groups: PortGroups) -> frozenset[int] | None:
        """Return None: an earlier dry run left nothing."""
        del groups
        return None

    def recover_bans(self, groups: PortGroups) -> list[RecoveredBan]:
        """Return nothing: an earlier dry run left nothing."""
        del groups
        return []

    def start(self, desired: DesiredState, now: float) -> None:
        del now
        log.info("dry run: %d bans would be in force", desired.bans.count)

    def commit(self, desired: DesiredState, change: Change, now: float) -> None:
        match change:
            case BansChanged(was_in):
                for name, address in was_in:
                    until = desired.bans.until(name, address)
                    if until is None or until <= now:
                        log.info("dry run: %s would leave %s", address, name)
                    else:
                        log.info("dry run: %s would be in %s for %.0f s", address, name, until - now)
            case GroupsChanged(_, was_in):
                moved = sum(not was for was in was_in.values())
                log.info("dry run: %d bans would move to the sets of other ports", moved)
            case TopologyChanged():
                ports = ", ".join(f"{port:d}" for port in sorted(desired.published_ports)) or "none"
                log.info(
                    "dry run: %d networks would be allowed, published ports to close: %s",
                    len(desired.allowlist),
                    ports,
                )

    def repair(self, desired: DesiredState, now: float, *, whole: bool) -> Repair | None:
        """Return None: there is nothing to repair."""
        del desired, now, whole
        return None

    def dropped(self) -> dict[int, Dropped]:
        return {4: Dropped(0, 0), 6: Dropped(0, 0)}

    def dropped_from(self, addresses: Collection[Address], now: float) -> dict[Address, AddressDrops]:
        """Return nothing: a dry run does not know what comes."""
        del addresses, now
        return {}

    def flush(self) -> None:
        log.info("dry run: all bans would end")

    def close(self) -> None: ...
