"""When the kernel says that somebody is in a set: the clock that both sides are measured by."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterator
from typing import Self

from sidecar.firewall.netlink import FAMILY, NETFILTER, NFTABLES, attributes, messages
from sidecar.firewall.schema import SUSPECT_SETS
from tests.bed import Place

NEWSETELEM = NFTABLES << 8 | 12  # NFT_MSG_NEWSETELEM
GROUP = 1 << 7 - 1  # NFNLGRP_NFTABLES is group 7
ROOM = (
    64 << 20
)  # bytes; one transaction of 1,000 elements is 0.1 MB, and as much again in the kernel's own keeping


class Heard:
    """Listens to nftables in a place, whoever changes it there.

    The kernel tells of a transaction when it is committed: from then on packets meet it.
    """

    def __init__(self, place: Place) -> None:
        self._sock = place.within(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER))
        self._sock.setsockopt(socket.SOL_SOCKET, 33, ROOM)  # SO_RCVBUFFORCE, over the host's limit
        self._sock.bind((0, GROUP))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def wait(self, address: str, patience: float = 60) -> float:
        """When this IPv4 address came into a set (`time.perf_counter`). Raises TimeoutError."""
        key = socket.inet_aton(address)
        end = time.perf_counter() + patience
        while (left := end - time.perf_counter()) > 0:
            self._sock.settimeout(left)
            datagram = self._sock.recv(1 << 20)
            at = time.perf_counter()
            if key in added(datagram):
                return at
        raise TimeoutError(f"{address} did not come into any set within {patience:.0f} s")

    def all(self, keys: Collection[bytes], patience: float = 120) -> float:
        """When the last of these came into a set (`time.perf_counter`). Raises TimeoutError."""
        missing, end = set(keys), time.perf_counter() + patience
        while (left := end - time.perf_counter()) > 0:
            self._sock.settimeout(left)
            datagram = self._sock.recv(1 << 20)
            at = time.perf_counter()
            missing.difference_update(added(datagram))
            if not missing:
                return at
        raise TimeoutError(f"{len(missing)} did not come into any set within {patience:.0f} s")


def added(datagram: bytes) -> Iterator[bytes]:
    """The keys of the elements that this datagram tells of, but for suspects'; each has a message to itself."""
    for kind, _, payload in messages(datagram):
        if kind == NEWSETELEM:
            of_list = attributes(payload, FAMILY.size)
            # An address in one of these is one that is not banned.
            if of_list[2].rstrip(b"\0").decode() in SUSPECT_SETS.values():  # NFTA_SET_ELEM_LIST_SET
                continue
            elements = attributes(of_list[3])  # NFTA_SET_ELEM_LIST_ELEMENTS
            yield attributes(attributes(elements[1])[1])[1]  # NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE
