"""The nftables backend: one table of our own, `inet wp_sidecar`.

    change ─▶ edits and lines ─▶ transactions ─▶ kernel
                                     ▲
    reconciler ── reads, compares ───┘

A change of bans is one transaction for up to 1,000 addresses. All else about the table is in the modules that this one
puts together: `schema` and `ruleset` (what it looks like), `transactions` (how it is written), `reconcile` (how it is
repaired), `sightings` (what it recorded).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from sidecar.core.address import Address
from sidecar.firewall import answers, ruleset
from sidecar.firewall.address_drops import DropsByAddress
from sidecar.firewall.answers import AnswerFilter
from sidecar.firewall.backend import AddressDrops, Dropped, RecoveredBan, Repair
from sidecar.firewall.desired import (
    BansChanged,
    Change,
    DesiredState,
    GroupsChanged,
    Member,
    TopologyChanged,
)
from sidecar.firewall.drop_counters import DropCounters
from sidecar.firewall.edits import MAX_EDITS, Edit, Put, Remove
from sidecar.firewall.elements import element, hosts_from_keys, networks_from_intervals
from sidecar.firewall.errors import FirewallError, NoPermission
from sidecar.firewall.kernel import Kernel
from sidecar.firewall.networks import MAX_INTERVALS, BannedNetworks
from sidecar.firewall.port_groups import PortGroups
from sidecar.firewall.reconcile import Reconciler, network_lines, puts
from sidecar.firewall.schema import PROBE_TABLE, READABLE_SCHEMAS
from sidecar.firewall.sightings import PacketSightings
from sidecar.firewall.transactions import Transactions

log = logging.getLogger(__name__)


class NftTable:
    """A `Backend`: our table in the kernel."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or Kernel()
        self._transactions = Transactions(self._kernel)
        self._drops = DropCounters()
        self._drops_by_address = DropsByAddress()
        self._reconciler = Reconciler(self._kernel, self._transactions, self._drops)
        self._limitation: str | None = None
        # The networks in each set of the table that this run has written.
        self._networks: dict[str, BannedNetworks] = {}
        self.sightings = PacketSightings(self._kernel, self._transactions)

    @property
    def missing(self) -> int:
        return self._reconciler.missing

    @property
    def limitation(self) -> str | None:
        return self._limitation

    def is_in_force(self) -> bool:
        """Return whether the kernel has a table of ours, which drops packets."""
        shape = self._kernel.shape()
        return shape is not None and shape.is_active and shape.schema in READABLE_SCHEMAS

    def recover_ports(self, groups: PortGroups) -> frozenset[int] | None:
        """Return the ports in the table's sets that are not the jails' own."""
        if not self._is_readable():
            return None
        return frozenset(
            port
            for group in groups
            if group.ports is not None and group.port_set and group.published
            for port in self._ports_in(group.port_set) - group.ports
        )

    def recover_bans(self, groups: PortGroups) -> Iterator[RecoveredBan]:
        """Yield the bans in the sets of these groups."""
        if not self._is_readable():
            return
        for group in groups:
            for version in (4, 6):
                hosts = self._kernel.elements(group.host_sets[version])
                networks = self._kernel.intervals(group.network_sets[version])
                for found in (hosts_from_keys(hosts), networks_from_intervals(version, networks)):
                    yield from (RecoveredBan(group, address, left_s) for address, left_s in found)

    def start(self, desired: DesiredState, now: float) -> None:
        desired.answers = self._answers_supported()
        self._limitation = answers.LIMITATIONS[desired.answers]
        self._reconciler.start(desired, now)
        self._note_networks(desired, desired.groups.network_sets)

    def commit(self, desired: DesiredState, change: Change, now: float) -> None:
        """Write one change. Of groups and topology nothing is written before the table is."""
        match change:
            case BansChanged(was_in):
                try:
                    self._change_bans(desired, was_in, now)
                except FirewallError:
                    # Until the next comparison knows better.
                    self._reconciler.missing += len(was_in)
                    raise
            case GroupsChanged(before, was_in) if self._reconciler.has_started:
                self._change_groups(desired, before, was_in, now)
            case TopologyChanged(more_ports) if self._reconciler.has_started:
                # Packets to ports that were not closed before were not recorded.
                forgotten = ruleset.forget_sightings() if more_ports else []
                self._transactions.run([*ruleset.topology(desired), *forgotten])

    def repair(self, desired: DesiredState, now: float, *, whole: bool) -> Repair | None:
        return self._reconciler.repair(desired, now, whole=whole)

    def dropped(self) -> dict[int, Dropped]:
        return self._drops.read()

    def dropped_from(self, addresses: Collection[Address], now: float) -> dict[Address, AddressDrops]:
        return self._drops_by_address.read(addresses, now)

    def flush(self) -> None:
        """Delete the table."""
        self._transactions.run(ruleset.delete_table())
        self._transactions.shape = None
        self._networks.clear()
        self._reconciler.has_started = False
        self._reconciler.missing = 0

    def close(self) -> None:
        self._kernel.close()
        self._drops.close()
        self._drops_by_address.close()

    def _change_bans(self, desired: DesiredState, was_in: Mapping[Member, bool], now: float) -> None:
        emptied = _emptied_sets(desired, was_in)
        others = {member: was for member, was in was_in.items() if member[0] not in emptied}
        hosts, networks = _split(desired, others)
        rewritten = [
            name for name, ends in networks.items() if not self._change_networks(desired, name, ends, now)
        ]
        lines, edits = network_lines(desired, rewritten, now), _edits(desired, hosts, now)
        if not emptied:
            self._transactions.write(lines, edits)
        else:
            structure = [*ruleset.delete_sets(desired, emptied), *ruleset.structure(desired)]
            self._transactions.write([*structure, *lines], [*puts(desired, emptied, now), *edits])
            self._reconciler.remember(desired)
        self._note_networks(desired, rewritten)

    def _change_networks(
        self, desired: DesiredState, name: str, ends: Mapping[Address, float | None], now: float
    ) -> bool:
        """Change a set of networks where it differs. Return False if all of it has to be written."""
        # It is put back once the kernel has the same.
        networks = self._networks.pop(name, None)
        if networks is None:
            return False
        changes = networks.change(
            {address: None if until is None or until <= now else until for address, until in ends.items()}
        )
        if any(change.size > MAX_INTERVALS for change in changes):
            return False
        try:
            self._transactions.write_intervals(name, desired.groups.network_sets[name], changes, now)
        except NoPermission:
            raise
        except FirewallError:
            # Another program has changed the set, or an interval was about to end.
            return False
        self._networks[name] = networks
        return True

    def _note_networks(self, desired: DesiredState, names: Iterable[str]) -> None:
        """Remember which networks are in these sets, so that a few can be changed."""
        for name in names:
            version = desired.groups.network_sets[name]
            self._networks[name] = BannedNetworks(version, desired.bans.members(name))

    def _change_groups(
        self, desired: DesiredState, before: PortGroups, was_in: Mapping[Member, bool], now: float
    ) -> None:
        """Move bans between port groups. They are in their new sets before they leave the old ones."""
        kept = {*desired.groups.host_sets, *desired.groups.network_sets}
        hosts, networks = _split(
            desired, {member: was for member, was in was_in.items() if member[0] in kept}
        )
        lines, edits = network_lines(desired, sorted(networks), now), _edits(desired, hosts, now)
        groups = set(desired.groups)
        gone = [group for group in before if group not in groups]
        try:
            self._transactions.run([*ruleset.structure(desired, gone), *ruleset.forget_sightings()])
            self._transactions.write((), [edit for edit in edits if isinstance(edit, Put)])
            self._transactions.run([*ruleset.structure(desired), *lines, *ruleset.delete_groups(gone)])
            self._transactions.write((), [edit for edit in edits if isinstance(edit, Remove)])
        except NoPermission:
            raise
        except FirewallError:
            # Another program has changed the table.
            self._reconciler.replace(desired, now)
        self._reconciler.remember(desired)
        self._note_networks(desired, desired.groups.network_sets)

    def _answers_supported(self) -> AnswerFilter:
        """Return which answers this kernel can reject."""
        for supported in (AnswerFilter.ALL, AnswerFilter.HOST):
            try:
                self._transactions.run(answers.probe(supported, PROBE_TABLE))
            except NoPermission:
                raise
            except FirewallError as err:
                log.info("answers to banned addresses: %s is not supported: %s", supported.name, err)
            else:
                return supported
        return AnswerFilter.NONE

    def _is_readable(self) -> bool:
        """Return whether there is a table with bans and ports in the same sets as ours."""
        shape = self._kernel.shape()
        return shape is not None and shape.schema in READABLE_SCHEMAS

    def _ports_in(self, name: str) -> set[int]:
        return {int.from_bytes(key, "big") for key in self._kernel.elements(name)}


def _emptied_sets(desired: DesiredState, was_in: Mapping[Member, bool]) -> Collection[str]:
    """Return hash sets that so many leave, and in which so few stay, that it is faster to make them again."""
    if len(was_in) <= MAX_EDITS:
        return ()
    hosts = desired.groups.host_sets
    few = MAX_EDITS // len(hosts)
    return [
        name
        for name, count in Counter(name for name, _ in was_in).items()
        if name in hosts and count > MAX_EDITS and len(desired.bans.members(name)) <= few
    ]


def _split(
    desired: DesiredState, was_in: Mapping[Member, bool]
) -> tuple[dict[Member, bool], dict[str, dict[Address, float | None]]]:
    """Return the hosts among these members, and by set the networks with the ends of their bans (None: no ban)."""
    networks: dict[str, dict[Address, float | None]] = {}
    hosts = {}
    for member, was in was_in.items():
        name, address = member
        if name in desired.groups.network_sets:
            networks.setdefault(name, {})[address] = desired.bans.until(name, address)
        else:
            hosts[member] = was
    return hosts, networks


def _edits(desired: DesiredState, hosts: Mapping[Member, bool], now: float) -> list[Edit]:
    """Return the edits that bring these hosts to the desired state."""
    edits: list[Edit] = []
    for (name, address), was in hosts.items():
        until = desired.bans.until(name, address)
        if until is None or until <= now:
            edits.append(Remove(name, element(address)))
        else:
            edits.append(Put(name, element(address), until - now, is_new=not was))
    return edits
