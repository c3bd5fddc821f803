"""Which containers stand in front of a site, by what Docker's list says."""

from dataclasses import replace

import pytest

from sidecar.core.containers import Container
from sidecar.core.front_ends import (
    FrontEnds,
    joined_by,
    serves_web,
    with_joined_networks,
)

BLOG = Container("blog", "blog", "wordpress:fpm", networks=frozenset({"inner"}))
NGINX = Container("nginx", "nginx", "nginx", published=frozenset({80}), networks=frozenset({"inner", "edge"}))
DB = Container("db", "db", "mariadb", networks=frozenset({"inner"}))
TRAEFIK = Container(
    "traefik", "traefik", "traefik", published=frozenset({80, 443}), networks=frozenset({"edge"})
)


def in_front(site, *containers):
    return [each.name for each in FrontEnds((site, *containers)).of(site)]


def test_it_publishes_ports_and_shares_a_network():
    assert in_front(BLOG, DB, NGINX) == ["nginx"]
    assert in_front(BLOG, replace(NGINX, published=frozenset())) == []
    assert in_front(BLOG, replace(NGINX, networks=frozenset({"edge"}))) == []


def test_a_database_that_publishes_a_port_cannot_be_told_apart():
    assert in_front(BLOG, replace(DB, published=frozenset({3306})), NGINX) == ["db", "nginx"]


def test_a_proxy_before_a_server_that_publishes_nothing_is_found():
    inner = replace(NGINX, published=frozenset())

    assert in_front(BLOG, DB, inner, TRAEFIK) == ["traefik"]
    # Nothing is searched beyond what leads to the site.
    assert in_front(BLOG, DB, NGINX, TRAEFIK) == ["nginx"]
    assert in_front(replace(BLOG, published=frozenset({8080})), inner, TRAEFIK) == []
    assert in_front(replace(BLOG, is_on_host=True), inner, TRAEFIK) == []


def test_another_wordpress_is_a_site_and_no_front_end():
    other = replace(NGINX, image="wordpress:apache")

    assert in_front(BLOG, other) == []


def test_on_the_hosts_network_every_port_is_published():
    host = frozenset({"host"})

    assert in_front(replace(BLOG, networks=host), replace(NGINX, published=frozenset(), networks=host)) == []
    assert in_front(
        replace(BLOG, networks=host, is_on_host=True),
        replace(NGINX, published=frozenset(), networks=host, is_on_host=True),
    ) == ["nginx"]


OWNER = Container(
    "vpn", "vpn", "gluetun", published=frozenset({8080}), gateways=("172.18.0.1",), ipv6_proxied=True,
    bypasses_firewall=True, target_ports=frozenset({80}), networks=frozenset({"lan"}), is_on_host=True,
)  # fmt: skip


def test_a_container_that_joined_another_has_its_ports_and_networks():
    site = replace(BLOG, joined="vpn", networks=frozenset())
    third = replace(DB, joined="blog", networks=frozenset())
    owner, joined, further = with_joined_networks([OWNER, site, third])

    assert owner == replace(OWNER, networks=frozenset({"lan", "vpn"}))
    theirs = {
        "published": frozenset({8080}), "gateways": ("172.18.0.1",), "ipv6_proxied": True,
        "bypasses_firewall": True, "target_ports": frozenset({80}), "networks": frozenset({"lan", "vpn"}),
        "network_of": "vpn", "is_on_host": True,
    }  # fmt: skip
    assert joined == replace(site, **theirs)
    assert further == replace(third, **theirs)
    assert in_front(joined, owner) == ["vpn"]


def test_a_server_that_joined_the_site_is_in_front_of_it():
    site = replace(BLOG, published=frozenset({8080}))
    joined = with_joined_networks([site, replace(NGINX, joined="blog", published=frozenset())])

    assert in_front(joined[0], joined[1]) == ["nginx"]


@pytest.mark.parametrize("joined", ["gone", "blog"])
def test_an_owner_that_does_not_run_and_a_circle_change_nothing(joined):
    site = replace(BLOG, joined=joined)

    assert with_joined_networks([site]) == (replace(site, networks=frozenset({"inner", "blog"})),)


@pytest.mark.parametrize(("mode", "container"), [("container:abc", "abc"), ("bridge", ""), ("", "")])
def test_the_network_mode_names_the_container(mode, container):
    assert joined_by(mode) == container


@pytest.mark.parametrize(
    ("published", "target", "web"),
    [({8090}, {80}, True), ({443}, set(), True), ({3306}, {3306}, False), (set(), set(), False)],
)
def test_web_servers_are_known_by_their_ports(published, target, web):
    assert serves_web(replace(DB, published=frozenset(published), target_ports=frozenset(target))) is web


def test_containers_that_join_no_other_stay_as_they_are():
    assert with_joined_networks([BLOG, NGINX]) == (BLOG, NGINX)
