import math
from ipaddress import ip_address

import pytest

from sidecar.core.address import Address
from sidecar.firewall import elements


@pytest.mark.parametrize(
    ("address", "version", "is_host"),
    [
        ("203.0.113.7", 4, True),
        ("2001:db8:1:2::/64", 6, True),
        ("203.0.113.0/24", 4, False),
        ("203.0.0.0/16", 4, False),
        ("2001:db8::/32", 6, False),
        ("2001:db8:1::/63", 6, False),
    ],
)
def test_hosts_and_customers_are_keys_and_wider_networks_are_intervals(address, version, is_host):
    assert elements.classify(Address(address)) == (version, is_host)
    assert elements.host_version(Address(address)) == (version if is_host else None)


@pytest.mark.parametrize(
    "text",
    [
        # nft would ask the resolver.
        "localhost",
        "",
        "203.0.113.7 }",
        "203.0.113.7, 10.0.0.1",
        "203.0.113.7\nflush ruleset",
        "203.0.113",
        "0x7f000001",
        "203.0.113.7/32",
        "203.0.113.7/",
        "203.0.113.0/64",
        "2001:db8::/",
        # Host bits.
        "203.0.113.7/24",
        "0.0.0.0/0",
        "203.0.0.0/15",
        "2001:db8::1",
        "2001:db8::1/64",
        "2001:db8::/65",
        "2001:db8::/31",
        "::/0",
        "fe80::%eth0/64",
        "@ban4/64",
        # Not as a number is written.
        "2001:DB8::/64",
        "2001:db8:0::/64",
        "2001:db8:0::/48",
    ],
)
def test_what_is_not_written_as_an_address_that_may_be_banned_is_refused(text):
    with pytest.raises(ValueError, match="cannot be banned"):
        elements.classify(Address(text))


def test_a_host_has_a_key_and_is_written_without_a_prefix():
    assert elements.key(Address("203.0.113.7")) == bytes([203, 0, 113, 7])
    assert elements.key(Address("2001:db8:1:2::/64")) == bytes.fromhex("20010db80001000200" + 14 * "0")
    assert elements.element(Address("2001:db8:1:2::/64")) == "2001:db8:1:2::"
    assert elements.unpack(elements.pack("2001:db8:1:2::")) == "2001:db8:1:2::"
    with pytest.raises(OSError):
        elements.key(Address("localhost"))


def test_an_interval_is_written_as_a_range_or_as_one_address():
    low = int(ip_address("203.0.113.0"))

    assert elements.interval_text(4, low, low + 15) == "203.0.113.0-203.0.113.15"
    assert elements.interval_text(6, 1, 1) == "::1"


def test_allowlisted_networks_of_one_version_are_merged():
    networks = ("203.0.113.0/24", "2001:db8::/32", "203.0.113.64/26", "198.51.100.1/32")
    first = int(ip_address("203.0.113.0"))

    assert elements.merged_intervals(4, networks) == (
        (int(ip_address("198.51.100.1")), int(ip_address("198.51.100.1"))),
        (first, first + 255),
    )
    assert elements.interval_texts(4, networks) == ("198.51.100.1", "203.0.113.0-203.0.113.255")
    assert elements.interval_texts(6, networks) == ("2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",)


def test_banned_networks_become_intervals_with_the_time_of_the_longest_ban():
    first = int(ip_address("203.0.113.0"))
    networks = {
        Address("203.0.113.0/24"): 50.0,
        Address("203.0.113.0/28"): 900.0,
        Address("10.0.0.0/16"): 10.0,
    }

    assert elements.ban_intervals(networks, now=10.0) == {
        (first, first + 15): 890.0,
        (first + 16, first + 255): 40.0,
    }


@pytest.mark.parametrize(
    ("found_s", "left_s", "equivalent"),
    [
        (None, 100.0, False),
        (100.0, 100.0, True),
        (98.5, 100.0, True),
        (97.0, 100.0, False),
        (104.9, 100.0, True),
        (106.0, 100.0, False),
        (math.inf, math.inf, True),
        (math.inf, 100.0, False),
        (math.inf, 4e9, True),
    ],
)
def test_timeouts_are_compared_as_exactly_as_the_kernel_keeps_them(found_s, left_s, equivalent):
    assert elements.is_equivalent(found_s, left_s) is equivalent


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (0.2, " timeout 0d1s"),
        (59.01, " timeout 0d60s"),
        (86_400.0, " timeout 1d0s"),
        # nft reads eight digits at most.
        (315_360_000.0, " timeout 3650d0s"),
        (math.inf, ""),
    ],
)
def test_a_timeout_is_in_whole_seconds_and_never_shorter_than_the_ban(left, expected):
    assert elements.timeout_text(left) == expected


def test_keys_are_read_back_as_addresses():
    there = {
        bytes([203, 0, 113, 7]): 9.0,
        bytes.fromhex("20010db8000100020000000000000000"): math.inf,
        # No customer's key, so it bans no packet.
        bytes.fromhex("20010db8000100020000000000000001"): 5.0,
    }

    assert list(elements.hosts_from_keys(there)) == [("203.0.113.7", 9.0), ("2001:db8:1:2::/64", math.inf)]


def test_intervals_are_read_back_as_networks_of_allowed_width():
    low = int(ip_address("198.18.0.0"))

    assert list(elements.networks_from_intervals(4, {(low, low + 2 * 65536 - 1): 9.0})) == [
        ("198.18.0.0/16", 9.0),
        ("198.19.0.0/16", 9.0),
    ]
    assert list(elements.networks_from_intervals(4, {(low + 255, low + 256): 9.0})) == [
        ("198.18.0.255", 9.0),
        ("198.18.1.0", 9.0),
    ]
    assert list(
        elements.networks_from_intervals(6, {(0x20010DB8 << 96, (0x20010DB8 << 96) + (1 << 65) - 1): 9.0})
    ) == [("2001:db8::/63", 9.0)]
