"""Netlink, as far as the firewall needs it: a question and its answers, a transaction, attributes.

By hand, because a storm of bans is made of thousands of small attributes: docs/firewall.md compares it with a library.
The numbers are from linux/netlink.h and linux/netfilter/nfnetlink.h, the kernel's promise to programs.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from sidecar.firewall.errors import FirewallError, NoPermission

# NETLINK_NETFILTER; NFNL_SUBSYS_NFTABLES, the high byte of a message's type; NFPROTO_INET.
NETFILTER = 12
NFTABLES = 10
INET = 1

# How a seccomp profile, or systemd's RestrictAddressFamilies=, refuses a kind of socket.
_FORBIDDEN: Final = (errno.EAFNOSUPPORT, errno.EACCES, errno.EPERM)

# struct nlmsghdr: length, type, flags, sequence, port id.
HEADER = struct.Struct("=IHHII")
# struct nfgenmsg: family, version, resource.
FAMILY = struct.Struct("=BBH")
# struct nlattr: length, kind. This bit of the kind says that the attribute holds attributes.
ATTRIBUTE = struct.Struct("=HH")
NESTED = 0x8000

# SOL_NETLINK, NETLINK_CAP_ACK: an error does not repeat the message that it is about.
_CAP_ACK = (270, 10)
# struct nfgenmsg with its resource in network order, as the begin and the end of a transaction have it.
_BATCH = struct.Struct(">BBH").pack(0, 0, NFTABLES)
# NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_BATCH_GENID
_BEGIN, _END = 0x10, 0x11
_GENERATION = 1
# An attribute's kind without the bits for "nested" and "byte order".
_KIND_MASK = 0x3FFF
# Types of message: NLMSG_ERROR, NLMSG_DONE.
_ERROR, _DONE = 2, 3
# Flags: NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, and NLM_F_DUMP_INTR: the rules changed during the answer.
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_INTERRUPTED = 0x10

# The kernel answers at once, so this is for one that never does.
KERNEL_TIMEOUT_S = 5.0
# How often a question is asked again because other programs changed the rules during the answer.
MAX_READ_ATTEMPTS = 20
# The kernel sends 32 KiB at most.
RECEIVE_SIZE_BYTES = 64 * 1024

Attributes: TypeAlias = dict[int, bytes]


class Netlink:
    """A connection to the kernel's firewall, for one thread.

    The socket is kept open. To close one makes the kernel finish all removals of elements first, and the next
    transaction would wait for that.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Close the socket; the next call opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, kind: int, *only: tuple[int, str | bytes], one: bool = False) -> list[Attributes]:
        """Return all objects of a kind, or the one, that have these attributes; nothing if there is none.

        Raises NoPermission and FirewallError.
        """
        for _ in range(MAX_READ_ATTEMPTS):
            try:
                found, undisturbed = self._exchange(_question(kind, only, one=one))
            except FileNotFoundError:
                return []
            except PermissionError:
                raise NoPermission from None
            except OSError as err:
                raise FirewallError(f"reading the firewall failed: {err}") from err
            if undisturbed:
                return found
        raise FirewallError(
            "reading the firewall failed: another program changes its rules all the time (`nft monitor` shows it)"
        )

    def commit(self, changes: Sequence[bytes], generation: int | None = None) -> bool:
        """Carry out all of these messages, or none of them, as one transaction.

        With a generation only if that is still the kernel's; otherwise nothing is done, and the result is False.
        Raises NoPermission and FirewallError.
        """
        try:
            return _transact(self._connected(), changes, generation)
        except PermissionError:
            self.close()
            raise NoPermission from None
        except OSError as err:
            self.close()
            raise FirewallError(f"the kernel refused a change: {err.strerror or err}") from err

    def _exchange(self, question: bytes) -> tuple[list[Attributes], bool]:
        """Return the answers, and whether they came without a change of the rules in between."""
        try:
            return _converse(self._connected(), question)
        except OSError:
            # So that a late answer is not taken for the answer to the next question.
            self.close()
            raise

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = open_socket()
            self._socket.settimeout(0)
            self._socket.setsockopt(*_CAP_ACK, 1)
        return self._socket


def open_socket() -> socket.socket:
    """Return a socket to netfilter. Raises NoPermission and FirewallError."""
    try:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
    except OSError as err:
        if err.errno in _FORBIDDEN:
            raise NoPermission(
                f"this process may not open a netlink socket ({err.strerror}): allow AF_NETLINK in the seccomp "
                "profile (`security_opt`; Docker's own allows it), or in RestrictAddressFamilies= of the systemd unit"
            ) from err
        raise FirewallError(f"no netlink socket can be opened: {err.strerror}") from err


def attributes(data: bytes, at: int = 0) -> Attributes:
    """Return the attributes that begin at this offset: kind -> value."""
    found = {}
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        found[kind & _KIND_MASK] = data[at + ATTRIBUTE.size : at + length]
        at += length + 3 & ~3
    return found


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the messages of one datagram: type, flags, payload."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, at)
        yield kind, flags, data[at + HEADER.size : at + length]
        at += length + 3 & ~3


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Return one message of a transaction, with attributes as its body. The kernel acknowledges it to `commit`."""
    return _message(NFTABLES << 8 | kind, FAMILY.pack(INET, 0, 0) + body, flags | _ACK)


def attribute(kind: int, value: str | bytes) -> bytes:
    """Return one attribute. Text ends with a zero byte, as the kernel has it."""
    if isinstance(value, str):
        value = value.encode() + b"\0"
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _message(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(HEADER.size + len(payload), kind, _REQUEST | flags, 1, 0) + payload


def _question(kind: int, only: tuple[tuple[int, str | bytes], ...], *, one: bool) -> bytes:
    body = FAMILY.pack(INET, 0, 0) + b"".join(attribute(number, value) for number, value in only)
    return _message(NFTABLES << 8 | kind, body, _ACK if one else _DUMP)


def _converse(sock: socket.socket, question: bytes) -> tuple[list[Attributes], bool]:
    sock.send(question)
    found: list[Attributes] = []
    undisturbed = True
    while True:
        for kind, flags, payload in messages(_receive(sock)):
            undisturbed = undisturbed and not flags & _INTERRUPTED
            if kind in (_ERROR, _DONE):
                if code := -struct.unpack_from("=i", payload)[0]:
                    raise OSError(code, os.strerror(code))
                return found, undisturbed
            found.append(attributes(payload, FAMILY.size))


def _receive(sock: socket.socket) -> bytes:
    """Return one datagram.

    The kernel answers within `send`, so usually there is nothing to wait for; a blocking call would let other threads
    run first.
    """
    try:
        return sock.recv(RECEIVE_SIZE_BYTES)
    except BlockingIOError:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        if not poll.poll(1000 * KERNEL_TIMEOUT_S):
            raise TimeoutError(errno.ETIMEDOUT, "no answer") from None
        return sock.recv(RECEIVE_SIZE_BYTES)


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
