"""The desired state: which addresses are to be in which set, and until when.

This is the truth, and the kernel's sets are a copy of it. It changes first, and is right even when the firewall then
refuses the change; a repair compares the two and writes the difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from sidecar.core.address import Address
from sidecar.core.events import Ban, Decision
from sidecar.core.jail import Jail
from sidecar.firewall.answers import AnswerFilter
from sidecar.firewall.errors import FirewallError
from sidecar.firewall.port_groups import PortGroups

# An address in a set, by the set's name.
Member: TypeAlias = tuple[str, Address]

# Errors of one turn that are reported; more of them do not help.
MAX_REPORTED_ERRORS = 3


class DesiredBans:
    """Bans by set and jail. An address that several jails ban stays in a set until the last of them ends."""

    def __init__(self) -> None:
        # How many members all sets have; an address in two sets counts twice.
        self.count = 0
        # Set -> jail -> address -> end of the ban.
        self._sets: defaultdict[str, defaultdict[str, dict[Address, float]]] = defaultdict(
            lambda: defaultdict(dict)
        )

    def add(self, name: str, jail: str, address: Address, until: float) -> bool:
        """Put an address into a set for this jail, or change its end. Return whether it was in the set before."""
        # Not `setdefault`, which makes two dictionaries each time and throws them away.
        jails = self._sets[name]
        bans = jails[jail]
        was_in = address in bans or (len(jails) > 1 and self.has(name, address))
        self.count += not was_in
        bans[address] = until
        return was_in

    def remove(self, name: str, jail: str, address: Address) -> bool:
        """End this jail's ban of an address, if there is one. Return whether the address was in the set before."""
        was_in = self.has(name, address)
        if was_in and self._sets[name].get(jail, {}).pop(address, None) is not None:
            self.count -= not self.has(name, address)
        return was_in

    def remove_jail(self, jail: str) -> list[tuple[str, Address, float]]:
        """End all bans of a jail. Return the set, the address and the end of each."""
        bans = {name: jails[jail] for name, jails in self._sets.items() if jail in jails}
        found = [(name, address, until) for name, each in bans.items() for address, until in each.items()]
        for name, address, _ in found:
            self.remove(name, jail, address)
        return found

    def has(self, name: str, address: Address) -> bool:
        """Return whether any jail's ban has the address in this set."""
        # `any` with a generator takes three times as long.
        for bans in self._sets.get(name, {}).values():  # noqa: SIM110
            if address in bans:
                return True
        return False

    def until(self, name: str, address: Address) -> float | None:
        """Return when the last ban ends that has the address in this set; None: there is none."""
        last = None
        for bans in self._sets.get(name, {}).values():
            end = bans.get(address)
            if end is not None and (last is None or end > last):
                last = end
        return last

    def shift(self, by_s: float) -> None:
        """Move the ends of all bans, because the clock was set."""
        for jails in self._sets.values():
            for bans in jails.values():
                for address, until in bans.items():
                    bans[address] = until + by_s

    def members(self, name: str) -> Mapping[Address, float]:
        """Return all members of a set with the ends of their bans, the latest members last."""
        jails = [bans for bans in self._sets.get(name, {}).values() if bans]
        # The usual case. A set of 100,000 is not copied each time that it is compared.
        if len(jails) == 1:
            return jails[0]
        merged: dict[Address, float] = {}
        for bans in jails:
            for address, until in bans.items():
                merged[address] = max(until, merged.get(address, until))
        return merged


class BansChanged(NamedTuple):
    """Members were added or removed, or their bans end at another time."""

    # Whether each was in its set before.
    was_in: Mapping[Member, bool]


class GroupsChanged(NamedTuple):
    """Jails came, went or have other ports. Their bans moved to the sets of the new port groups."""

    before: PortGroups
    was_in: Mapping[Member, bool]


class TopologyChanged(NamedTuple):
    """The allowlist changed, or the ports that containers publish."""

    # Whether there are ports now that were not closed before.
    more_ports: bool


Change: TypeAlias = BansChanged | GroupsChanged | TopologyChanged


class DesiredState:
    """All that the firewall is to enforce. Its methods return what a backend has to change."""

    def __init__(self, jails: Iterable[Jail]) -> None:
        self.groups = PortGroups(jails)
        self.bans = DesiredBans()
        # Packets of these networks are never dropped.
        self.allowlist: tuple[str, ...] = ()
        # The ports that containers publish on this host; None: the container engine has not answered yet.
        self.published: frozenset[int] | None = None
        # Which answers to banned addresses are rejected: as many as the kernel can.
        self.answers = AnswerFilter.ALL

    @property
    def published_ports(self) -> frozenset[int]:
        """The published ports as far as they are known."""
        return self.published or frozenset()

    def replace_bans(self, bans: Iterable[Ban]) -> list[str]:
        """Make these all the bans; those that are only observed are left out.

        Return a sentence for each that cannot be carried out.
        """
        self.bans = DesiredBans()
        rejected: list[str] = []
        for ban in bans:
            if ban.dry_run:
                continue
            try:
                name = self.groups.of(ban.jail).set_of(ban.address)
            except ValueError as err:
                rejected.append(str(err))
            else:
                self.bans.add(name, ban.jail, ban.address, ban.until)
        return rejected

    def apply(self, decisions: Iterable[Decision]) -> tuple[BansChanged, list[str]]:
        """Take in bans and unbans. A ban that is only observed enforces nothing, and ends one that was enforced.

        Return what changed, and a sentence for each decision that cannot be carried out.
        """
        was_in: dict[Member, bool] = {}
        rejected: list[str] = []
        for decision in decisions:
            jail, address = decision.jail, decision.address
            try:
                name = self.groups.of(jail).set_of(address)
            except ValueError as err:
                rejected.append(str(err))
                continue
            if isinstance(decision, Ban) and not decision.dry_run:
                was_in.setdefault((name, address), self.bans.add(name, jail, address, decision.until))
            else:
                was_in.setdefault((name, address), self.bans.remove(name, jail, address))
        return BansChanged(was_in), rejected

    def reconfigure(self, jails: Iterable[Jail]) -> GroupsChanged | None:
        """Make these all the jails, and move bans to the port groups of their jails. None: nothing changed."""
        before, self.groups = self.groups, PortGroups(jails)
        was_in: dict[Member, bool] = {}
        for jail in self.groups.jails_moved_from(before):
            group = self.groups.of(jail)
            for name, address, until in self.bans.remove_jail(jail):
                was_in.setdefault((name, address), True)
                moved_to = group.set_of(address)
                was_in.setdefault((moved_to, address), self.bans.add(moved_to, jail, address, until))
        if tuple(before) == tuple(self.groups) and not was_in:
            return None
        return GroupsChanged(before, was_in)

    def set_topology(
        self, allowlist: Iterable[str], published: frozenset[int] | None
    ) -> TopologyChanged | None:
        """Make these the networks that are never dropped and the published ports (None: still the same)."""
        before = self.allowlist, self.published
        known_ports = self.published_ports
        self.allowlist = tuple(allowlist)
        if published is not None:
            self.published = published
        if before == (self.allowlist, self.published):
            return None
        return TopologyChanged(more_ports=not self.published_ports <= known_ports)


def report_rejected(rejected: Sequence[str]) -> None:
    """Raise FirewallError if any decision could not be carried out. All others have been by then."""
    if rejected:
        raise FirewallError("; ".join(rejected[:MAX_REPORTED_ERRORS]))
