"""Netlink, as far as asking the firewall goes: a question, its answers, their attributes.

The numbers are from linux/netlink.h and linux/netfilter/nfnetlink.h: the kernel's promise to programs.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import TypeAlias

NETFILTER = 12  # NETLINK_NETFILTER
NFTABLES = 10  # NFNL_SUBSYS_NFTABLES, the high byte of a message's type
INET = 1  # NFPROTO_INET
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
FAMILY = struct.Struct("=BBH")  # struct nfgenmsg: family, version, resource
ATTRIBUTE = struct.Struct("=HH")  # length, kind

_KIND = 0x3FFF  # without the "nested" and "byte order" bits
_ERROR, _DONE = 2, 3  # types of message
_REQUEST, _ACK, _DUMP = 1, 4, 0x300  # flags of a question
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: someone changed the rules while we read

_PATIENCE = 5.0  # seconds; the kernel answers at once, so this is for one that never does
_TRIES = 20
_DATAGRAM = 64 * 1024  # the kernel sends 32 KiB at most

Attributes: TypeAlias = dict[int, bytes]


class FirewallError(Exception):
    """The kernel did not follow; the message is nft's or the kernel's own. What is wanted is kept."""


class NoPermission(FirewallError):  # noqa: N818
    """We may not change this host's firewall."""

    def __init__(self) -> None:
        super().__init__(
            "no permission to change the firewall: give the container `cap_add: [NET_ADMIN]` and leave its "
            "user root (uid 0), or outside a container run as root"
        )


class Netlink:
    """Asks the firewall. For one thread.

    The socket is kept: closing one makes the kernel finish all removals first, which takes 16 ms, and our next
    transaction waits for that.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, kind: int, *only: tuple[int, str], one: bool = False) -> list[Attributes]:
        """All that the kernel has of a kind (or the one), narrowed by attributes.

        Nothing where what was named is not there. Raises NoPermission and FirewallError.
        """
        for _ in range(_TRIES):
            try:
                found, whole = self._exchange(_question(kind, only, one=one))
            except FileNotFoundError:
                return []
            except PermissionError:
                raise NoPermission from None
            except OSError as err:
                raise FirewallError(f"reading the firewall failed: {err}") from err
            if whole:
                return found
        raise FirewallError("reading the firewall failed: someone changes its rules all the time")

    def _exchange(self, question: bytes) -> tuple[list[Attributes], bool]:
        """The answers, and whether nobody changed anything while they came."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
            self._socket.settimeout(_PATIENCE)
        try:
            return _converse(self._socket, question)
        except OSError:
            self.close()  # so that no late answer is taken for the next one's
            raise


def attributes(data: bytes, at: int = 0) -> Attributes:
    """Kind -> value."""
    found = {}
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        found[kind & _KIND] = data[at + ATTRIBUTE.size : at + length]
        at += length + 3 & ~3
    return found


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """One datagram -> its messages: type, flags, payload."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, at)
        yield kind, flags, data[at + HEADER.size : at + length]
        at += length + 3 & ~3


def _question(kind: int, only: tuple[tuple[int, str], ...], *, one: bool) -> bytes:
    body = FAMILY.pack(INET, 0, 0) + b"".join(_attribute(number, text) for number, text in only)
    flags = _REQUEST | (_ACK if one else _DUMP)
    return HEADER.pack(HEADER.size + len(body), NFTABLES << 8 | kind, flags, 1, 0) + body


def _attribute(number: int, text: str) -> bytes:
    value = text.encode() + b"\0"
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), number) + value + bytes(-len(value) % 4)


def _converse(sock: socket.socket, question: bytes) -> tuple[list[Attributes], bool]:
    sock.send(question)
    found: list[Attributes] = []
    whole = True
    while True:
        for kind, flags, payload in messages(sock.recv(_DATAGRAM)):
            whole = whole and not flags & _INTERRUPTED
            if kind in (_ERROR, _DONE):
                if code := -struct.unpack_from("=i", payload)[0]:
                    raise OSError(code, os.strerror(code))
                return found, whole
            found.append(attributes(payload, FAMILY.size))
