"""What is to change -> the text that nft reads. Pure: nothing here runs anything.

Text and not libnftables' JSON: the sets have to be declared `typeof ip saddr` (a set made with `type
ipv4_addr` by nft 1.1 makes Debian 12's own nft 1.0.6 crash), the JSON of 1.0.6 has no word for that, and
structure and bans have to travel in one transaction. So the rule for this file: whatever is not a constant
is made from a number, never from a string.
"""

from __future__ import annotations

import math
import socket
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_network, summarize_address_range
from typing import NamedTuple

from sidecar.core.address import (
    IPV6_CUSTOMER_PREFIX,
    WIDEST_BAN_PREFIX,
    Address,
    first_and_last,
    from_network,
    ip_version,
    parse_canonical,
)
from sidecar.core.jail import WEB
from sidecar.core.ranges import flatten
from sidecar.firewall import sighting_sets

TABLE = "wp_sidecar"
SCHEMA = "wp-sidecar schema 3"  # the table's comment; another number: the structure is another one
LEGIBLE = {f"wp-sidecar schema {n:d}" for n in (1, 2, 3)}  # those whose bans and ports are where ours are
CHAIN = "prerouting"
COUNTERS = {4: "dropped4", 6: "dropped6"}
ALLOW = {4: "allow4", 6: "allow6"}

CHUNK = 1_000  # elements in one transaction: 3 ms, and as many as one message holds
LONGEST = 36_500 * 86_400  # seconds; a hundred years are for good
SLACK = 2.0  # seconds by which a timeout may be shorter than what is wanted
LATE = 5.0  # and longer: ours are whole seconds, rounded up, and 100,000 take one or two to write
PORTS_SHOWN = 40  # characters of a set's name; the kernel takes 255 at most

_MASK6 = "ffff:ffff:ffff:ffff::"  # the customer's /64 of a packet's source
_LOW6 = bytes(16 - IPV6_CUSTOMER_PREFIX // 8)


@dataclass(frozen=True)
class Gate:
    """The ports that some jails close, and the sets of those who find them closed."""

    ports: frozenset[int] | None  # None: all

    @cached_property
    def suffix(self) -> str:
        if self.ports is None:
            return "_all"
        if self.ports == WEB:
            return ""
        shown = "_" + "_".join(f"{port:d}" for port in sorted(self.ports))
        return shown if len(shown) <= PORTS_SHOWN else f"_x{zlib.crc32(shown.encode()):08x}"

    @cached_property
    def _hosts(self) -> dict[int, str]:
        return {version: f"ban{version:d}{self.suffix}" for version in (4, 6)}

    def hosts(self, version: int) -> str:
        """The set of IPv4 hosts or IPv6 customers (/64)."""
        return self._hosts[version]

    def nets(self, version: int) -> str:
        """The set of wider networks."""
        return f"net{version:d}{self.suffix}"

    @property
    def open_to(self) -> str:
        """The set of the ports."""
        return f"ports{self.suffix}"


class Put(NamedTuple):
    """Someone in, or in for another time."""

    set: str
    element: str
    left: float  # seconds; `math.inf`: for good
    fresh: bool = True  # False: may be there already, with another timeout


class Take(NamedTuple):
    """Someone out; being out already is fine."""

    set: str
    element: str


def seat(address: Address, gate: Gate) -> str:
    """The set that a Who belongs in.

    The last border before the kernel. nft would look up a name; what passes is what a number is written as.
    Raises ValueError for what `core.address` does not make.
    """
    text, _, prefix = address.partition("/")
    try:
        at = packed(text)
        if host(at) == text:
            if len(at) == 4 and not prefix:
                return gate.hosts(4)
            if prefix == "64" and at.endswith(_LOW6):
                return gate.hosts(6)
            if parse_canonical(address):
                return gate.nets(ip_version(address))
    except (OSError, ValueError):
        pass
    raise ValueError(
        f"{address!r} cannot be banned: it is no IPv4 host, no IPv6 /64 and no network of allowed width"
    )


def element(address: Address) -> str:
    """A host as nft writes it, once it has a seat."""
    return address.removesuffix("/64")


def key(address: Address) -> bytes:
    """A host's key in its set. Raises OSError for what is no address."""
    return packed(address.partition("/")[0])


def packed(text: str) -> bytes:
    """An address without a prefix as the kernel has it. Raises OSError for what is none."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def host(at: bytes) -> str:
    """A hash set's key as nft writes it."""
    return socket.inet_ntop(socket.AF_INET if len(at) == 4 else socket.AF_INET6, at)


def spread(version: int, low: int, high: int) -> str:
    """An interval as nft writes it."""
    kind = IPv4Address if version == 4 else IPv6Address
    return f"{kind(low)}-{kind(high)}" if low != high else str(kind(low))


def allowed(version: int, networks: Iterable[str]) -> list[tuple[int, int]]:
    """Never-ban networks of one IP version -> disjoint (low, high), as an auto-merge set holds them."""
    nets = [net for net in map(ip_network, networks) if net.version == version]
    flat = flatten((int(net.network_address), int(net.broadcast_address), 0) for net in nets)
    return [(low, high) for low, high, _ in flat]


def structure(doors: Collection[Gate], allow: Iterable[str], published: frozenset[int]) -> list[str]:
    """The table without its bans. Over one that is there it changes no ban and has no open moment."""
    lines = [f'add table inet {TABLE} {{ comment "{SCHEMA}"; }}']
    lines += [f"add counter inet {TABLE} {name}" for name in COUNTERS.values()]
    lines += [_set(ALLOW[version], version, "flags interval; auto-merge;") for version in (4, 6)]
    for gate in doors:
        if gate.ports is not None:
            lines.append(f"add set inet {TABLE} {gate.open_to} {{ typeof th dport; }}")
        for version in (4, 6):
            # no size: how many there may be is the guard's to say, and a full set refuses whole transactions
            lines.append(_set(gate.hosts(version), version, "flags timeout;"))
            lines.append(_set(gate.nets(version), version, "flags interval, timeout;"))
    lines += [f"add set inet {TABLE} {name} {{ {made} }}" for name, made in sighting_sets.sets()]
    # Before connection tracking (-200) and Docker's address translation (-100): the port is still the
    # published one, open connections are cut, and a flood from the banned makes no conntrack entries.
    lines.append(
        f"add chain inet {TABLE} {CHAIN} {{ type filter hook prerouting priority -310; policy accept; }}"
    )
    lines.append(f"add chain inet {TABLE} {sighting_sets.CHAIN}")
    for chain, there in ((CHAIN, rules(doors)), (sighting_sets.CHAIN, sighting_sets.rules())):
        lines.append(f"flush chain inet {TABLE} {chain}")
        lines += [f"add rule inet {TABLE} {chain} {rule}" for rule in there]
    return lines + surroundings(doors, allow, published)


def rules(doors: Collection[Gate]) -> Iterator[str]:
    """The chain, rule by rule.

    Only tcp and udp are dropped, even at the gate for all ports: nothing else has ports, and without ICMP the
    host's own neighbour discovery and path MTU discovery break.
    """
    yield "iif lo accept"
    widest = [gate for gate in doors if gate.ports is None] or doors
    for gate in widest:  # before those who may pass: where only a CDN's nodes come by, packets do come by
        yield f"{_to(gate)} jump {sighting_sets.CHAIN}"
    yield f"ip saddr @{ALLOW[4]} accept"
    yield f"ip6 saddr @{ALLOW[6]} accept"
    for gate in doors:
        for version, banned in _banned(gate):
            yield f"{_to(gate)} {banned} counter name {COUNTERS[version]} drop"
    for gate in doors:
        if gate.ports is not None:
            for version, banned in _banned(gate):
                yield sighting_sets.passing(version, banned)


def unsure() -> list[str]:
    """Until now packets may have come that nobody noted."""
    families = ["ipv4", "ipv6"]  # twice in: those that are there begin anew
    name = sighting_sets.MISSED
    return [*_add(name, families), *_delete(name, families), *_add(name, families)]


def surroundings(doors: Collection[Gate], allow: Iterable[str], published: frozenset[int]) -> list[str]:
    """Who may pass whatever happens, and which ports the gates close."""
    texts = tuple(allow)
    lines = []
    for version, name in ALLOW.items():
        lines.append(f"flush set inet {TABLE} {name}")
        lines += _add(name, [spread(version, low, high) for low, high in allowed(version, texts)])
    for gate in doors:
        if gate.ports is not None:
            lines.append(f"flush set inet {TABLE} {gate.open_to}")
            lines += _add(gate.open_to, [f"{port:d}" for port in sorted(gate.ports | published)])
    return lines


def walled_up(doors: Collection[Gate]) -> list[str]:
    """The sets of gates that no rule is about any more, gone."""
    sets = [name for gate in doors for v in (4, 6) for name in (gate.hosts(v), gate.nets(v))]
    sets += [gate.open_to for gate in doors if gate.ports is not None]
    return [f"delete set inet {TABLE} {name}" for name in sets]


def bans(edits: Iterable[Put | Take]) -> list[str]:
    """Elements in and out. Each set is named three times at most, however many elements change."""
    clear: dict[str, list[str]] = {}
    put: dict[str, list[str]] = {}
    for edit in edits:
        if isinstance(edit, Take) or not edit.fresh:
            clear.setdefault(edit.set, []).append(edit.element)
        if isinstance(edit, Put):
            put.setdefault(edit.set, []).append(edit.element + lasting(edit.left))
    lines = []
    for name, elements in clear.items():
        # `delete` alone is refused where there is none; before Linux 6.12 `add` keeps an old timeout
        lines += [*_add(name, elements), *_delete(name, elements)]
    for name, elements in put.items():
        lines += _add(name, elements)
    return lines


def without(names: Iterable[str]) -> list[str]:
    """These sets gone with all who are in them; the structure, in the same transaction, makes them anew.

    2 ms, however many they are. To take out 100,000 one by one takes 0.4 s, and to flush a set that grew 2 s.
    """
    return [
        f"flush chain inet {TABLE} {CHAIN}",
        *(f"delete set inet {TABLE} {name}" for name in sorted(names)),
    ]


def networks(name: str, version: int, nets: Mapping[Address, float], now: float) -> list[str]:
    """A set of wider networks, written anew: they are few, and pieces change with their neighbours."""
    elements = [spread(version, low, high) + lasting(left) for (low, high), left in pieces(nets, now).items()]
    return [f"flush set inet {TABLE} {name}", *_add(name, elements)]


def pieces(nets: Mapping[Address, float], now: float) -> dict[tuple[int, int], float]:
    """Networks that may lie in each other -> disjoint (low, high), with the seconds left of the longest ban.

    An interval set refuses overlaps, and one refusal is the whole transaction's.
    """
    spans = []
    for address, until in nets.items():
        _, low, high = first_and_last(address)
        if until > now:
            spans.append((low, high, now - until))
    return {(low, high): -negative for low, high, negative in flatten(spans)}


def removal() -> list[str]:
    """The table gone, whether it is there or not (`destroy` is too new for nft 1.0.6)."""
    return [f"add table inet {TABLE}", f"delete table inet {TABLE}"]


def amend(
    name: str, wanted: Mapping[Address, float], there: Mapping[bytes, float], now: float
) -> list[Put | Take]:
    """What turns a hash set as the kernel has it (key -> seconds left) into the wanted one (who -> until)."""
    strangers = dict(there)
    edits: list[Put | Take] = []
    for address, until in wanted.items():
        at, left = key(address), until - now
        found = strangers.pop(at, None)
        if left > SLACK and not alike(found, left):
            edits.append(Put(name, element(address), left, fresh=found is None))
    return edits + [Take(name, host(at)) for at in strangers]


def alike(found: float | None, left: float) -> bool:
    """Whether a timeout in the kernel is the one that is wanted, as near as whole seconds are."""
    return found is not None and (
        found == left or -SLACK <= found - left <= LATE or min(found, left) > LONGEST
    )


def customers(there: Mapping[bytes, float]) -> Iterator[tuple[Address, float]]:
    """A hash set as the kernel has it -> who, and the seconds they have left. `seat` the other way around."""
    for at, left in there.items():
        if len(at) == 4:
            yield Address(host(at)), left
        elif at.endswith(_LOW6):
            yield Address(f"{host(at)}/{IPV6_CUSTOMER_PREFIX:d}"), left


def ranges(version: int, there: Mapping[tuple[int, int], float]) -> Iterator[tuple[Address, float]]:
    """A set of wider networks as the kernel has it -> networks of allowed width, and the seconds they have left."""
    kind = IPv4Address if version == 4 else IPv6Address
    for (low, high), left in there.items():
        for net in summarize_address_range(kind(low), kind(high)):
            for piece in net.subnets(new_prefix=max(net.prefixlen, WIDEST_BAN_PREFIX[version])):
                yield from_network(piece), left


def chunks(edits: Sequence[Put | Take], size: int = CHUNK) -> list[Sequence[Put | Take]]:
    """Slices for one transaction each."""
    return [edits[at : at + size] for at in range(0, len(edits), size)]


def lasting(left: float) -> str:
    """An element's timeout as nft writes it; it reads eight digits per unit at most."""
    if (whole := seconds(left)) is None:
        return ""
    days, rest = divmod(whole, 86_400)
    return f" timeout {days:d}d{rest:d}s"


def seconds(left: float) -> int | None:
    """An element's timeout: never shorter than promised; None: for good."""
    return None if left > LONGEST else max(1, math.ceil(left))


def _banned(gate: Gate) -> Iterator[tuple[int, str]]:
    """IP version, and what finds the packets of those whom a gate keeps out."""
    for version, saddr, masked in (
        (4, "ip saddr", "ip saddr"),
        (6, "ip6 saddr", f"ip6 saddr & {_MASK6}"),
    ):
        yield version, f"{masked} @{gate.hosts(version)}"
        yield version, f"{saddr} @{gate.nets(version)}"


def _to(gate: Gate) -> str:
    """Packets to the ports that a gate closes."""
    return "meta l4proto { tcp, udp }" + (f" th dport @{gate.open_to}" if gate.ports is not None else "")


def _set(name: str, version: int, flags: str) -> str:
    field = "ip saddr" if version == 4 else "ip6 saddr"
    return f"add set inet {TABLE} {name} {{ typeof {field}; {flags} }}"


def _add(name: str, elements: Collection[str]) -> list[str]:
    return [f"add element inet {TABLE} {name} {{ {', '.join(elements)} }}"] if elements else []


def _delete(name: str, elements: Collection[str]) -> list[str]:
    return [f"delete element inet {TABLE} {name} {{ {', '.join(elements)} }}"] if elements else []
