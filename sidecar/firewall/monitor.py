"""Hears when someone else touches our table."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path

from sidecar.firewall.netlink import (
    FAMILY,
    HEADER,
    INET,
    NETFILTER,
    NFTABLES,
    NoPermission,
    attributes,
    messages,
)
from sidecar.firewall.ruleset import TABLE

_GROUP = 1 << 7 - 1  # NFNLGRP_NFTABLES is group 7
_ROOM = (
    8 << 20
)  # bytes waiting for us: one transaction of 1,000 bans is 0.1 MB, so 80 of our own may come in a row
_DATAGRAM = 1 << 20
_KIND = (socket.AF_NETLINK, NETFILTER)


class Monitor:
    """A service: calls `changed()` when a process other than ours has changed our table, from its own thread.

    It says so once at its start too, for what happened before it listened, and whenever it may have missed
    something. Many changes that come together are told once.
    """

    name = "firewall monitor"

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._closed = os.eventfd(0)
        self._own: frozenset[int] = frozenset()

    def run(self) -> None:
        """Listen until closed. Raises NoPermission."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as sock:
            self._listen(sock)
            self._changed()
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            poll.register(self._closed, select.POLLIN)
            while self._closed not in [fd for fd, _ in poll.poll()]:
                if self._foreign(sock):
                    self._changed()

    def close(self) -> None:
        """Make `run()` return; any thread."""
        os.eventfd_write(self._closed, 1)

    def _listen(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        try:
            sock.bind((0, _GROUP))
        except PermissionError:
            raise NoPermission from None
        try:
            sock.setsockopt(socket.SOL_SOCKET, 33, _ROOM)  # SO_RCVBUFFORCE, over the host's limit
        except PermissionError:  # in a user namespace
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)

    def _foreign(self, sock: socket.socket) -> bool:
        """Read all that waits. True: there was, or may have been, a change that is not ours."""
        foreign = False
        while True:
            try:
                datagram = sock.recv(_DATAGRAM)
            except BlockingIOError:
                return foreign
            except OSError as err:
                if err.errno != errno.ENOBUFS:
                    raise
                foreign = True  # the kernel threw messages away
                continue
            foreign = foreign or self._is_foreign(datagram)

    def _is_foreign(self, datagram: bytes) -> bool:
        """A datagram holds one transaction, so its first message's sender is everyone's."""
        sender = HEADER.unpack_from(datagram)[4]
        return sender not in self._own and _about_us(datagram) and not self._is_own(sender)

    def _is_own(self, sender: int) -> bool:
        """Whether a socket of our own process has this port id. libnftables may open another at any time."""
        self._own = own_ports()
        return sender in self._own


def own_ports() -> frozenset[int]:
    """The netlink port ids by which this process talks to the firewall."""
    ports = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            if str(fd.readlink()).startswith("socket:"):
                ports.add(_port(int(fd.name)))
        except OSError:
            continue  # closed meanwhile
    return frozenset(ports - {0})


def _port(fd: int) -> int:
    """A socket's netlink port id; 0 for one that does not talk to the firewall."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        return int(sock.getsockname()[0]) if (sock.family, sock.proto) == _KIND else 0


def _about_us(datagram: bytes) -> bool:
    """Whether our table is in it: attribute 1 is the table's name in all messages but a new generation's."""
    return any(
        kind >> 8 == NFTABLES
        and payload[0] == INET
        and attributes(payload, FAMILY.size).get(1) == TABLE.encode() + b"\0"
        for kind, _, payload in messages(datagram)
    )
