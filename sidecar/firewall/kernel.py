"""What the kernel has of our table, read over netlink by hand.

libnftables can list, but it builds the whole table in memory for each answer: at 100,000 elements over a
second and hundreds of megabytes, and version 1.0.6 does so even for a counter. Reading is six kinds of
message, so it is here. The numbers are from linux/netfilter/nf_tables.h and are the kernel's promise to
programs.
"""

from __future__ import annotations

import math
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from sidecar.firewall.changes import TABLE

NETFILTER = 12  # NETLINK_NETFILTER
NFTABLES = 10  # NFNL_SUBSYS_NFTABLES, the high byte of a message's type
INET = 1  # NFPROTO_INET

GETTABLE, GETCHAIN, GETRULE, GETSET, GETSETELEM, GETGEN, GETOBJ = 1, 4, 7, 10, 13, 16, 19
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: someone changed the rules while we read

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
FAMILY = struct.Struct("=BBH")  # struct nfgenmsg: family, version, resource
_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF  # without the "nested" and "byte order" bits
_U32, _U64 = struct.Struct(">I"), struct.Struct(">Q")

_ANSWER = 5.0  # seconds; the kernel answers at once, so this is for a kernel that never does
_TRIES = 20

Attributes = dict[int, bytes]


class FirewallError(Exception):
    """The kernel did not follow; the message is nft's or the kernel's own. What is wanted is kept."""


class NoPermission(FirewallError):  # noqa: N818
    """We may not change this host's firewall."""

    def __init__(self) -> None:
        super().__init__(
            "no permission to change the firewall: give the container `cap_add: [NET_ADMIN]` and leave its "
            "user root (uid 0), or outside a container run as root"
        )


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


def generation() -> int:
    """How many transactions the kernel has taken, whoever's: the same number means that nothing changed."""
    return int(_U32.unpack(_dump(GETGEN)[0][1])[0])


def shape() -> Shape | None:
    """What there is of our table; None: nothing."""
    if (found := table()) is None:
        return None
    chains = {_text(a[3]): (_handle(a[2]), a.get(5, b"")) for a in _dump(GETCHAIN, (1, TABLE)) if _ours(a)}
    rules = tuple(_handle(a[3]) for a in _dump(GETRULE, (1, TABLE)) if _ours(a))
    sets = {_text(a[2]): _handle(a[16]) for a in _dump(GETSET, (1, TABLE)) if _ours(a) and not _anonymous(a)}
    counters = {_text(a[2]): _handle(a[6]) for a in _dump(GETOBJ, (1, TABLE)) if _ours(a)}
    comment = _text(found.get(6, b"")[2:])  # user data: one byte of kind, one of length, the text
    return Shape(comment, not any(found[2]), _handle(found[4]), chains, rules, sets, counters)


def elements(name: str) -> dict[bytes, float]:
    """A hash set's keys -> seconds left (`math.inf`: for good). 100,000 take about 0.3 s."""
    return {key: left for key, left, _ in _elements(name)}


def intervals(name: str) -> dict[tuple[int, int], float]:
    """An interval set's (low, high) -> seconds left.

    The kernel keeps where each begins, and marks where one ends without another beginning.
    """
    found: dict[tuple[int, int], float] = {}
    begun: tuple[int, float] | None = None
    width = 0
    for key, left, end in sorted(_elements(name), key=lambda element: (element[0], not element[2])):
        here, width = int.from_bytes(key, "big"), len(key)
        if begun is not None:
            found[begun[0], here - 1] = begun[1]
        begun = None if end else (here, left)
    if begun is not None:
        found[begun[0], (1 << 8 * width) - 1] = begun[1]
    return found


def dropped() -> dict[str, tuple[int, int]]:
    """Counter -> packets and bytes, since it was made; what is not there is absent."""
    found = {}
    for counter in _dump(GETOBJ, (1, TABLE)):
        if _ours(counter):
            data = attributes(counter[4])
            found[_text(counter[2])] = (_U64.unpack(data[2])[0], _U64.unpack(data[1])[0])
    return found


def table() -> Attributes | None:
    """Our table's attributes; None: it is not there."""
    return next((found for found in _dump(GETTABLE) if _text(found[1]) == TABLE), None)


def attributes(data: bytes, at: int = 0) -> Attributes:
    """Netlink's (length, kind, value) triples."""
    found = {}
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        found[kind & _KIND] = data[at + 4 : at + length]
        at += length + 3 & ~3
    return found


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """One datagram -> its messages: type, flags, port id, payload."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, _, port = HEADER.unpack_from(data, at)
        yield kind, flags, port, data[at + HEADER.size : at + length]
        at += length + 3 & ~3


def _elements(name: str) -> Iterator[tuple[bytes, float, bool]]:
    """Key, seconds left, and whether it is the end of an interval."""
    for found in _dump(GETSETELEM, (1, TABLE), (2, name)):
        block, at = found.get(3, b""), 0
        while at < len(block):
            length = _ATTRIBUTE.unpack_from(block, at)[0]
            element = attributes(block[at + 4 : at + length])
            left = _U64.unpack(element[5])[0] / 1000 if 5 in element else math.inf
            value = element[1]  # NFTA_SET_ELEM_KEY holds NFTA_DATA_VALUE holds the key; a port is padded
            yield (
                value[4 : _ATTRIBUTE.unpack_from(value)[0]],
                left,
                3 in element and bool(_U32.unpack(element[3])[0] & 1),
            )
            at += length + 3 & ~3


def _dump(kind: int, *only: tuple[int, str]) -> list[Attributes]:
    """All that the kernel has of a kind. Again where someone changed the rules meanwhile."""
    for _ in range(_TRIES):
        try:
            found, whole = _read(kind, only)
        except PermissionError:
            raise NoPermission from None
        except FileNotFoundError:
            return []  # the table or the set is not there, so neither is anything in it
        except OSError as err:
            raise FirewallError(f"reading the firewall failed: {err}") from err
        if whole:
            return found
    raise FirewallError("reading the firewall failed: someone changes its rules all the time")


def _read(kind: int, only: tuple[tuple[int, str], ...]) -> tuple[list[Attributes], bool]:
    body = FAMILY.pack(INET, 0, 0) + b"".join(_attribute(number, text) for number, text in only)
    flags = _REQUEST | (_ACK if kind == GETGEN else _DUMP)
    head = HEADER.pack(HEADER.size + len(body), NFTABLES << 8 | kind, flags, 1, 0)
    found: list[Attributes] = []
    whole = True
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as sock:
        sock.settimeout(_ANSWER)
        sock.send(head + body)
        while True:
            for answer, flags, _, payload in messages(sock.recv(65_536)):
                whole = whole and not flags & _INTERRUPTED
                if answer in (_ERROR, _DONE):
                    if code := -struct.unpack_from("=i", payload)[0]:
                        raise OSError(code, os.strerror(code))
                    return found, whole
                if payload[0] in (INET, 0):  # a generation is of no family
                    found.append(attributes(payload, FAMILY.size))


def _attribute(number: int, text: str) -> bytes:
    value = text.encode() + b"\0"
    return _ATTRIBUTE.pack(4 + len(value), number) + value + bytes(-len(value) % 4)


def _ours(found: Attributes) -> bool:
    """Before Linux 5 or so a dump could not be narrowed to one table."""
    return _text(found[1]) == TABLE


def _anonymous(found: Attributes) -> bool:
    return bool(_U32.unpack(found.get(3, bytes(4)))[0] & 1)  # NFT_SET_ANONYMOUS: `{ tcp, udp }` in a rule


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def _handle(value: bytes) -> int:
    return int(_U64.unpack(value)[0])
