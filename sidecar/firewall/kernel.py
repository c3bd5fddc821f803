"""Reads our table from the kernel.

libnftables can list a table, but it builds all of it in memory for each answer: over a second and hundreds of megabytes
for 100,000 elements, and its version 1.0.6 does so even for one counter. Reading takes seven kinds of message, so they
are here. The numbers are from linux/netfilter/nf_tables.h, the kernel's promise to programs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sidecar.firewall.netlink import ATTRIBUTE, NESTED, Attributes, Netlink, attribute, attributes
from sidecar.firewall.schema import TABLE

# NFT_MSG_GETTABLE, …GETCHAIN, …GETRULE, …GETSET, …GETSETELEM, …GETGEN, …GETOBJ
_TABLE, _CHAIN, _RULE, _SET, _ELEMENTS, _GENERATION, _OBJECT = 1, 4, 7, 10, 13, 16, 19
# In every message, attribute 1 is the table.
_OURS = (1, TABLE)
# The heads of NFTA_SET_ELEM_TIMEOUT and NFTA_SET_ELEM_EXPIRATION, which are followed by eight bytes.
_TIMEOUT = ATTRIBUTE.pack(12, 4)
_EXPIRATION = ATTRIBUTE.pack(12, 5)
# Not every kernel says that an attribute holds attributes.
_NESTED_OR_NOT = (0, NESTED)
# The heads of NFTA_SET_ELEM_EXPR, NFTA_EXPR_NAME with its value, NFTA_EXPR_DATA and NFTA_COUNTER_BYTES, each within the
# one before; and that of NFTA_COUNTER_PACKETS.
_PACKETS = ATTRIBUTE.pack(12, 2)
_COUNTED = tuple(
    ATTRIBUTE.pack(44, flag | 7)
    + attribute(1, "counter")
    + ATTRIBUTE.pack(28, flag | 2)
    + ATTRIBUTE.pack(12, 1)
    for flag in _NESTED_OR_NOT
)
# NFTNL_UDATA_TABLE_COMMENT
_COMMENT = 0
# NFT_SET_ANONYMOUS, such as `{ tcp, udp }` in a rule; NFT_SET_ELEM_INTERVAL_END.
_ANONYMOUS = 1
# NFT_OBJECT_COUNTER
_COUNTER = b"\0\0\0\1"
_INTERVAL_END = 1
_U32, _U64 = struct.Struct(">I"), struct.Struct(">Q")


class Shape(NamedTuple):
    """What our table consists of, by the kernel's handles. Each handle is given once, so equal means untouched."""

    # The table's comment.
    schema: str
    # A dormant table drops nothing.
    is_active: bool
    # The handle of the table, of each rule, and by name of the others.
    table: int
    rules: tuple[int, ...]
    # Handle and policy.
    chains: dict[str, tuple[int, bytes]]
    sets: dict[str, int]
    counters: dict[str, int]

    @property
    def names(self) -> tuple[set[str], set[str], set[str]]:
        """The names of chains, sets and counters."""
        return set(self.chains), set(self.sets), set(self.counters)


class ElementCount(NamedTuple):
    """What the counter of an element says, and for how many more seconds the element is there."""

    packets: int
    bytes: int
    left_s: float


class Kernel:
    """Our table as the kernel has it, for one thread. Every method raises NoPermission and FirewallError."""

    def __init__(self) -> None:
        self._netlink = Netlink()

    def close(self) -> None:
        """Release the connection; the next call opens another."""
        self._netlink.close()

    def commit(self, changes: Sequence[bytes], generation: int | None = None) -> bool:
        """Carry out changes as one transaction. See `Netlink.commit`."""
        return self._netlink.commit(changes, generation)

    def generation(self) -> int:
        """Return how many transactions the kernel has carried out for all programs, modulo 2**32."""
        return int(_U32.unpack(self._netlink.ask(_GENERATION, one=True)[0][1])[0])

    def shape(self) -> Shape | None:
        """Return what our table consists of; None: there is no such table."""
        if (table := self._table()) is None:
            return None
        chains = {_text(found[3]): (_handle(found[2]), found.get(5, b"")) for found in self._ours(_CHAIN)}
        rules = tuple(_handle(found[3]) for found in self._ours(_RULE))
        sets = {_text(found[2]): _handle(found[16]) for found in self._ours(_SET) if not _is_anonymous(found)}
        counters = {_text(found[2]): _handle(found[6]) for found in self._ours(_OBJECT)}
        comment = _comment(table.get(6, b""))
        return Shape(comment, not any(table[2]), _handle(table[4]), rules, chains, sets, counters)

    def elements(self, name: str) -> dict[bytes, float]:
        """Return a hash set's keys with the seconds left (`math.inf`: it never ends); nothing if there is no set.

        A set that has grown is resized by the kernel. Meanwhile some elements are reported twice and others not at all.
        """
        found: dict[bytes, float] = {}
        for block in self._blocks(name):
            try:
                found.update(_elements_with_timeout(block))
            except ValueError:
                found.update((key, left_s) for key, left_s, _ in _elements(block))
        return found

    def has(self, name: str, key: bytes) -> bool:
        """Return whether this key is in a hash set."""
        return self.left(name, key) is not None

    def left(self, name: str, key: bytes) -> float | None:
        """Return for how many more seconds this key is in a hash set (`math.inf`: for ever); None: it is not."""
        return next((left_s for block in self._one(name, key) for _, left_s, _ in _elements(block)), None)

    def count(self, name: str, key: bytes) -> ElementCount | None:
        """Return the count of one element of a hash set; None: it is not there."""
        return next((count for block in self._one(name, key) for _, count in _counts(block)), None)

    def counts(self, name: str) -> Iterator[tuple[bytes, ElementCount]]:
        """Yield the keys of a hash set, and the count of each."""
        for block in self._blocks(name):
            try:
                yield from list(_counts_with_expiration(block))
            except ValueError:
                yield from _counts(block)

    def packets(self, name: str) -> int:
        """Return what one counter of the table counted; 0: there is no such counter."""
        found = self._netlink.ask(_OBJECT, _OURS, (2, name), (3, _COUNTER), one=True)
        return next((_U64.unpack(attributes(counter[4])[2])[0] for counter in found), 0)

    def intervals(self, name: str) -> dict[tuple[int, int], float]:
        """Return an interval set's (first, last) addresses with the seconds left.

        The kernel stores where each interval begins, and marks where one ends without another beginning.
        """
        found: dict[tuple[int, int], float] = {}
        begun: tuple[int, float] | None = None
        width = 0
        elements = [element for block in self._blocks(name) for element in _elements(block)]
        for key, left_s, is_end in sorted(elements, key=lambda element: (element[0], not element[2])):
            here, width = int.from_bytes(key, "big"), len(key)
            if begun is not None:
                found[begun[0], here - 1] = begun[1]
            begun = None if is_end else (here, left_s)
        if begun is not None:
            found[begun[0], (1 << 8 * width) - 1] = begun[1]
        return found

    def counters(self) -> tuple[int, dict[str, tuple[int, int]]]:
        """Return the table's handle (0: no table), and each counter's packets and bytes since the table was made."""
        table = self._table()
        counts = {}
        for counter in self._ours(_OBJECT):
            data = attributes(counter[4])
            counts[_text(counter[2])] = (_U64.unpack(data[2])[0], _U64.unpack(data[1])[0])
        return _handle(table[4]) if table else 0, counts

    def _table(self) -> Attributes | None:
        return next(iter(self._ours(_TABLE)), None)

    def _ours(self, kind: int) -> Iterator[Attributes]:
        """Yield the objects of our table. The kernel reports all tables, and old ones do not filter other kinds."""
        return (found for found in self._netlink.ask(kind, _OURS) if _text(found[1]) == TABLE)

    def _one(self, name: str, key: bytes) -> Iterator[bytes]:
        """Yield the element with this key, if it is in the set."""
        element = attribute(NESTED | 1, attribute(NESTED | 1, attribute(1, key)))
        answers = self._netlink.ask(_ELEMENTS, _OURS, (2, name), (NESTED | 3, element), one=True)
        return (answer[3] for answer in answers)

    def _blocks(self, name: str) -> Iterator[bytes]:
        """Yield a set's elements, some hundreds in a block."""
        return (found[3] for found in self._netlink.ask(_ELEMENTS, _OURS, (2, name)) if found.get(3))


def _elements(block: bytes) -> Iterator[tuple[bytes, float, bool]]:
    """Yield each element's key, the seconds left, and whether it is the end of an interval."""
    at = 0
    while at < len(block):
        length = ATTRIBUTE.unpack_from(block, at)[0]
        element = attributes(block[at + 4 : at + length])
        yield _key(element[1]), _left(element), 3 in element and bool(element[3][3] & _INTERVAL_END)
        at += length + 3 & ~3


def _counts(block: bytes) -> Iterator[tuple[bytes, ElementCount]]:
    """Yield each element's key and count."""
    at = 0
    while at < len(block):
        length = ATTRIBUTE.unpack_from(block, at)[0]
        element = attributes(block[at + 4 : at + length])
        # NFTA_SET_ELEM_EXPR holds NFTA_EXPR_DATA holds bytes and packets.
        if expression := element.get(7):
            data = attributes(attributes(expression)[2])
            count = ElementCount(_U64.unpack(data[2])[0], _U64.unpack(data[1])[0], _left(element))
            yield _key(element[1]), count
        at += length + 3 & ~3


def _counts_with_expiration(block: bytes) -> Iterator[tuple[bytes, ElementCount]]:
    """Yield keys and counts if each element has a key, a counter and what is left of it, and nothing else.

    A fifth of the time of `_counts`. Raises ValueError for other elements.
    """
    width = ATTRIBUTE.unpack_from(block, 8)[0] - ATTRIBUTE.size
    layout = struct.Struct(f">12s{width:d}s24sQ4sQ4sQ")
    if len(block) % layout.size:
        raise ValueError
    expected = _starts(layout.size, width)
    for start, key, counter, octets, packets_head, packets, expiration, left_ms in layout.iter_unpack(block):
        if start not in expected or counter not in _COUNTED:
            raise ValueError
        if packets_head != _PACKETS or expiration != _EXPIRATION:
            raise ValueError
        yield key, ElementCount(packets, octets, left_ms / 1000)


def _elements_with_timeout(block: bytes) -> Iterator[tuple[bytes, float]]:
    """Yield key and seconds left if each element has a key, a timeout and what is left of it, and nothing else.

    A fifth of the time of `_elements`. Raises ValueError for other elements; some may have been yielded already.
    """
    width = ATTRIBUTE.unpack_from(block, 8)[0] - ATTRIBUTE.size
    layout = struct.Struct(f">12s{width:d}s4s8s4sQ")
    if len(block) % layout.size:
        raise ValueError
    expected = _starts(layout.size, width)
    for start, key, timeout, _, expiration, left_ms in layout.iter_unpack(block):
        if start not in expected or (timeout, expiration) != (_TIMEOUT, _EXPIRATION):
            raise ValueError
        yield key, left_ms / 1000


def _starts(size: int, width: int) -> tuple[bytes, ...]:
    """Return how an element of this size with a key of this width may begin: its own head, and two of the key."""
    return tuple(
        ATTRIBUTE.pack(size, flag | 1) + ATTRIBUTE.pack(width + 8, flag | 1) + ATTRIBUTE.pack(width + 4, 1)
        for flag in _NESTED_OR_NOT
    )


def _key(data: bytes) -> bytes:
    """Return the key: NFTA_SET_ELEM_KEY holds NFTA_DATA_VALUE holds the key. A port is padded."""
    return data[4 : ATTRIBUTE.unpack_from(data)[0]]


def _left(element: Attributes) -> float:
    return float(_U64.unpack(element[5])[0] / 1000) if 5 in element else math.inf


def _is_anonymous(found: Attributes) -> bool:
    return bool(found.get(3, bytes(4))[3] & _ANONYMOUS)


def _comment(data: bytes) -> str:
    """Return a table's comment from its user data: entries with one byte of kind, one of length, and the value.

    nft 1.0.6 writes a comment alone; 1.1.7 adds its own version and build.
    """
    while len(data) > 1:
        kind, length = data[:2]
        if kind == _COMMENT:
            return _text(data[2 : 2 + length])
        data = data[2 + length :]
    return ""


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def _handle(value: bytes) -> int:
    return int(_U64.unpack(value)[0])
