"""Netlink, as far as the firewall goes: a question and its answers, a transaction, attributes.

The numbers are from linux/netlink.h and linux/netfilter/nfnetlink.h: the kernel's promise to programs.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

NETFILTER = 12  # NETLINK_NETFILTER
NFTABLES = 10  # NFNL_SUBSYS_NFTABLES, the high byte of a message's type
INET = 1  # NFPROTO_INET
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
FAMILY = struct.Struct("=BBH")  # struct nfgenmsg: family, version, resource
ATTRIBUTE = struct.Struct("=HH")  # length, kind
NESTED = 0x8000  # the bit of an attribute that holds attributes

_T = TypeVar("_T")
_CAP_ACK = (270, 10)  # SOL_NETLINK, NETLINK_CAP_ACK: an error does not bring back what it is about
_BATCH = struct.Struct(">BBH").pack(0, 0, NFTABLES)  # struct nfgenmsg, whose resource is in network order
_BEGIN, _END = 0x10, 0x11  # NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END
_GENERATION = 1  # NFNL_BATCH_GENID
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

    def ask(self, kind: int, *only: tuple[int, str | bytes], one: bool = False) -> list[Attributes]:
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

    def commit(self, changes: Sequence[bytes], generation: int | None = None) -> bool:
        """All of these messages, or none of them, as one transaction. Raises NoPermission and FirewallError.

        With a generation only if that is still the kernel's; if not, nothing is done, and False is the answer.
        """
        try:
            return self._with_socket(lambda sock: _transact(sock, changes, generation))
        except PermissionError:
            raise NoPermission from None
        except OSError as err:
            raise FirewallError(f"the kernel refused a change: {err.strerror or err}") from err

    def _exchange(self, question: bytes) -> tuple[list[Attributes], bool]:
        """The answers, and whether nobody changed anything while they came."""
        return self._with_socket(lambda sock: _converse(sock, question))

    def _with_socket(self, speak: Callable[[socket.socket], _T]) -> _T:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
            self._socket.settimeout(0)
            self._socket.setsockopt(*_CAP_ACK, 1)
        try:
            return speak(self._socket)
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


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    """One of a transaction's: what is to change, as attributes. `commit` hears whether it could."""
    return _message(NFTABLES << 8 | kind, FAMILY.pack(INET, 0, 0) + body, flags | _ACK)


def _message(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(HEADER.size + len(payload), kind, _REQUEST | flags, 1, 0) + payload


def _question(kind: int, only: tuple[tuple[int, str | bytes], ...], *, one: bool) -> bytes:
    body = FAMILY.pack(INET, 0, 0) + b"".join(attribute(number, value) for number, value in only)
    return _message(NFTABLES << 8 | kind, body, _ACK if one else _DUMP)


def attribute(number: int, value: str | bytes) -> bytes:
    """One attribute; text ends with a zero byte, as the kernel has it."""
    if isinstance(value, str):
        value = value.encode() + b"\0"
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), number) + value + bytes(-len(value) % 4)


def _converse(sock: socket.socket, question: bytes) -> tuple[list[Attributes], bool]:
    sock.send(question)
    found: list[Attributes] = []
    whole = True
    while True:
        for kind, flags, payload in messages(_receive(sock)):
            whole = whole and not flags & _INTERRUPTED
            if kind in (_ERROR, _DONE):
                if code := -struct.unpack_from("=i", payload)[0]:
                    raise OSError(code, os.strerror(code))
                return found, whole
            found.append(attributes(payload, FAMILY.size))


def _receive(sock: socket.socket) -> bytes:
    """The kernel answers within `send`, so this waits for nothing; a wait would let other threads go first."""
    try:
        return sock.recv(_DATAGRAM)
    except BlockingIOError:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        if not poll.poll(1000 * _PATIENCE):
            raise TimeoutError(errno.ETIMEDOUT, "no answer") from None
        return sock.recv(_DATAGRAM)


def _transact(sock: socket.socket, changes: Sequence[bytes], generation: int | None) -> bool:
    only_if = b"" if generation is None else attribute(_GENERATION, generation.to_bytes(4, "big"))
    sock.send(b"".join((_message(_BEGIN, _BATCH + only_if), *changes, _message(_END, _BATCH))))
    acknowledged = 0
    while acknowledged < len(changes):
        for kind, _, payload in messages(_receive(sock)):
            if kind == _ERROR:
                code = -struct.unpack_from("=i", payload)[0]
                if code == errno.ERESTART and generation is not None:
                    return False
                if code:
                    raise OSError(code, os.strerror(code))
                acknowledged += 1
    return True
