"""How much was dropped of each address: counted by the kernel, read when somebody asks.

    packet of a banned address ─▶ chain `dropping`: update @drops4 { ip saddr counter } ─▶ dropped

The counts are in sets of their own and not in the sets of bans. A counter there would count each look at the set, also
for packets to ports that the ban leaves open, and would make each ban dearer. Here a packet is counted where it is
dropped, and a ban that nobody sends packets to costs nothing.

An element ends a week after the last packet, so it says when that was, and goes on over the bans of a week. A full set
counts no further addresses; that it was full is counted (`uncounted4`), and then it is unknown what others sent.

The first half of this module is the text that nft reads; the second half asks the kernel.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Final

from sidecar.core.address import Address, ip_version
from sidecar.firewall.backend import AddressDrops
from sidecar.firewall.elements import CUSTOMER_MASK, host_version, interval_of, key
from sidecar.firewall.kernel import ElementCount, Kernel
from sidecar.firewall.schema import DROP_COUNTERS, DROP_SETS, UNCOUNTED

# Of each IP version. The kernel makes room for this many at once: 0.9 MB for both, and 4 MB for four times as many. An
# element takes some 120 bytes, and there is one only of those that send packets.
MAX_COUNTED: Final = 16_383
COUNTED_S: Final = 7 * 86_400

NOTHING: Final = AddressDrops(0, 0, None)

_SOURCES: Final = {4: "ip saddr", 6: f"ip6 saddr & {CUSTOMER_MASK}"}
_VERSIONS: Final = {4: "ipv4", 6: "ipv6"}


def sets() -> Iterator[tuple[str, str]]:
    """Yield the name of each set, and its declaration for nft."""
    for version, field in ((4, "ip saddr"), (6, "ip6 saddr")):
        yield (
            DROP_SETS[version],
            f"typeof {field}; size {MAX_COUNTED:d}; flags dynamic, timeout; timeout {COUNTED_S:d}s;",
        )


def rules() -> Iterator[str]:
    """Yield the rules of the chain that drops. Every packet that enters it is dropped.

    A full set refuses an element, which ends the rule before its `drop`, so only then the rules below are reached.
    """
    for version, source in _SOURCES.items():
        drop = f"counter name {DROP_COUNTERS[version]} drop"
        yield f"update @{DROP_SETS[version]} {{ {source} counter }} {drop}"
    for version, name in UNCOUNTED.items():
        drop = f"counter name {DROP_COUNTERS[version]} drop"
        yield f"meta nfproto {_VERSIONS[version]} counter name {name} {drop}"


class DropsByAddress:
    """Reads what was counted for addresses and networks. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kernel = Kernel()

    def read(self, addresses: Iterable[Address], now: float) -> dict[Address, AddressDrops]:
        """Return what was dropped of these addresses; where it is unknown, they are absent. Raises FirewallError.

        A host is one short question. For networks, however many, all counts are read once.
        """
        found: dict[Address, AddressDrops] = {}
        hosts = {address: version for address in addresses if (version := host_version(address))}
        networks = [address for address in addresses if address not in hosts]
        with self._lock:
            missed = {version for version, name in UNCOUNTED.items() if self._kernel.packets(name) != 0}
            for address, version in hosts.items():
                if count := self._kernel.count(DROP_SETS[version], key(address)):
                    found[address] = _drops(count, now)
                elif version not in missed:
                    found[address] = NOTHING
            for version, name in DROP_SETS.items():
                if wanted := [address for address in networks if ip_version(address) == version]:
                    sums = _sums(wanted, self._kernel.counts(name), now)
                    found |= {
                        address: drops
                        for address, drops in sums.items()
                        if drops.packets or version not in missed
                    }
        return found

    def close(self) -> None:
        """Release the connection to the kernel."""
        with self._lock:
            self._kernel.close()


def _drops(count: ElementCount, now: float) -> AddressDrops:
    return AddressDrops(count.packets, count.bytes, now - (COUNTED_S - count.left_s))


def _sums(
    networks: Iterable[Address], counts: Iterable[tuple[bytes, ElementCount]], now: float
) -> dict[Address, AddressDrops]:
    """Return the sums of what was counted for hosts in these networks, which may lie within each other."""
    wanted = {interval_of(address): address for address in networks}
    sums = dict.fromkeys(wanted.values(), NOTHING)
    sizes = {high - low + 1 for low, high in wanted}
    for element, count in counts:
        host = int.from_bytes(element, "big")
        for size in sizes:
            low = host & -size
            if address := wanted.get((low, low + size - 1)):
                sums[address] = _added(sums[address], _drops(count, now))
    return sums


def _added(one: AddressDrops, other: AddressDrops) -> AddressDrops:
    return AddressDrops(
        one.packets + other.packets, one.bytes + other.bytes, max(one.last or 0.0, other.last or 0.0)
    )
