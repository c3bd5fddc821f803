from dataclasses import replace

from sidecar.advice.exposure import entrances, exposed_by, exposure
from sidecar.core.containers import Container

PROXIED = Container("1", "blog", "wordpress", gateways=("172.18.0.1", "fd00::1"), ipv6_proxied=True)
DUAL = Container("2", "shop", "wordpress", gateways=("172.19.0.1", "fd00:6::1"))


def test_a_container_whose_ipv6_clients_appear_as_its_gateway_is_exposed():
    assert exposure(PROXIED) == (
        "IPv6 clients reach blog through Docker's userland proxy and appear as 172.18.0.1, so they cannot be banned and "
        "can forge the address in the log. Enable IPv6 on one of the container's networks, or publish its ports for IPv4 "
        "only (0.0.0.0:80:80)"
    )
    assert "appear as its gateway, " in exposure(Container("1", "blog", "wordpress", ipv6_proxied=True))


def test_a_container_with_an_ipv6_network_is_not_exposed():
    assert exposure(DUAL) is None


NGINX = Container(
    "3", "nginx", "nginx", published=frozenset({80}), gateways=("172.19.0.1",), ipv6_proxied=True
)


def test_a_site_behind_a_proxy_that_ipv6_clients_reach_as_its_gateway_is_exposed():
    site = replace(DUAL, front_ends=(NGINX,))

    assert exposure(site) == (
        "IPv6 clients reach nginx through Docker's userland proxy and appear as 172.19.0.1, so they cannot be banned and "
        "can forge the address in the logs of nginx, shop. Enable IPv6 on one of the container's networks, or publish its "
        "ports for IPv4 only (0.0.0.0:80:80)"
    )
    assert "in the logs of nginx, a, b, c and 2 more. " in exposed_by(NGINX, ["a", "b", "c", "d", "e"])


def test_each_way_in_is_one():
    assert entrances(replace(PROXIED, front_ends=(NGINX,))) == (replace(PROXIED, front_ends=(NGINX,)), NGINX)


def test_a_neighbour_that_publishes_no_web_port_exposes_nothing():
    database = replace(NGINX, published=frozenset({3306}), target_ports=frozenset({3306}))

    assert exposure(replace(DUAL, front_ends=(database,))) is None


def test_of_a_joined_network_the_owner_is_to_be_changed():
    assert "Enable IPv6 on one of vpn's networks, " in exposure(replace(PROXIED, network_of="vpn"))
