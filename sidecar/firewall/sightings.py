"""Sightings: which addresses sent packets to this host, recorded by the kernel.

A log line can name any address, by a forged `X-Forwarded-For` or through a proxy in front. A packet comes from where it
comes from. So the table has a chain that records the sender of each packet to a closed port, before anything is
dropped, and sets that hold the senders of the last hour. A spoofed packet can put an address in, never out: when a set
is full, that is recorded too, and the answer becomes "unknown".

A flood from spoofed addresses fills the sets within a second. So that attackers cannot hide behind one, each address
with an unknown answer becomes a suspect, and the next packet of a suspect is recorded in a set of its own. Only
addresses that a ban waits for are suspects, and no flood of packets makes one.

The kernel also records to which other ports banned addresses connect, so that advice can name a port that is missing
from `port` of a jail.

The first half of this module is the text that nft reads; the second half asks the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from sidecar.core.active_bans import BYPASS_GRACE_S
from sidecar.core.address import Address, first_and_last
from sidecar.firewall.answers import REJECTED_S
from sidecar.firewall.backend import AddressFacts
from sidecar.firewall.edits import Edit, Put
from sidecar.firewall.elements import CUSTOMER_MASK, classify, element, host_version, key
from sidecar.firewall.errors import FirewallError
from sidecar.firewall.kernel import Kernel
from sidecar.firewall.port_groups import PortGroup
from sidecar.firewall.schema import (
    LATEST_SET,
    MISSED_SET,
    PASSED_SETS,
    REJECTED_SETS,
    SEEN_SETS,
    SUSPECT_SETS,
    WITNESS_SETS,
)

# Senders that are recorded for each IP version. Their memory in the kernel is used only under a flood.
MAX_SENDERS = 65_535

# How long a sender is remembered after its last packet.
SEEN_S = 3600

# How long a missed packet makes answers unknown, so for how long "not seen" is certain. It is more than a slow request
# and a late log line take together.
MISSED_S = 600

# Addresses that a ban waits for. They may come from forged log lines.
MAX_SUSPECTS = 65_535

# (address, port) pairs of banned addresses: few, so that they are read quickly. One address that scans all ports fills
# the set, and others are not recorded then.
MAX_PASSED_PORTS = 512
PASSED_S = 120

# NFPROTO_IPV4 and NFPROTO_IPV6, as sets of IP versions hold them.
VERSION_KEYS: Final = {4: b"\x02", 6: b"\x0a"}

# A packet's sender, as hosts and IPv6 customers (/64) are recorded.
_SOURCES: Final = {4: "ip saddr", 6: f"ip6 saddr & {CUSTOMER_MASK}"}


def sets() -> Iterator[tuple[str, str]]:
    """Yield the name of each set, and its declaration for nft."""
    for version, field in ((4, "ip saddr"), (6, "ip6 saddr")):
        yield (
            SEEN_SETS[version],
            f"typeof {field}; size {MAX_SENDERS:d}; flags dynamic, timeout; timeout {SEEN_S:d}s;",
        )
        yield SUSPECT_SETS[version], f"typeof {field}; size {MAX_SUSPECTS:d}; flags timeout;"
        yield (
            WITNESS_SETS[version],
            f"typeof {field}; size {MAX_SUSPECTS:d}; flags dynamic, timeout; timeout {SEEN_S:d}s;",
        )
        yield (
            PASSED_SETS[version],
            f"typeof {field} . th dport; size {MAX_PASSED_PORTS:d}; flags dynamic, timeout; timeout {PASSED_S:d}s;",
        )
    # There are only two elements, but what is replaced in a transaction counts twice until the transaction is done.
    for name, timeout in ((LATEST_SET, SEEN_S), (MISSED_SET, MISSED_S)):
        yield name, f"typeof meta nfproto; size 8; flags dynamic, timeout; timeout {timeout:d}s;"


def rules() -> Iterator[str]:
    """Yield the rules of the chain that records senders. It neither accepts nor drops.

    A full set refuses an element, which ends the rule before its `return`, so only then the rules below are
    reached. The verb is `update`: it costs no more than `add`, with which a regular visitor would be forgotten once
    an hour.
    """
    yield f"update @{LATEST_SET} {{ meta nfproto }}"
    for version, source in _SOURCES.items():
        yield f"update @{SEEN_SETS[version]} {{ {source} }} return"
    for version, source in _SOURCES.items():
        yield f"{source} @{SUSPECT_SETS[version]} update @{WITNESS_SETS[version]} {{ {source} }} return"
    yield f"update @{MISSED_SET} {{ meta nfproto }}"


def passed_rule(version: int, banned: str) -> str:
    """Return the rule that records to which port packets that match `banned` connect. It follows those that drop.

    Only the first packet of a connection counts: answers to connections of this host have one of its own ports.
    """
    update = f"update @{PASSED_SETS[version]} {{ {_SOURCES[version]} . th dport }}"
    return f"tcp flags & (syn | ack) == syn {banned} {update}"


class TableWatch(Protocol):
    """Knows whether another program changed the rules, so that senders may not have been recorded."""

    def is_intact(self) -> bool: ...

    def write(self, lines: Sequence[str], edits: Sequence[Edit]) -> None: ...


class PacketSightings:
    """Reads what the kernel recorded. It is called in the thread that owns the kernel, and changes but suspects."""

    def __init__(self, kernel: Kernel, table: TableWatch) -> None:
        self._kernel = kernel
        self._table = table

    def seen(self, address: Address) -> bool | None:
        """Return whether the address sent a packet lately; None: unknown. See `Firewall.seen`."""
        version = host_version(address)
        try:
            if version is None:
                return None
            if self._kernel.has(SEEN_SETS[version], key(address)):
                return True
            missed = self._kernel.has(MISSED_SET, VERSION_KEYS[version])
            if not missed and self._table.is_intact():
                return False
            if self._kernel.has(WITNESS_SETS[version], key(address)):
                return True
            self._suspect(version, address)
        except (FirewallError, OSError):
            # A kernel that does not answer is not a witness.
            return None
        return None

    def sees_packets(self) -> bool:
        """Return whether any packet came lately; True if that is unknown. See `Sightings.sees_packets`."""
        try:
            return any(self._kernel.has(LATEST_SET, version_key) for version_key in VERSION_KEYS.values())
        except (FirewallError, OSError):
            return True

    def _suspect(self, version: int, address: Address) -> None:
        """Have the next packet of this address recorded, however many others send packets."""
        if not self._kernel.has(SUSPECT_SETS[version], key(address)):
            self._table.write((), [Put(SUSPECT_SETS[version], element(address), SEEN_S, is_new=True)])

    def facts(self, address: Address, group: PortGroup, age_s: float) -> AddressFacts:
        """Return what is known about an address that this group is closed to. See `Sightings.facts`."""
        within_s = age_s + BYPASS_GRACE_S
        return AddressFacts(
            address,
            group.set_of(address),
            intact=self._table.is_intact(),
            in_set=self._is_in_set(address, group),
            sent_packets=self._sent_packets(address, within_s),
            versions_seen=frozenset(
                version
                for version, version_key in VERSION_KEYS.items()
                if self._is_recorded(LATEST_SET, version_key, SEEN_S, within_s)
            ),
            passed_ports=self._passed_ports(address, within_s),
            answer_rejected=self._answer_rejected(address, within_s),
        )

    def _sent_packets(self, address: Address, within_s: float) -> bool | None:
        """Return whether a packet of the address came within this many seconds; None: unknown.

        Unlike for `seen`, a packet that was missed earlier than that does not matter: the address is banned for longer
        than a response is under way.
        """
        if (version := host_version(address)) is None:
            return None
        if self._is_recorded(SEEN_SETS[version], key(address), SEEN_S, within_s):
            return True
        missed = self._is_recorded(MISSED_SET, VERSION_KEYS[version], MISSED_S, within_s)
        return None if missed else False

    def _answer_rejected(self, address: Address, within_s: float) -> bool:
        """Return whether an answer to the address was rejected within this many seconds."""
        version = host_version(address)
        if version is None:
            return False
        return self._is_recorded(REJECTED_SETS[version], key(address), REJECTED_S, within_s)

    def _is_recorded(self, name: str, element_key: bytes, timeout_s: float, within_s: float) -> bool:
        """Return whether this key was put into a set with this timeout within this many seconds."""
        left_s = self._kernel.left(name, element_key)
        return left_s is not None and timeout_s - left_s <= within_s

    def _passed_ports(self, address: Address, within_s: float) -> frozenset[int]:
        """Return the ports that no ban closes and that the address connected to within this many seconds."""
        if (version := host_version(address)) is None:
            return frozenset()
        prefix = key(address)
        return frozenset(
            int.from_bytes(pair[len(prefix) : len(prefix) + 2], "big")
            for pair, left_s in self._kernel.elements(PASSED_SETS[version]).items()
            if pair.startswith(prefix) and PASSED_S - left_s <= within_s
        )

    def _is_in_set(self, address: Address, group: PortGroup) -> bool:
        """Return whether the kernel has the address in its set, or in a network of the same group."""
        version, is_host = classify(address)
        if is_host and self._kernel.has(group.host_sets[version], key(address)):
            return True
        _, low, high = first_and_last(address)
        networks = self._kernel.intervals(group.network_sets[version])
        return any(low >= first and high <= last for first, last in networks)
