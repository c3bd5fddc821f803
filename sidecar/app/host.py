"""What /proc says about this host's network: its own addresses, its routers, its resolvers.

Bans of these would cut off the host itself, so they are never made. A `get` reads, a `parse` thinks.
"""

from __future__ import annotations

import re
import socket
import sys
from ipaddress import IPv6Address
from pathlib import Path

from sidecar.core.address import parse_host
from sidecar.core.allowlist import CONTAINERS, GATEWAY, OWN, RESOLVER

NET = Path("/proc/net")  # of the network namespace we are in: with `network_mode: host`, the host's
RESOLV = Path("/etc/resolv.conf")
# Devices that lead to containers. Not any bridge: a host's own network may be one (br0, vmbr0).
INSIDE = re.compile(
    r"docker\d+|docker_gwbridge|br-[0-9a-f]{12}|podman\d+|cni[\w.-]*|cbr0|kube-bridge|flannel[\w.-]*|cali[0-9a-f]+|tunl0"
    r"|vxlan[\w.-]*calico|cilium_\w+|lxc\w*|weave|virbr\d+|lxdbr\d+|incusbr\d+|antrea-gw\d+"
    r"|ovn-k8s-mp\d+|eni[0-9a-f]{11}|gke[0-9a-f]{11}",
    re.ASCII,
)
# IP version -> the shortest prefix of theirs: a default route by such a device does not make the Internet theirs
WIDEST = {4: 8, 6: 32}


def own_networks() -> dict[str, tuple[str, ...]]:
    """Return why an address of this host must never be banned -> addresses and networks."""
    return {
        # First: the gateways of these networks are own addresses too, but this reason says more.
        CONTAINERS: container_networks(),
        OWN: addresses(),
        GATEWAY: gateways(),
        RESOLVER: resolvers(),
    }


def addresses() -> tuple[str, ...]:
    """The host's own addresses, IPv4 and IPv6."""
    return *parse_fib_trie(_text(NET / "fib_trie")), *parse_if_inet6(_text(NET / "if_inet6"))


def gateways() -> tuple[str, ...]:
    """The next hops of the host's routes."""
    return *parse_route(_text(NET / "route")), *parse_ipv6_route(_text(NET / "ipv6_route"))


def container_networks() -> tuple[str, ...]:
    """Where the host's routes say that containers and pods are, whoever made them (Docker, Podman, Kubernetes)."""
    return *parse_inside(_text(NET / "route")), *parse_inside6(_text(NET / "ipv6_route"))


def interfaces() -> tuple[str, ...]:
    """The names of the host's network devices."""
    return parse_dev(_text(NET / "dev"))


def resolvers() -> tuple[str, ...]:
    """The name servers that the host asks."""
    return parse_resolv_conf(_text(RESOLV))


def parse_fib_trie(text: str) -> tuple[str, ...]:
    """A leaf `|-- 192.0.2.1` with `/32 host LOCAL` among the lines below it is an own address."""
    found: dict[str, None] = {}
    leaf = ""
    for line in text.splitlines():
        mark, _, rest = line.strip().partition(" ")
        if mark == "|--":
            leaf = rest
        elif mark == "/32" and rest == "host LOCAL":
            found[leaf] = None  # a table of rules lists it again
    return tuple(found)


def parse_if_inet6(text: str) -> tuple[str, ...]:
    """The first field of each line is an own address, in 32 hexadecimal digits."""
    return tuple(_v6(line.split()[0]) for line in text.splitlines())


def parse_route(text: str) -> tuple[str, ...]:
    """The third field of each line but the first is the gateway, in the machine's byte order; zeros: none."""
    hops = (int(line.split()[2], 16) for line in text.splitlines()[1:])
    return tuple(dict.fromkeys(socket.inet_ntoa(hop.to_bytes(4, sys.byteorder)) for hop in hops if hop))


def parse_ipv6_route(text: str) -> tuple[str, ...]:
    """The fifth field of each line is the next hop; zeros: none."""
    hops = (line.split()[4] for line in text.splitlines())
    return tuple(dict.fromkeys(_v6(hop) for hop in hops if int(hop, 16)))


def parse_dev(text: str) -> tuple[str, ...]:
    """Of each line but the first two, what is before the colon."""
    return tuple(line.partition(":")[0].strip() for line in text.splitlines()[2:])


def parse_inside(text: str) -> tuple[str, ...]:
    """Of each line but the first: second field the network and eighth its mask, in the machine's byte order."""
    found = []
    for line in text.splitlines()[1:]:
        device, low, _, _, _, _, _, mask, *_ = line.split()
        prefix = int(mask, 16).bit_count()
        if INSIDE.fullmatch(device) and prefix >= WIDEST[4]:
            found.append(f"{socket.inet_ntoa(int(low, 16).to_bytes(4, sys.byteorder))}/{prefix}")
    return tuple(dict.fromkeys(found))


def parse_inside6(text: str) -> tuple[str, ...]:
    """The first two fields of each line are the network and its prefix, in hexadecimal; the last is the device."""
    lines = [line.split() for line in text.splitlines()]
    found = [
        f"{_v6(low)}/{int(prefix, 16)}"
        for low, prefix, *_, device in lines
        if INSIDE.fullmatch(device) and int(prefix, 16) >= WIDEST[6]
    ]
    return tuple(dict.fromkeys(found))


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """`nameserver ADDRESS`, an IPv6 one perhaps with a zone, which is dropped. The resolver skips others too."""
    return tuple(dict.fromkeys(found[1] for found in _NAMESERVER.finditer(text) if parse_host(found[1])))


_NAMESERVER = re.compile(r"^[ \t]*nameserver[ \t]+([0-9A-Fa-f.:]+)", re.MULTILINE)


def _v6(digits: str) -> str:
    return str(IPv6Address(int(digits, 16)))


def _text(path: Path) -> str:
    """The file's text. Without IPv6 the kernel has no files for it."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
