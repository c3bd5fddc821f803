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
# NFTNL_UDATA_TABLE_COMMENT
_COMMENT = 0
# NFT_SET_ANONYMOUS, such as `{ tcp, udp }` in a rule; NFT_SET_ELEM_INTERVAL_END.
_ANONYMOUS = 1
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
        element = attribute(NESTED | 1, attribute(NESTED | 1, attribute(1, key)))
        answers = self._netlink.ask(_ELEMENTS, _OURS, (2, name), (NESTED | 3, element), one=True)
        return next((left_s for answer in answers for _, left_s, _ in _elements(answer[3])), None)

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


def _elements_with_timeout(block: bytes) -> Iterator[tuple[bytes, float]]:
    """Yield key and seconds left if each element has a key, a timeout and what is left of it, and nothing else.

    A fifth of the time of `_elements`. Raises ValueError for other elements; some may have been yielded already.
    """
    width = ATTRIBUTE.unpack_from(block, 8)[0] - ATTRIBUTE.size
    layout = struct.Struct(f">12s{width:d}s4s8s4sQ")
    if len(block) % layout.size:
        raise ValueError
    heads = ((layout.size, NESTED | 1), (width + 8, NESTED | 1), (width + 4, 1))
    expected = b"".join(ATTRIBUTE.pack(*head) for head in heads)
    for start, key, timeout, _, expiration, left_ms in layout.iter_unpack(block):
        if (start, timeout, expiration) != (expected, _TIMEOUT, _EXPIRATION):
            raise ValueError
        yield key, left_ms / 1000


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
