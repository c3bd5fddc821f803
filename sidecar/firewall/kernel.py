"""What the kernel has of our table; and bans, in and out of it.

libnftables can list, but it builds the whole table in memory for each answer: at 100,000 elements over a second
and hundreds of megabytes, and version 1.0.6 does so even for a counter. Reading is seven kinds of message, so it is
here. The numbers are from linux/netfilter/nf_tables.h, the kernel's promise to programs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

from sidecar.firewall.netlink import ATTRIBUTE, NESTED, Attributes, Netlink, attribute, attributes
from sidecar.firewall.ruleset import TABLE

_TABLE, _CHAIN, _RULE, _SET, _ELEMENTS, _GENERATION, _OBJECT = 1, 4, 7, 10, 13, 16, 19  # NFT_MSG_GET…
_OURS = (1, TABLE)  # in every message, attribute 1 is the table
_TIMEOUT, _EXPIRATION = (
    ATTRIBUTE.pack(12, 4),
    ATTRIBUTE.pack(12, 5),
)  # the heads of what is told in eight bytes
_U32, _U64 = struct.Struct(">I"), struct.Struct(">Q")


class Shape(NamedTuple):
    """What there is in our table, by the kernel's handles: each is given once, so equal means untouched."""

    schema: str  # the table's comment
    awake: bool  # a dormant table drops nothing
    table: int
    chains: dict[str, tuple[int, bytes]]  # name -> handle, policy
    rules: tuple[int, ...]
    sets: dict[str, int]
    counters: dict[str, int]

    @property
    def names(self) -> tuple[set[str], set[str], set[str]]:
        """Chains, sets, counters."""
        return set(self.chains), set(self.sets), set(self.counters)


class Kernel:
    """Our table, as it is. For one thread. Every method raises NoPermission and FirewallError."""

    def __init__(self) -> None:
        self._netlink = Netlink()
        self.close = self._netlink.close
        self.commit = self._netlink.commit

    def generation(self) -> int:
        """How many transactions the kernel has taken, whoever's: the same number means that nothing changed."""
        return int(_U32.unpack(self._netlink.ask(_GENERATION, one=True)[0][1])[0])

    def shape(self) -> Shape | None:
        """What there is of our table; None: nothing."""
        if (table := self._table()) is None:
            return None
        chains = {_text(a[3]): (_handle(a[2]), a.get(5, b"")) for a in self._ours(_CHAIN)}
        rules = tuple(_handle(a[3]) for a in self._ours(_RULE))
        sets = {_text(a[2]): _handle(a[16]) for a in self._ours(_SET) if not _anonymous(a)}
        counters = {_text(a[2]): _handle(a[6]) for a in self._ours(_OBJECT)}
        comment = _comment(table.get(6, b""))
        return Shape(comment, not any(table[2]), _handle(table[4]), chains, rules, sets, counters)

    def elements(self, name: str) -> dict[bytes, float]:
        """A hash set's keys -> seconds left (`math.inf`: for good). 100,000 take 0.2 s.

        While the kernel makes a set that grew larger, for a moment, some are told twice and others not at all.
        """
        found: dict[bytes, float] = {}
        for block in self._blocks(name):
            try:
                found.update(_timed(block))
            except ValueError:
                found.update((key, left) for key, left, _ in _elements(block))
        return found

    def has(self, name: str, key: bytes) -> bool:
        """Whether this key is in a hash set; no where there is no such set, either. One message, 0.03 ms."""
        return self.left(name, key) is not None

    def left(self, name: str, key: bytes) -> float | None:
        """For how many seconds more this key is in a hash set (`math.inf`: for good); None: it is not."""
        element = attribute(NESTED | 1, attribute(NESTED | 1, attribute(1, key)))
        answers = self._netlink.ask(_ELEMENTS, _OURS, (2, name), (NESTED | 3, element), one=True)
        return next((left for answer in answers for _, left, _ in _elements(answer[3])), None)

    def intervals(self, name: str) -> dict[tuple[int, int], float]:
        """An interval set's (low, high) -> seconds left.

        The kernel keeps where each begins, and marks where one ends without another beginning.
        """
        found: dict[tuple[int, int], float] = {}
        begun: tuple[int, float] | None = None
        width = 0
        told = [element for block in self._blocks(name) for element in _elements(block)]
        for key, left, end in sorted(told, key=lambda element: (element[0], not element[2])):
            here, width = int.from_bytes(key, "big"), len(key)
            if begun is not None:
                found[begun[0], here - 1] = begun[1]
            begun = None if end else (here, left)
        if begun is not None:
            found[begun[0], (1 << 8 * width) - 1] = begun[1]
        return found

    def counters(self) -> tuple[int, dict[str, tuple[int, int]]]:
        """The table's handle (0: no table), and counter -> packets and bytes since that table was made."""
        table = self._table()
        counts = {}
        for counter in self._ours(_OBJECT):
            data = attributes(counter[4])
            counts[_text(counter[2])] = (_U64.unpack(data[2])[0], _U64.unpack(data[1])[0])
        return _handle(table[4]) if table else 0, counts

    def _table(self) -> Attributes | None:
        return next(iter(self._ours(_TABLE)), None)

    def _ours(self, kind: int) -> Iterator[Attributes]:
        """What is in our table: tables are always told all, and old kernels do not narrow the rest either."""
        return (found for found in self._netlink.ask(kind, _OURS) if _text(found[1]) == TABLE)

    def _blocks(self, name: str) -> Iterator[bytes]:
        """A set's elements, some hundreds at a time."""
        return (found[3] for found in self._netlink.ask(_ELEMENTS, _OURS, (2, name)) if found.get(3))


def _elements(block: bytes) -> Iterator[tuple[bytes, float, bool]]:
    """Key, seconds left, and whether it is the end of an interval."""
    at = 0
    while at < len(block):
        length = ATTRIBUTE.unpack_from(block, at)[0]
        element = attributes(block[at + 4 : at + length])
        yield _key(element[1]), _left(element), 3 in element and bool(element[3][3] & 1)
        at += length + 3 & ~3


def _timed(block: bytes) -> Iterator[tuple[bytes, float]]:
    """Key and seconds left where each element has a key, a timeout and what is left of it, and nothing else.

    A fifth of the time of `_elements`. Raises ValueError for other elements, when some may have been told already.
    """
    width = ATTRIBUTE.unpack_from(block, 8)[0] - ATTRIBUTE.size
    shape = struct.Struct(f">12s{width:d}s4s8s4sQ")
    if len(block) % shape.size:
        raise ValueError
    head = b"".join(
        ATTRIBUTE.pack(*attribute)
        for attribute in ((shape.size, NESTED | 1), (width + 8, NESTED | 1), (width + 4, 1))
    )
    for start, key, timeout, _, expiration, left in shape.iter_unpack(block):
        if (start, timeout, expiration) != (head, _TIMEOUT, _EXPIRATION):
            raise ValueError
        yield key, left / 1000


def _key(data: bytes) -> bytes:
    """NFTA_SET_ELEM_KEY holds NFTA_DATA_VALUE holds the key; a port is padded."""
    return data[4 : ATTRIBUTE.unpack_from(data)[0]]


def _left(element: Attributes) -> float:
    return float(_U64.unpack(element[5])[0] / 1000) if 5 in element else math.inf


def _anonymous(found: Attributes) -> bool:
    return bool(found.get(3, bytes(4))[3] & 1)  # NFT_SET_ANONYMOUS: `{ tcp, udp }` in a rule


def _comment(data: bytes) -> str:
    """A table's comment, out of its user data: pieces of one byte of kind, one of length, and so many.

    nft 1.0.6 writes a comment alone; 1.1.7 puts its own version and build behind it.
    """
    while len(data) > 1:
        kind, length = data[:2]
        if kind == 0:  # NFTNL_UDATA_TABLE_COMMENT
            return _text(data[2 : 2 + length])
        data = data[2 + length :]
    return ""


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def _handle(value: bytes) -> int:
    return int(_U64.unpack(value)[0])
