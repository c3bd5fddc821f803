"""Decisions in, a firewall that enforces them.

    decisions ─▶ desired state ─change─▶ backend ─▶ kernel

The desired state and how it becomes a change are the same for all firewalls; the backend does what differs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from sidecar.core.active_bans import BYPASS_GRACE_S
from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause, Turn
from sidecar.core.jail import MANUAL_JAIL, Jail
from sidecar.firewall.backend import AddressDrops, AddressFacts, Backend, Dropped, Repair, RepairKind
from sidecar.firewall.desired import Change, DesiredState, report_rejected
from sidecar.firewall.layout import Layout


class Firewall:
    """Keeps banned addresses out of this host. Owned by one thread; any thread may ask what was dropped.

    What writes raises FirewallError if the backend refuses, and NoPermission if it always will. The desired state is
    kept all the same, so that `repair` makes up for it.
    """

    def __init__(self, backend: Backend, jails: Iterable[Jail]) -> None:
        self._backend = backend
        self._desired = DesiredState(jails)
        # The last repair that had let packets of banned addresses through, and when.
        self._last_breach: tuple[RepairKind | None, float] = (None, -math.inf)

    def adoptable(self, now: float) -> list[Ban]:
        """Return the bans that an earlier run left in the firewall, as bans to go on with.

        Each gets a jail with the ports that are closed to it, or the jail `manual`.
        """
        groups = self._desired.groups
        jails = {group: name for name, group in reversed(groups.by_jail.items())}
        jails[groups.default] = MANUAL_JAIL.name
        return [
            Ban(jails[found.group], found.address, now, now + found.left_s, BanCause.ADOPTED)
            for found in self._backend.recover_bans(groups)
            # They close no port, so it does not matter which site they were of.
            if found.group in jails
        ]

    def start(self, bans: Sequence[Ban], now: float) -> None:
        """Enforce these bans and no others. What an earlier run left stays in force meanwhile.

        If the published ports are not known yet, those that an earlier run closed stay closed, so that no port opens
        before the container engine has answered.
        """
        rejected = self._desired.replace_bans(bans)
        if self._desired.published is None:
            self._desired.published = self._backend.recover_ports(self._desired.groups)
        self._backend.start(self._desired, now)
        report_rejected(rejected)

    def apply(self, turn: Turn) -> None:
        """Carry out the decisions of one turn."""
        change, rejected = self._desired.apply(turn.decisions)
        self._backend.commit(self._desired, change, turn.at)
        report_rejected(rejected)

    def reconfigure(self, jails: Iterable[Jail], now: float) -> None:
        """Make these all the jails. Their bans stay in force, now for the ports of the jails as they are."""
        self._commit(self._desired.reconfigure(jails), now)

    def set_topology(
        self, allowlist: Iterable[str], now: float, published: frozenset[int] | None = None
    ) -> None:
        """Never drop packets of these networks, and close these published ports (None: the same as before)."""
        self._commit(self._desired.set_topology(allowlist, published), now)

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set. The kernel's timeouts use one that nobody sets."""
        self._desired.bans.shift(by_s)
        kind, at = self._last_breach
        self._last_breach = kind, at + by_s

    def repair(self, now: float, *, whole: bool = False) -> Repair | None:
        """Undo what other programs changed. None: they changed nothing.

        This costs next to nothing while no other program has changed the host's firewall. Otherwise, and always with
        `whole`, everything is read and compared.
        """
        repair = self._backend.repair(self._desired, now, whole=whole)
        # A whole comparison follows a drift of the clock, no change of the table. An added ban lets no packet through.
        if repair and not whole and (repair.restored or repair.kind is not RepairKind.BANS):
            self._last_breach = repair.kind, now
        return repair

    def enforced(self) -> tuple[int, int]:
        """Return how many of the desired bans were in force at the last comparison, and how many are desired."""
        desired = self._desired.bans.count
        return max(0, desired - self._backend.missing), desired

    @property
    def layout(self) -> Layout:
        """All that it needs besides the bans."""
        groups = self._desired.groups.by_jail
        ports = {name: group.ports for name, group in groups.items()}
        alone = frozenset(name for name, group in groups.items() if not group.published)
        return Layout(ports, self._desired.allowlist, self._desired.published, alone)

    @property
    def limitation(self) -> str | None:
        """What this host's kernel cannot do, as a sentence that says what to change; None: nothing is missing."""
        return self._backend.limitation

    def seen(self, address: Address) -> bool | None:
        """Return whether the address sent a packet to a port that some jail closes, within the last hour.

        False means that it surely sent none for ten minutes. None means that it is unknown: more senders than can be
        recorded, a table that is younger, a wider network, or a kernel that does not answer. From then on the next
        packet of this address is surely recorded.
        """
        return self._backend.sightings.seen(address)

    def sees_packets(self) -> bool:
        """Return whether any packet to a port that some jail closes came within the last hour."""
        return self._backend.sightings.sees_packets()

    def facts(self, address: Address, jail: str, at: float, now: float) -> AddressFacts:
        """Return what is known about an address that this jail bans and that a log line of the time `at` names.

        Raises FirewallError, and ValueError if the address cannot be banned.
        """
        facts = self._backend.sightings.facts(address, self._desired.groups.of(jail), now - at)
        kind, repaired_at = self._last_breach
        return replace(facts, repaired=kind) if repaired_at >= at - BYPASS_GRACE_S else facts

    def dropped(self) -> dict[int, Dropped]:
        """Return what was dropped so far, by IP version. Any thread may call this."""
        return self._backend.dropped()

    def dropped_from(self, addresses: Collection[Address], now: float) -> Mapping[Address, AddressDrops]:
        """Return what was dropped of these addresses, in any thread; where it is unknown, they are absent."""
        return self._backend.dropped_from(addresses, now)

    def flush(self) -> None:
        """Unban all addresses, and remove everything from the host's firewall."""
        self._backend.flush()
        self._desired.replace_bans(())

    def close(self) -> None:
        """Release resources. Bans stay in force, and end by themselves."""
        self._backend.close()

    def _commit(self, change: Change | None, now: float) -> None:
        if change:
            self._backend.commit(self._desired, change, now)
