"""What the Engine's lists say about containers and networks."""

import pytest

from sidecar.core.containers import Container
from sidecar.sources.docker.inventory import bypassing_ids, container_of, network_addresses
from tests.sources.docker.standin import NETWORK


def test_subnets_and_gateways():
    listed = [
        NETWORK,
        {"IPAM": {"Config": None}},
        {"IPAM": None},
        {
            "IPAM": {
                "Config": [{"Subnet": "2001:db8::/64", "Gateway": "2001:db8::1/64"}, {"Gateway": "nonsense"}]
            }
        },
    ]

    assert network_addresses(listed) == ("172.17.0.0/16", "172.17.0.1/32", "2001:db8::/64", "2001:db8::1/128")


BRIDGE = {"Gateway": "172.17.0.1", "IPv6Gateway": "", "GlobalIPv6Address": ""}


DUAL = {"Gateway": "172.18.0.1", "IPv6Gateway": "2001:db8:1::1", "GlobalIPv6Address": "2001:db8:1::2"}


BOTH = [{"IP": "0.0.0.0", "PublicPort": 8080}, {"IP": "::", "PublicPort": 8080}]


def test_a_container_as_docker_describes_it():
    entry = {
        "Id": "1", "Names": ["/site"], "Labels": None, "Ports": [{"PrivatePort": 443}, *BOTH],
        "NetworkSettings": {"Networks": {"bridge": BRIDGE, "dual": DUAL}},
    }  # fmt: skip

    assert container_of(entry, "wordpress") == Container(
        "1",
        "site",
        "wordpress",
        {},
        frozenset({8080}),
        ("172.17.0.1", "172.18.0.1", "2001:db8:1::1"),
        listening=frozenset({443}),
    )


@pytest.mark.parametrize(
    ("ports", "attached", "proxied"),
    [
        (BOTH, {"bridge": BRIDGE}, True),
        (BOTH, {"dual": DUAL}, False),
        (BOTH[:1], {"bridge": BRIDGE}, False),
        ([], {"bridge": BRIDGE}, False),
    ],
)
def test_ipv6_clients_of_a_container_without_ipv6_come_as_the_gateway(ports, attached, proxied):
    entry = {
        "Id": "1",
        "Names": ["/site"],
        "Labels": {},
        "Ports": ports,
        "NetworkSettings": {"Networks": attached},
    }

    assert container_of(entry, "wordpress").ipv6_proxied == proxied


def test_ports_that_only_the_host_reaches():
    bindings = [("127.0.0.1", 8080), ("::1", 8080), ("127.0.0.1", 8443), ("192.0.2.1", 8443), ("0.0.0.0", 80)]
    entry = {
        "Id": "1", "Names": ["/web"], "Labels": {}, "NetworkSettings": {"Networks": {}},
        "Ports": [{"IP": address, "PublicPort": port} for address, port in bindings],
    }  # fmt: skip

    web = container_of(entry, "nginx")
    assert (web.published, web.loopback) == ({80, 8080, 8443}, {8080})


def test_which_containers_have_a_network_past_the_hosts_firewall():
    nets = [{"Id": driver, "Driver": driver} for driver in ("bridge", "macvlan", "ipvlan", "overlay")] + [{}]
    attached = {"1": ["bridge"], "2": ["bridge", "macvlan"], "3": ["ipvlan"], "4": ["overlay"], "5": []}
    entries = [
        {"Id": key, "NetworkSettings": {"Networks": {name: {"NetworkID": name} for name in names}}}
        for key, names in attached.items()
    ]

    assert bypassing_ids(nets, [*entries, {"Id": "6"}]) == {"2", "3"}


def test_networks_target_ports_and_the_network_mode():
    entry = {
        "Id": "1", "Names": ["/web"], "Labels": {}, "Ports": [{"PrivatePort": 80, "PublicPort": 8080}, {"PrivatePort": 9}],
        "HostConfig": {"NetworkMode": "host"},
        "NetworkSettings": {"Networks": {"lan": {"NetworkID": "f1"}, "old": {"NetworkID": ""}}},
    }  # fmt: skip

    web = container_of(entry, "nginx")
    assert (web.networks, web.target_ports, web.is_on_host) == ({"f1"}, {80}, True)
    assert container_of({**entry, "HostConfig": {"NetworkMode": "container:2"}}, "nginx").joined == "2"
