"""Edits: elements of hash sets to be put in or removed, and what they are to the kernel. Pure.

All bans but those of one transaction with the table's structure go to the kernel as netlink messages of our own. In
nft's language (`ruleset.element_lines`) the same takes much longer: see docs/benchmarks.md. Structure, and the
intervals that need nft's arithmetic, do not go this way. The numbers are from linux/netfilter/nf_tables.h, the kernel's
promise to programs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from sidecar.core.address import Address
from sidecar.firewall.elements import (
    TIMEOUT_SHORTER_S,
    Interval,
    element,
    is_equivalent,
    key,
    pack,
    timeout_s,
    unpack,
)
from sidecar.firewall.netlink import ATTRIBUTE, NESTED, attribute, message
from sidecar.firewall.networks import IntervalChange
from sidecar.firewall.schema import TABLE

# A netlink attribute holds at most 64 KiB, and so a message at most this many elements. Transactions of this size are
# short, so other programs do not wait long for the kernel's lock.
MAX_EDITS: Final = 1_000

# NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM, NLM_F_CREATE
_NEW, _DELETE = 12, 14
_CREATE = 0x400
# NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_ELEMENTS
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
# NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE, NFTA_SET_ELEM_FLAGS, NFTA_SET_ELEM_TIMEOUT
_ELEMENT, _KEY, _VALUE, _FLAGS, _TIMEOUT = 1, 1, 1, 3, 4
# Of the element where an interval ends: NFT_SET_ELEM_INTERVAL_END.
_END_FLAGS = attribute(_FLAGS, struct.pack(">I", 1))
# Of an address, by IP version.
KEY_BYTES: Final = {4: 4, 6: 16}
_MILLISECONDS = struct.Struct(">Q")
_TIMEOUT_HEAD = ATTRIBUTE.pack(ATTRIBUTE.size + _MILLISECONDS.size, _TIMEOUT)


class Put(NamedTuple):
    """An element that is to be in a set, with this timeout."""

    set_name: str
    element: str
    # Seconds; `math.inf`: it never ends.
    left_s: float
    # False: it may be in the set already, with another timeout.
    is_new: bool = True


class Remove(NamedTuple):
    """An element that is not to be in a set. It may be absent already."""

    set_name: str
    element: str


Edit: TypeAlias = Put | Remove


def difference(
    name: str, desired: Mapping[Address, float], found: Mapping[bytes, float], now: float
) -> list[Edit]:
    """Return the edits that turn a hash set as the kernel has it (key -> seconds left) into the desired one."""
    strangers = dict(found)
    edits: list[Edit] = []
    for address, until in desired.items():
        there, left_s = key(address), until - now
        found_s = strangers.pop(there, None)
        if left_s > TIMEOUT_SHORTER_S and not is_equivalent(found_s, left_s):
            edits.append(Put(name, element(address), left_s, is_new=found_s is None))
    return edits + [Remove(name, unpack(there)) for there in strangers]


def chunks(edits: Sequence[Edit], size: int = MAX_EDITS) -> list[Sequence[Edit]]:
    """Return the edits in slices, one for each transaction."""
    return [edits[start : start + size] for start in range(0, len(edits), size)]


def messages(edits: Iterable[Edit]) -> list[bytes]:
    """Return the messages of one transaction with at most `MAX_EDITS` edits. Raises OSError for invalid addresses."""
    removed: dict[str, list[bytes]] = {}
    put: dict[str, list[bytes]] = {}
    for edit in edits:
        packed = pack(edit.element)
        if isinstance(edit, Put):
            name, _, left_s, is_new = edit
            put.setdefault(name, []).append(_element(packed, timeout_s(left_s)))
            if is_new:
                continue
        removed.setdefault(edit.set_name, []).append(_element(packed, None))
    return [*_removals(removed), *(_message(_NEW, name, elements) for name, elements in put.items())]


def fill_message(name: str, hosts: Iterable[tuple[Address, float]], now: float) -> bytes:
    """Return the message that puts hosts (address, end of the ban) into a set that has none of them."""
    return _message(_NEW, name, [_element(key(address), timeout_s(until - now)) for address, until in hosts])


def interval_messages(name: str, version: int, change: IntervalChange, now: float) -> list[bytes]:
    """Return the messages that change intervals of a set, for one transaction.

    To the kernel an interval is two elements: where it begins, and where the next address is outside again.
    """
    removed = [_interval(version, interval, None) for interval in change.removed]
    put = [_interval(version, interval, timeout_s(until - now)) for interval, until in change.put.items()]
    return [*_removals({name: removed} if removed else {}), *([_message(_NEW, name, put)] if put else [])]


def _interval(version: int, interval: Interval, timeout: int | None) -> bytes:
    size = KEY_BYTES[version]
    low, high = interval
    begin = _element(low.to_bytes(size, "big"), timeout)
    # Nothing is outside behind the last address of all.
    if (end := high + 1) >> 8 * size:
        return begin
    return begin + _HEAD_OF_END[size] + end.to_bytes(size, "big") + _END_FLAGS


def _removals(removed: dict[str, list[bytes]]) -> Iterator[bytes]:
    """Yield messages that remove elements. The kernel refuses to delete an absent one, so each is added first."""
    for name, elements in removed.items():
        yield _message(_NEW, name, elements)
        yield _message(_DELETE, name, elements)


def _message(kind: int, name: str, elements: Iterable[bytes]) -> bytes:
    listed = attribute(NESTED | _LIST_ELEMENTS, b"".join(elements))
    body = attribute(_LIST_TABLE, TABLE) + attribute(_LIST_SET, name) + listed
    return message(kind, body, _CREATE if kind == _NEW else 0)


def _element(packed: bytes, timeout: int | None) -> bytes:
    """Return one element with this key and timeout in seconds; None: it never ends."""
    if timeout is None:
        return _HEAD[len(packed)] + packed
    return _HEAD_WITH_TIMEOUT[len(packed)] + packed + _TIMEOUT_HEAD + _MILLISECONDS.pack(1000 * timeout)


def _head(key_size: int, rest_size: int) -> bytes:
    """Return what precedes a key: the heads of the element, the key and its value, each within the one before."""
    value = ATTRIBUTE.size + key_size
    key = ATTRIBUTE.size + value
    return (
        ATTRIBUTE.pack(ATTRIBUTE.size + key + rest_size, NESTED | _ELEMENT)
        + ATTRIBUTE.pack(key, NESTED | _KEY)
        + ATTRIBUTE.pack(value, _VALUE)
    )


# By the size of the key: IPv4 and IPv6.
_HEAD = {size: _head(size, 0) for size in (4, 16)}
_HEAD_OF_END = {size: _head(size, len(_END_FLAGS)) for size in (4, 16)}
_HEAD_WITH_TIMEOUT = {size: _head(size, len(_TIMEOUT_HEAD) + _MILLISECONDS.size) for size in (4, 16)}
