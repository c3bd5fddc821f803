"""The kernel's tables in /proc, and one host of our own with a real kernel."""

import re
import subprocess
import sys

import pytest

from sidecar.app import host

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.10
           /32 host LOCAL
           /32 link UNICAST
        |-- 192.0.2.255
           /32 link BROADCAST
        |-- 192.0.2.10
           /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000010 02 40 00 80     eth0
fe80000000000000024200fffe110002 02 40 20 80     eth0
"""
ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
eth0\t006433C6\t010200C0\t0003\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""
CONTAINER_ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
docker0\t00000000\t00000000\t0001\t0\t0\t900\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br-0123456789ab\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
br0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
flannel.1\t00012A0A\t00012A0A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
CONTAINER_ROUTES6 = (
    "20010db8000600060000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001    cni0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fe800000000000000000000000000001 00000400 00000001 00000000 00000003    cni0\n"
    "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001    eth0\n"
)
IPV6_ROUTE = (
    "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
)
RESOLV_CONF = """\
# nameserver 192.0.2.99
search example.com
nameserver 192.0.2.53
 nameserver fe80::53%eth0
nameserver\t2001:db8::53
nameserver 010.0.0.1
nameserver 192.0.2
options ndots:1
"""


def test_own_addresses_are_found():
    assert host.parse_fib_trie(FIB_TRIE) == ("127.0.0.1", "192.0.2.10")
    assert host.parse_if_inet6(IF_INET6) == ("::1", "2001:db8::10", "fe80::242:ff:fe11:2")


def test_gateways_are_found():
    route = ROUTE if sys.byteorder == "little" else ROUTE.replace("010200C0", "C0000201")

    assert host.parse_route(route) == ("192.0.2.1",)


def test_ipv6_gateways_are_found():
    assert host.parse_ipv6_route(IPV6_ROUTE) == ("fe80::1",)


def test_container_networks_are_found():
    """A default route through a container device is none, and neither is a bridge of the host's own."""
    little = sys.byteorder == "little"
    swapped = re.sub(r"\b[0-9A-F]{8}\b", lambda found: bytes.fromhex(found[0])[::-1].hex(), CONTAINER_ROUTES)

    assert host.parse_container_routes(CONTAINER_ROUTES if little else swapped) == (
        "172.17.0.0/16",
        "198.51.100.0/24",
        "10.42.1.0/24",
    )
    assert host.parse_ipv6_container_routes(CONTAINER_ROUTES6) == ("2001:db8:6:6::/64",)


def test_name_servers_are_found():
    assert host.parse_resolv_conf(RESOLV_CONF) == ("192.0.2.53", "fe80::53", "2001:db8::53")


@pytest.mark.parametrize(
    "parse",
    [
        host.parse_fib_trie,
        host.parse_if_inet6,
        host.parse_route,
        host.parse_ipv6_route,
        host.parse_container_routes,
        host.parse_ipv6_container_routes,
        host.parse_resolv_conf,
    ],
)
def test_an_empty_file_has_nothing(parse):
    assert parse("") == ()


def test_a_real_host_is_described():
    """In a network namespace with one link, two addresses, two routers, and a network of containers."""
    script = f"""
set -e
ip link set lo up
ip link add wps-eth type veth peer name wps-peer
ip link set wps-peer up
ip link set wps-eth up
ip address add 192.0.2.10/24 dev wps-eth
ip address add 2001:db8::10/64 dev wps-eth nodad
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8::1
ip link add docker9 type veth peer name wps-inside
ip link set wps-inside up
ip link set docker9 up
ip address add 203.0.113.1/28 dev docker9
ip address add 2001:db8:6::1/64 dev docker9 nodad
exec {sys.executable} -c 'from sidecar.app import host
print(*host.addresses()); print(*host.gateways()); print(*host.container_networks())'
"""
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    addresses, gateways, containers = done.stdout.splitlines()
    assert {a for a in addresses.split() if not a.startswith("fe80:")} == {
        "127.0.0.1",
        "192.0.2.10",
        "::1",
        "2001:db8::10",
        "203.0.113.1",
        "2001:db8:6::1",
    }
    assert gateways == "192.0.2.1 2001:db8::1"
    assert "203.0.113.0/28" in containers.split() and "2001:db8:6::/64" in containers.split()
    assert all(
        text.startswith(("203.0.113.", "2001:db8:6:", "fe80:", "ff00:")) for text in containers.split()
    )


def test_devices_are_found():
    text = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1027770    7214    0    0    0     0          0         0  1027770    7214    0    0    0     0       0          0
cilium_host:     0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
"""

    assert host.parse_dev(text) == ("lo", "cilium_host")
    assert "lo" in host.interfaces()
