"""Notices when another program changes our table.

The kernel tells all listeners of every transaction. Those of this process are left out: their sender is one of its own
sockets.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from pathlib import Path
from typing import Protocol

from sidecar.firewall.errors import NoPermission
from sidecar.firewall.netlink import (
    FAMILY,
    HEADER,
    INET,
    NETFILTER,
    NFTABLES,
    attributes,
    messages,
    open_socket,
)
from sidecar.firewall.schema import TABLE

# NFNLGRP_NFTABLES is group 7; SO_RCVBUFFORCE sets the size of the buffer over the host's limit.
_NFTABLES_GROUP = 1 << 7 - 1
_SO_RCVBUFFORCE = 33

# Some 80 transactions of 1,000 bans fit until they are read.
BUFFER_BYTES = 8 << 20
DATAGRAM_SIZE_BYTES = 1 << 20
_FIREWALL_SOCKET = (socket.AF_NETLINK, NETFILTER)


class TableListener(Protocol):
    """Is notified, in the monitor's thread, that our table is or may be another."""

    def table_changed(self) -> None: ...


class Monitor:
    """A service that notifies its listener when another process has changed our table.

    It also does so once at its start, for what happened before it listened, and whenever it may have missed something.
    Many changes that come together are notified once.
    """

    name = "firewall monitor"

    def __init__(self, listener: TableListener) -> None:
        self._listener = listener
        self._closed = os.eventfd(0)
        self._own: frozenset[int] = frozenset()

    def run(self) -> None:
        """Listen until closed. Raises NoPermission and FirewallError."""
        with open_socket() as sock:
            self._listen(sock)
            self._listener.table_changed()
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            poll.register(self._closed, select.POLLIN)
            while self._closed not in [fd for fd, _ in poll.poll()]:
                if self._read_changes(sock):
                    self._listener.table_changed()

    def close(self) -> None:
        """Make `run()` return. Any thread may call this."""
        os.eventfd_write(self._closed, 1)

    def _listen(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        try:
            sock.bind((0, _NFTABLES_GROUP))
        except PermissionError:
            raise NoPermission from None
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        except PermissionError:
            # In a user namespace the host's limit holds.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)

    def _read_changes(self, sock: socket.socket) -> bool:
        """Read all that waits. Return whether there was, or may have been, a change that is not ours."""
        foreign = False
        while True:
            try:
                datagram = sock.recv(DATAGRAM_SIZE_BYTES)
            except BlockingIOError:
                return foreign
            except OSError as err:
                if err.errno != errno.ENOBUFS:
                    raise
                # The buffer was full, so the kernel dropped messages.
                foreign = True
                continue
            foreign = foreign or self._is_foreign(datagram)

    def _is_foreign(self, datagram: bytes) -> bool:
        """Return whether another process changed our table. A datagram is one transaction, so it has one sender."""
        sender = HEADER.unpack_from(datagram)[4]
        return sender not in self._own and _concerns_our_table(datagram) and not self._is_own(sender)

    def _is_own(self, sender: int) -> bool:
        """Return whether a socket of this process has this port id. libnftables may open another at any time."""
        self._own = own_ports()
        return sender in self._own


def own_ports() -> frozenset[int]:
    """Return the netlink port ids by which this process talks to the firewall."""
    ports = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            if str(fd.readlink()).startswith("socket:"):
                ports.add(_port(int(fd.name)))
        except OSError:
            # It was closed meanwhile.
            continue
    return frozenset(ports - {0})


def _port(fd: int) -> int:
    """Return a socket's netlink port id; 0 if it does not talk to the firewall."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        return int(sock.getsockname()[0]) if (sock.family, sock.proto) == _FIREWALL_SOCKET else 0


def _concerns_our_table(datagram: bytes) -> bool:
    """Return whether a message is about our table. Attribute 1 is the table's name, except in a new generation's."""
    return any(
        kind >> 8 == NFTABLES
        and payload[0] == INET
        and attributes(payload, FAMILY.size).get(1) == TABLE.encode() + b"\0"
        for kind, _, payload in messages(datagram)
    )
