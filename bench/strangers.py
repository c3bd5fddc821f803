"""The addresses that benchmarks ban, and a packet of each: only a client that sent one is banned."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import count
from typing import Self

from tests.bed import Place

# Reserved for benchmarks (RFC 2544).
NETWORK = "198.18.0.0/15"
FIRST = IPv4Address("198.18.0.1")
NETWORKS = 512  # of /24, in a /15
HOST, NEIGHBOUR = "169.254.77.1", "169.254.77.2"
PORT = 80
IP_FREEBIND = 15  # linux/in.h; Python has no name for it


def addresses() -> Iterator[str]:
    """Yield addresses, each in another /24 than those before it: many of one would become one ban."""
    for number in count():
        block, rest = divmod(number, NETWORKS * 256)
        last, network = divmod(rest, NETWORKS)
        yield str(FIRST + (block * NETWORKS + network) * 256 + last)


class Strangers:
    """A network at one interface of a host, in which all benchmark addresses are. It lasts as long as the `with`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._namespace = Place(place.address, f"{place.prefix}x")

    def __enter__(self) -> Self:
        here, there = self._place, self._namespace
        subprocess.run(["ip", "netns", "add", there.name], check=True)
        for command in (
            f"ip link add strangers type veth peer name host netns {there.netns}",
            f"ip address add {HOST}/30 dev strangers",
            "ip link set strangers up",
            "sysctl -qw net.ipv4.conf.strangers.rp_filter=0",
        ):
            here.run(command.split())
        for command in (
            "ip link set lo up",
            f"ip address add {NEIGHBOUR}/30 dev host",
            "ip link set host up",
            f"ip route add local {NETWORK} dev lo",
        ):
            there.run(command.split())
        # From now on the host's hardware address is known, so a packet has arrived when it was sent.
        with there.within(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as client:
            client.settimeout(5)
            client.connect_ex((HOST, PORT))
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["ip", "netns", "delete", self._namespace.name], check=True)

    def send_packet(self, address: str) -> None:
        """Send a packet of this address to a web port of the host; nobody answers it."""
        with self._namespace.within(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as client:
            client.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
            client.bind((address, 0))
            client.setblocking(False)  # noqa: FBT003
            client.connect_ex((HOST, PORT))
