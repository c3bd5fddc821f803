"""Bans in and out -> messages to the kernel. Pure: `Netlink.commit` sends them.

What nft's language would say in `changes.bans`, without the language: for 1,000 bans a tenth of the time. Only elements
of hash sets go this way; structure, and the intervals that need nft's arithmetic, do not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from sidecar.firewall.netlink import ATTRIBUTE, NESTED, attribute, message
from sidecar.firewall.ruleset import TABLE, Put, Take, packed, seconds

_NEW, _DELETE = 12, 14  # NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM
_CREATE = 0x400  # NLM_F_CREATE
_KEY, _TIMEOUT, _VALUE, _ELEMENTS, _ELEMENT = 1, 4, 1, 3, 1
_MILLISECONDS = struct.Struct(">Q")
_TIMEOUT_HEAD = ATTRIBUTE.pack(ATTRIBUTE.size + _MILLISECONDS.size, _TIMEOUT)


def messages(edits: Iterable[Put | Take]) -> list[bytes]:
    """One transaction's: at most 1,000 edits, as an attribute holds 64 KiB."""
    clear: dict[str, list[bytes]] = {}
    put: dict[str, list[bytes]] = {}
    for edit in edits:
        key = packed(edit.element)
        if isinstance(edit, Put):
            name, _, left, fresh = edit
            put.setdefault(name, []).append(_element(key, seconds(left)))
            if fresh:
                continue
        clear.setdefault(edit.set, []).append(_element(key, None))
    return [*_cleared(clear), *(_message(_NEW, name, elements) for name, elements in put.items())]


def _cleared(clear: dict[str, list[bytes]]) -> Iterator[bytes]:
    """Out, whether they are in or not: a removal alone is refused where there is nothing to remove."""
    for name, elements in clear.items():
        yield _message(_NEW, name, elements)
        yield _message(_DELETE, name, elements)


def _message(kind: int, name: str, elements: Iterable[bytes]) -> bytes:
    body = attribute(1, TABLE) + attribute(2, name) + attribute(NESTED | _ELEMENTS, b"".join(elements))
    return message(kind, body, _CREATE if kind == _NEW else 0)


def _element(key: bytes, lasting: int | None) -> bytes:
    """`lasting`: seconds; None: for good."""
    if lasting is None:
        return _BARE[len(key)] + key
    return _TIMED[len(key)] + key + _TIMEOUT_HEAD + _MILLISECONDS.pack(1000 * lasting)


def _head(length: int, timeout: int) -> bytes:
    """What stands before a key: an attribute in an attribute in an attribute. `timeout`: bytes of one after the key."""
    value = ATTRIBUTE.size + length
    key = ATTRIBUTE.size + value
    return (
        ATTRIBUTE.pack(ATTRIBUTE.size + key + timeout, NESTED | _ELEMENT)
        + ATTRIBUTE.pack(key, NESTED | _KEY)
        + ATTRIBUTE.pack(value, _VALUE)
    )


_BARE = {length: _head(length, 0) for length in (4, 16)}  # IPv4, IPv6
_TIMED = {length: _head(length, len(_TIMEOUT_HEAD) + _MILLISECONDS.size) for length in (4, 16)}
