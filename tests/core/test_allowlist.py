from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.address import Address, parse_address, parse_ban_target
from sidecar.core.allowlist import (
    CONTAINERS,
    GATEWAY,
    IGNOREIP,
    OWN,
    PROXY,
    RESOLVER,
    Allowlist,
    of_cdn,
    of_monitor,
)

HERE = Allowlist(
    {
        OWN: ["198.51.100.10", "2001:db8:100::10"],
        GATEWAY: ["198.51.100.1", "2001:db8:200::1"],
        RESOLVER: ["192.0.2.53", "fe80::1%eth0"],
        CONTAINERS: ["172.18.0.0/16", "fd00:6:6::/64"],
        IGNOREIP: ["203.0.113.64/26", "::ffff:192.0.2.1", "2001:db8:300::/48"],
    }
)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("203.0.113.7", None),  # the documentation's ranges are as good as any
        ("198.51.100.11", None),
        ("2001:db8:bad::1", None),
        ("11.0.0.1", None),
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("fe80::5054:ff:fe12:3456", "a resolver"),  # in one /64 with it
        ("fe80:0:0:1::1", "link-local"),
        ("224.0.0.251", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),
        ("255.255.255.255", "broadcast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.254", "reserved"),
        ("168.63.129.16", "the cloud's platform"),
        ("168.63.129.17", None),
        ("100.100.100.200", "the cloud's platform"),
        ("192.0.0.171", "IETF protocol assignments"),
        ("192.0.1.1", None),
        ("192.88.99.1", "6to4 relay"),
        ("192.88.98.255", None),
        ("64:ff9b::203.0.113.7", "NAT64"),
        ("64:ff9b:1:2::203.0.113.7", "NAT64"),
        ("64:ff9b:2::1", None),
        ("2001:0:cb00:7107:8000:63bf:3fff:fdd2", "Teredo"),  # its /64 is a server's, with all its clients
        ("2001:1::1", None),
        ("2002:cb00:7107::1", None),  # 6to4: a /64 is in one IPv4 host's network
        ("2002:c633:640a::1", "this host's own address"),  # 198.51.100.10
        ("2002:ac12:5::1", "a container network"),
        ("2002:7f00:1::1", "loopback"),
        ("2002:a01:203::1", "a private address"),
        ("::203.0.113.7", "loopback"),  # IPv4-compatible, in one /64 with ::1
        ("::ffff:0:203.0.113.7", "loopback"),  # IPv4-translated, likewise
        ("fec0::1", "a private address"),
        ("198.18.0.1", None),  # reserved for benchmarks, so it is no neighbour
        ("239.255.255.255", "multicast"),
        ("10.1.2.3", "a private address"),
        ("192.168.178.20", "a private address"),
        ("172.31.255.255", "a private address"),
        ("172.32.0.0", None),
        ("100.64.0.1", "a private address"),
        ("100.128.0.0", None),
        ("fdab::1", "a private address"),
        ("172.18.0.1", "a container network"),  # the nearer reason first: it is private as well
        ("fd00:6:6::42", "a container network"),
        ("198.51.100.10", "this host's own address"),
        ("2001:db8:100::99", "this host's own address"),  # a ban is for the /64, and we are in it
        ("198.51.100.1", "a gateway"),
        ("2001:db8:200::2", "a gateway"),
        ("192.0.2.53", "a resolver"),
        ("203.0.113.64", "ignoreip"),
        ("203.0.113.63", None),
        ("192.0.2.1", "ignoreip"),
        ("::ffff:192.0.2.1", "ignoreip"),
        ("2001:db8:300:ffff::1", "ignoreip"),
    ],
)
def test_the_reason_why_an_address_is_never_banned(address, reason):
    assert HERE.reason(parse_address(address)) == reason


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("203.0.113.0/24", "ignoreip"),  # a part of it is
        ("203.0.113.0/26", None),
        ("198.51.100.0/24", "this host's own address"),
        ("172.16.0.0/16", "a private address"),
        ("2001:db8::/32", "this host's own address"),
        ("2001:db9::/32", None),
    ],
)
def test_a_network_that_overlaps_is_not_banned(network, reason):
    assert HERE.reason(parse_ban_target(network)) == reason


def test_private_addresses_are_banned_where_asked_but_never_our_own():
    allowlist = Allowlist(
        {OWN: ["10.0.0.2"], GATEWAY: ["10.0.0.1"], CONTAINERS: ["172.18.0.0/16"]}, ban_private=True
    )

    addresses = ("10.0.0.3", "10.0.0.2", "10.0.0.1", "172.18.0.9", "172.19.0.9", "127.0.0.1")
    assert [allowlist.reason(Address(address)) for address in addresses] == [
        None,
        "this host's own address",
        "a gateway",
        "a container network",
        None,
        "loopback",
    ]


def test_answers_are_cached_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("sidecar.core.allowlist.CACHED_REASONS", 3)
    fresh = Allowlist()

    assert [fresh.reason(Address(f"172.15.113.{n}")) for n in range(10)] == [None] * 10
    assert [fresh.reason(Address(f"172.16.113.{n}")) for n in range(10)] == ["a private address"] * 10
    assert fresh.reason(Address("172.16.113.9")) == "a private address"
    assert 0 < len(fresh._cache) <= 3


def test_the_networks_for_the_kernel_do_not_overlap():
    allowlist = Allowlist(
        {GATEWAY: ["10.0.0.1"], IGNOREIP: ["203.0.113.0/25", "203.0.113.128/25"]}, ban_private=True
    )

    assert allowlist.networks(4) == (
        "0.0.0.0/8",
        "10.0.0.1/32",
        "100.100.100.200/32",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
    assert allowlist.networks(6) == (
        "::/127",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/24",
        "2002:a00:1::/48",
        "2002:6464:64c8::/48",
        "2002:7f00::/24",
        "2002:a83f:8110::/48",
        "2002:a9fe::/32",
        "2002:c000::/40",
        "2002:c058:6300::/40",
        "2002:cb00:7100::/40",
        "2002:e000::/19",
        "fe80::/10",
        "ff00::/8",
    )
    private = Allowlist()
    assert private.networks(4) == (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "224.0.0.0/3",
    )
    assert {"2002:a00::/24", "2002:c0a8::/32", "fc00::/7", "fe80::/9"} <= set(private.networks(6))


def test_a_cdn_is_a_reason_by_its_name():
    assert of_monitor("pingdom") == "an address of the monitoring service pingdom"
    allowlist = Allowlist({PROXY: ["192.0.2.1"], of_cdn("fastly"): ["151.101.0.0/16"]})

    assert [allowlist.reason(Address(text)) for text in ("192.0.2.1", "151.101.1.1", "151.102.0.1")] == [
        "a trusted proxy",
        "an address of the CDN fastly",
        None,
    ]


def test_text_that_is_no_address_is_refused():
    with pytest.raises(ValueError, match=r"'router\.example' is neither an address nor a network"):
        Allowlist({GATEWAY: ["router.example"]})


ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)
).map(str)


@given(st.lists(ADDRESSES, max_size=8), ADDRESSES)
def test_an_address_without_a_reason_overlaps_no_network(own, address):
    allowlist = Allowlist({OWN: own})
    banned = parse_address(address)
    net = ip_network(banned)
    never = [ip_network(text) for text in allowlist.networks(net.version)]

    assert (allowlist.reason(banned) is None) == (not any(net.overlaps(other) for other in never))


@given(st.lists(ADDRESSES, min_size=1, max_size=8), st.data())
def test_no_address_in_the_64_of_an_own_address_is_banned(own, data):
    allowlist = Allowlist({OWN: own})
    chosen = data.draw(st.sampled_from(own))
    if ":" in chosen:
        home = IPv6Network(f"{chosen}/64", strict=False)
        chosen = str(home[data.draw(st.integers(0, 2**64 - 1))])

    assert allowlist.reason(parse_address(chosen)) is not None
