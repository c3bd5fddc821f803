"""The host's network as /proc describes it: own addresses, routers, name servers, container networks.

A ban of one of these would cut off the host itself, so they are allowlisted. A function that reads a file has a parser
beside it that only sees the text.
"""

from __future__ import annotations

import re
import socket
import sys
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from sidecar.core.address import parse_host
from sidecar.core.allowlist import CONTAINERS, GATEWAY, OWN, RESOLVER

# Files of the network namespace that the process is in: with `network_mode: host`, the host's.
PROC_NET: Final = Path("/proc/net")
RESOLV_CONF: Final = Path("/etc/resolv.conf")

# Devices that lead to containers, by the names that Docker, Podman, the CNI plugins, libvirt and LXD give them. Not any
# bridge: the host's own network may be one (br0, vmbr0).
CONTAINER_DEVICE: Final = re.compile(
    r"docker\d+|docker_gwbridge|br-[0-9a-f]{12}|podman\d+|cni[\w.-]*|cbr0|kube-bridge|flannel[\w.-]*|cali[0-9a-f]+|tunl0"
    r"|vxlan[\w.-]*calico|cilium_\w+|lxc\w*|weave|virbr\d+|lxdbr\d+|incusbr\d+|antrea-gw\d+"
    r"|ovn-k8s-mp\d+|eni[0-9a-f]{11}|gke[0-9a-f]{11}",
    re.ASCII,
)

# A default route through such a device, or one of its two halves, does not make the Internet a container network.
MAX_DEFAULT_PREFIX: Final = 1

# resolv.conf(5)
_NAMESERVER: Final = re.compile(r"^[ \t]*nameserver[ \t]+([0-9A-Fa-f.:]+)", re.MULTILINE)


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
    """Return the host's own addresses, IPv4 and IPv6."""
    return *parse_fib_trie(_text(PROC_NET / "fib_trie")), *parse_if_inet6(_text(PROC_NET / "if_inet6"))


def gateways() -> tuple[str, ...]:
    """Return the next hops of the host's routes."""
    return *parse_route(_text(PROC_NET / "route")), *parse_ipv6_route(_text(PROC_NET / "ipv6_route"))


def container_networks() -> tuple[str, ...]:
    """Return the networks of containers and pods, as far as the host has routes to them."""
    ipv4 = parse_container_routes(_text(PROC_NET / "route"))
    return *ipv4, *parse_ipv6_container_routes(_text(PROC_NET / "ipv6_route"))


def interfaces() -> tuple[str, ...]:
    """Return the names of the host's network devices."""
    return parse_dev(_text(PROC_NET / "dev"))


def resolvers() -> tuple[str, ...]:
    """Return the name servers that the host asks."""
    return parse_resolv_conf(_text(RESOLV_CONF))


def parse_fib_trie(text: str) -> tuple[str, ...]:
    """Return the leaves (`|-- 192.0.2.1`) with `/32 host LOCAL` among the lines below them: own addresses."""
    found: dict[str, None] = {}
    leaf = ""
    for line in text.splitlines():
        mark, _, rest = line.strip().partition(" ")
        if mark == "|--":
            leaf = rest
        elif mark == "/32" and rest == "host LOCAL":
            # Each routing table lists it.
            found[leaf] = None
    return tuple(found)


def parse_if_inet6(text: str) -> tuple[str, ...]:
    """Return the first field of each line: an own address in 32 hexadecimal digits."""
    return tuple(_v6(line.split()[0]) for line in text.splitlines())


def parse_route(text: str) -> tuple[str, ...]:
    """Return the third field of each line but the first: a gateway in the machine's byte order; zeros mean none."""
    hops = (int(line.split()[2], 16) for line in text.splitlines()[1:])
    return tuple(dict.fromkeys(socket.inet_ntoa(hop.to_bytes(4, sys.byteorder)) for hop in hops if hop))


def parse_ipv6_route(text: str) -> tuple[str, ...]:
    """Return the fifth field of each line: the next hop; zeros mean none."""
    hops = (line.split()[4] for line in text.splitlines())
    return tuple(dict.fromkeys(_v6(hop) for hop in hops if int(hop, 16)))


def parse_dev(text: str) -> tuple[str, ...]:
    """Return what each line but the first two has before the colon."""
    return tuple(line.partition(":")[0].strip() for line in text.splitlines()[2:])


def parse_container_routes(text: str) -> tuple[str, ...]:
    """Return the networks behind container devices.

    Each line but the first has the network in its second field and the mask in its eighth, in the machine's byte order.
    """
    found = []
    for line in text.splitlines()[1:]:
        device, low, _, _, _, _, _, mask, *_ = line.split()
        prefix = int(mask, 16).bit_count()
        if CONTAINER_DEVICE.fullmatch(device) and prefix > MAX_DEFAULT_PREFIX:
            found.append(f"{socket.inet_ntoa(int(low, 16).to_bytes(4, sys.byteorder))}/{prefix}")
    return tuple(dict.fromkeys(found))


def parse_ipv6_container_routes(text: str) -> tuple[str, ...]:
    """Return the networks behind container devices.

    Each line has the network and its prefix in the first two fields, in hexadecimal, and the device in the last.
    """
    lines = [line.split() for line in text.splitlines()]
    found = [
        f"{_v6(low)}/{int(prefix, 16)}"
        for low, prefix, *_, device in lines
        if CONTAINER_DEVICE.fullmatch(device) and int(prefix, 16) > MAX_DEFAULT_PREFIX
    ]
    return tuple(dict.fromkeys(found))


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """Return the addresses of the `nameserver` lines, without the zone of an IPv6 address.

    Lines with anything else are skipped, as the resolver skips them.
    """
    return tuple(dict.fromkeys(found[1] for found in _NAMESERVER.finditer(text) if parse_host(found[1])))


def _v6(digits: str) -> str:
    return str(IPv6Address(int(digits, 16)))


def _text(path: Path) -> str:
    """Return the file's text; "" where it is absent, as the files for IPv6 are on a kernel without it."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
