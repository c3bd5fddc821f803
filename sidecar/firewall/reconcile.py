"""Reconciliation: read the table, compare it with the desired state, write the difference.

Three cases, from the cheapest to the dearest:

- no other program had a transaction since our last one: nothing is read;
- the table has the structure that we left: its sets are compared, and amended where they differ;
- it has not: the structure is written again, over the table if that works, else in place of it. Where a table of ours
  was in force, no packet of a banned address passes meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.core.address import Address
from sidecar.firewall import ruleset
from sidecar.firewall.backend import Repair, RepairKind
from sidecar.firewall.desired import DesiredState
from sidecar.firewall.drop_counters import DropCounters
from sidecar.firewall.edits import MAX_EDITS, Edit, Put, Remove, difference
from sidecar.firewall.elements import ban_intervals, element, is_equivalent, merged_intervals, pack
from sidecar.firewall.errors import FirewallError, NoPermission
from sidecar.firewall.kernel import Kernel, Shape
from sidecar.firewall.schema import ALLOWLIST_SETS, SCHEMA
from sidecar.firewall.transactions import Transactions

# NF_ACCEPT, as the kernel reports a chain's policy.
_ACCEPT = b"\0\0\0\1"

# How often one set is read while the kernel resizes it.
MAX_SET_READS = 5


class Reconciler:
    """Brings the table to the desired state, whatever it was before. For one thread."""

    def __init__(self, kernel: Kernel, transactions: Transactions, drops: DropCounters) -> None:
        # Desired members that the last comparison or change did not find in force.
        self.missing = 0
        # Whether this run has written the table.
        self.has_started = False
        self._kernel = kernel
        self._transactions = transactions
        self._drops = drops
        # Whether the kernel reported a set without all of its elements.
        self._incomplete = False

    def repair(self, desired: DesiredState, now: float, *, whole: bool) -> Repair | None:
        """Undo what other programs changed. See `Backend.repair`."""
        if not whole and self._transactions.is_current():
            self.missing = 0
            return None
        with self._transactions.comparison():
            shape = self._kernel.shape()
            if shape is not None and shape == self._transactions.shape:
                return self._amend(desired, now)
            restored, removed = self._restore(desired, shape, now)
        self.missing = desired.bans.count
        kind = RepairKind.TABLE if shape is None else RepairKind.STRUCTURE
        return Repair(kind, restored, removed)

    def start(self, desired: DesiredState, now: float) -> None:
        """Bring whatever table is there to the desired state."""
        with self._transactions.comparison():
            self._restore(desired, self._kernel.shape(), now)

    def replace(self, desired: DesiredState, now: float) -> int:
        """Delete the table and write another. Return how many addresses were put in.

        This is one transaction, however long it takes, so that no packet of a banned address passes meanwhile.
        """
        # The counters of the old table have to be read before it goes.
        self._drops.read()
        lines, edits = _whole_table(desired, now)
        lines = [*ruleset.delete_table(), *lines]
        try:
            self._transactions.run([*lines, *ruleset.element_lines(edits)])
        except NoPermission:
            raise
        except FirewallError:
            # In a user namespace, some 20,000 bans are too long a message. A short gap is better than no bans.
            self._transactions.write(lines, edits)
        return len(edits)

    def remember(self, desired: DesiredState) -> None:
        """Remember the table as we left it. If another program was there already, the next comparison finds that."""
        self.has_started = True
        shape = self._kernel.shape()
        untouched = shape is not None and (
            self._transactions.is_current() or (_has_our_names(shape, desired) and _is_whole(shape, desired))
        )
        self._transactions.shape = shape if untouched else None

    def _restore(self, desired: DesiredState, shape: Shape | None, now: float) -> tuple[int, int]:
        """Turn the table of this shape into the desired one. Return how many addresses were put in and removed."""
        removed = 0
        if shape is None:
            restored = self._build(desired, now)
        elif _has_our_names(shape, desired) and self._restructure(desired, shape):
            repair = self._amend(desired, now)
            restored, removed = (repair.restored, repair.removed) if repair else (0, 0)
        else:
            restored = self.replace(desired, now)
        self.remember(desired)
        return restored, removed

    def _build(self, desired: DesiredState, now: float) -> int:
        """Write the table where there is none, and its bans, of hosts first. Return how many hosts are banned.

        Nothing was in force, so the bans follow in transactions of their own: nft's language takes ten times as long
        (docs/benchmarks.md).
        """
        self._transactions.run(_structure(desired))
        count = 0
        for name in desired.groups.host_sets:
            hosts = latest_first(desired, name, now)
            self._transactions.fill_hosts(name, hosts, now)
            count += len(hosts)
        for name, version in desired.groups.network_sets.items():
            self._transactions.fill_intervals(
                name, version, ban_intervals(desired.bans.members(name), now), now
            )
        return count

    def _restructure(self, desired: DesiredState, shape: Shape) -> bool:
        """Write the structure over the table. Return False if it is refused: a set is of another type."""
        lines = ruleset.structure(desired)
        # Senders that an earlier run recorded are worth keeping if no other program changed the rules.
        is_adopted = not self.has_started and _is_whole(shape, desired)
        try:
            self._transactions.run(lines if is_adopted else [*lines, *ruleset.forget_sightings()])
        except NoPermission:
            raise
        except FirewallError:
            return False
        return True

    def _amend(self, desired: DesiredState, now: float) -> Repair | None:
        """Compare what the sets hold with the desired state, and write the difference. None: there was none."""
        self._incomplete = False
        edits = [edit for name in desired.groups.host_sets for edit in self._difference(desired, name, now)]
        networks = {
            name: missing
            for name in desired.groups.network_sets
            if (missing := self._missing_intervals(desired, name, now)) is not None
        }
        breach = self._topology_breach(desired)
        new = sum(map(_is_new, edits))
        # With other ports, or with an allowlist that is not ours, no ban is certain to be in force.
        self.missing = desired.bans.count if breach else new + sum(networks.values())
        topology = [*ruleset.topology(desired), *ruleset.forget_sightings()] if breach else []
        self._transactions.write([*topology, *network_lines(desired, networks, now)], edits)
        if self._incomplete:
            self._transactions.forget()
        if not (breach or networks or edits):
            return None
        removed = sum(isinstance(edit, Remove) for edit in edits)
        return Repair(breach or RepairKind.BANS, len(edits) - removed, removed)

    def _difference(self, desired: DesiredState, name: str, now: float) -> list[Edit]:
        """Return the edits that turn a set into the desired one.

        The set is read again if the kernel has left elements out. If it does not stop doing so, only members that are
        truly missing are put in, up to one transaction of them.
        """
        edits: list[Edit] = []
        for _ in range(MAX_SET_READS):
            edits = difference(name, desired.bans.members(name), self._kernel.elements(name), now)
            if not self._is_in_set(name, next(filter(_is_new, edits), None)):
                return edits
        self._incomplete = True
        new = [edit for edit in edits if _is_new(edit)][:MAX_EDITS]
        return [
            *(edit for edit in edits if not _is_new(edit)),
            *(edit for edit in new if not self._is_in_set(name, edit)),
        ]

    def _is_in_set(self, name: str, edit: Edit | None) -> bool:
        return edit is not None and self._kernel.has(name, pack(edit.element))

    def _missing_intervals(self, desired: DesiredState, name: str, now: float) -> int | None:
        """Return how much of a set of networks is missing; None: the set is as desired."""
        wanted, found = ban_intervals(desired.bans.members(name), now), self._kernel.intervals(name)
        if wanted.keys() == found.keys() and all(
            is_equivalent(found[interval], left_s) for interval, left_s in wanted.items()
        ):
            return None
        return len(wanted.keys() - found.keys())

    def _topology_breach(self, desired: DesiredState) -> RepairKind | None:
        """Return whether the allowlist or else the ports differ from the desired ones."""
        for version, name in ALLOWLIST_SETS.items():
            if set(merged_intervals(version, desired.allowlist)) != self._kernel.intervals(name).keys():
                return RepairKind.ALLOWLIST
        for group in desired.groups:
            if group.port_set:
                ports = group.closed_ports(desired.published_ports)
                keys = {port.to_bytes(2, "big") for port in ports}
                if keys != self._kernel.elements(group.port_set).keys():
                    return RepairKind.PORTS
        return None


def puts(desired: DesiredState, names: Iterable[str], now: float) -> list[Edit]:
    """Return all members of these hash sets as edits, the latest bans first."""
    return [
        Put(name, element(address), until - now)
        for name in names
        for address, until in latest_first(desired, name, now)
    ]


def latest_first(desired: DesiredState, name: str, now: float) -> list[tuple[Address, float]]:
    """Return the members of a set with the ends of their bans, the latest ban first."""
    # A list is turned around faster than the view of a dictionary.
    members = [member for member in desired.bans.members(name).items() if member[1] > now]
    members.reverse()
    return members


def network_lines(desired: DesiredState, names: Iterable[str], now: float) -> list[str]:
    """Return the lines that write these sets of networks."""
    versions = desired.groups.network_sets
    return [
        line
        for name in names
        for line in ruleset.network_lines(name, versions[name], desired.bans.members(name), now)
    ]


def _whole_table(desired: DesiredState, now: float) -> tuple[list[str], list[Edit]]:
    """Return what writes the table where there is none: lines for all but the hosts, edits for the hosts."""
    lines = [*_structure(desired), *network_lines(desired, desired.groups.network_sets, now)]
    return lines, puts(desired, desired.groups.host_sets, now)


def _structure(desired: DesiredState) -> list[str]:
    """Return the lines of a new table without its bans."""
    return [*ruleset.structure(desired), *ruleset.forget_sightings()]


def _has_our_names(shape: Shape, desired: DesiredState) -> bool:
    """Return whether this table is, as far as schema and names tell, the one that we would write."""
    return shape.schema == SCHEMA and shape.is_active and shape.names == ruleset.names(desired)


def _is_whole(shape: Shape, desired: DesiredState) -> bool:
    """Return whether this table has as many rules as we write, and the policy of our chains."""
    return len(shape.rules) == ruleset.rule_count(desired) and all(
        shape.chains[name][1] == _ACCEPT for name in ruleset.base_chains(desired)
    )


def _is_new(edit: Edit) -> bool:
    return isinstance(edit, Put) and edit.is_new
