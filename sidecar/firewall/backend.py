"""What a firewall has to be able to do.

`Firewall` keeps the desired state and asks a backend to bring the real one to it. `NftTable` does that with a table of
nftables, `DryRun` only reports what it would do. A new backend is one class with these methods.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sidecar.core.address import Address
from sidecar.firewall.desired import Change, DesiredState
from sidecar.firewall.port_groups import PortGroup, PortGroups


class RepairKind(enum.StrEnum):
    """What another program had changed. The values are labels of the metric for repairs."""

    # The table was gone.
    TABLE = "table"
    # Its chains, rules or sets were not ours.
    STRUCTURE = "structure"
    # Networks were missing from the allowlist, or were added to it.
    ALLOWLIST = "allowlist"
    # The set of a port group had other ports.
    PORTS = "ports"
    # Addresses were missing from a set of bans, were added to it, or had another timeout.
    BANS = "bans"


@dataclass(frozen=True, slots=True)
class Repair:
    """A change by another program that was found and undone."""

    kind: RepairKind
    # Addresses that were missing, or that had another timeout.
    restored: int = 0
    # Addresses that were in a set of bans without being banned.
    removed: int = 0


class RecoveredBan(NamedTuple):
    """A ban that the firewall still enforced when it was read."""

    group: PortGroup
    address: Address
    # Seconds until it ends; `math.inf`: never.
    left_s: float


class Dropped(NamedTuple):
    """What was dropped of one IP version."""

    packets: int
    bytes: int


class AddressDrops(NamedTuple):
    """What the kernel dropped of one address or network, as far as it remembers: since a week without a packet."""

    packets: int
    bytes: int
    # When the last of them came (unix time); None: there was none.
    last: float | None


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """What the firewall knows about a banned address at the time of a log line that names it."""

    address: Address
    # The set that the address belongs in.
    set_name: str
    # Whether the table is active and has all of our rules.
    intact: bool
    # Whether the address is in its set, or in a network that is.
    in_set: bool
    # Whether packets of the address came shortly before the line; None: unknown.
    sent_packets: bool | None
    # The IP versions of which any packets came shortly before the line.
    versions_seen: frozenset[int]
    # Ports that the ban does not close, and that the address connected to shortly before the line.
    passed_ports: frozenset[int] = frozenset()
    # Whether an answer to the address was rejected shortly before the line: its request came before the ban.
    answer_rejected: bool = False
    # What was repaired at about the time of the line.
    repaired: RepairKind | None = None


class Sightings(Protocol):
    """Which addresses sent packets to this host. Log lines can be forged, packets have to arrive."""

    def seen(self, address: Address) -> bool | None:
        """Return whether the address sent a packet to a closed port lately; None: unknown. It raises nothing."""

    def sees_packets(self) -> bool:
        """Return whether any packet to a closed port came within the last hour. It raises nothing."""

    def facts(self, address: Address, group: PortGroup, age_s: float) -> AddressFacts:
        """Return what is known about an address that this group is closed to, `age_s` seconds after a log line.

        Raises FirewallError, and ValueError if the address cannot be banned.
        """


class Backend(Protocol):
    """A firewall. One thread owns it and calls it; any thread may ask what was dropped.

    What writes raises FirewallError if the firewall refuses, and NoPermission if it always will.
    """

    @property
    def sightings(self) -> Sightings: ...

    @property
    def missing(self) -> int:
        """How many desired members the last comparison or change did not find in force."""

    @property
    def limitation(self) -> str | None:
        """What this host's kernel cannot do, as a sentence that says what to change; None: nothing is missing.

        Known after `start`.
        """

    def recover_ports(self, groups: PortGroups) -> frozenset[int] | None:
        """Return the published ports that an earlier run closed; None: unknown."""

    def recover_bans(self, groups: PortGroups) -> Iterable[RecoveredBan]:
        """Return the bans that an earlier run left in force."""

    def start(self, desired: DesiredState, now: float) -> None:
        """Bring the firewall to the desired state. What an earlier run left stays in force meanwhile."""

    def commit(self, desired: DesiredState, change: Change, now: float) -> None:
        """Carry out one change; the desired state has it already."""

    def repair(self, desired: DesiredState, now: float, *, whole: bool) -> Repair | None:
        """Undo what other programs changed since the last call. None: they changed nothing.

        With `whole` everything is compared, whether or not there is a sign of a change.
        """

    def dropped(self) -> dict[int, Dropped]:
        """Return what was dropped so far, by IP version. The figures never fall."""

    def dropped_from(self, addresses: Collection[Address], now: float) -> Mapping[Address, AddressDrops]:
        """Return what was dropped of these addresses; where it is unknown, they are absent."""

    def flush(self) -> None:
        """Remove everything: no address is banned any more."""

    def close(self) -> None:
        """Release resources. Bans stay in force, and end by themselves."""
