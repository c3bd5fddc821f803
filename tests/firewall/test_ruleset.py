import math
from ipaddress import ip_address

import pytest

from sidecar.core.address import Address
from sidecar.core.jail import WEB
from sidecar.firewall import ruleset as changes
from sidecar.firewall import sighting_sets
from sidecar.firewall.ruleset import Gate, Put, Take

HOUR = 3600.0


@pytest.mark.parametrize(
    ("ports", "hosts", "nets", "ports_set"),
    [
        (WEB, "ban4", "net6", "ports"),
        (None, "ban4_all", "net6_all", "ports_all"),
        (frozenset({22}), "ban4_22", "net6_22", "ports_22"),
        (frozenset({8443, 25}), "ban4_25_8443", "net6_25_8443", "ports_25_8443"),
        (frozenset(range(9000, 9100)), "ban4_xefac4169", "net6_xefac4169", "ports_xefac4169"),
    ],
)
def test_a_gate_names_its_sets_after_its_ports(ports, hosts, nets, ports_set):
    gate = Gate(ports)

    assert (gate.hosts(4), gate.nets(6), gate.open_to) == (hosts, nets, ports_set)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.7", "ban4"),
        ("2001:db8:1:2::/64", "ban6"),
        ("203.0.113.0/24", "net4"),
        ("203.0.0.0/16", "net4"),
        ("2001:db8::/32", "net6"),
        ("2001:db8:1::/63", "net6"),
    ],
)
def test_everyone_has_a_seat(address, expected):
    assert changes.seat(Address(address), Gate(WEB)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "localhost",  # nft would ask the resolver
        "",
        "203.0.113.7 }",
        "203.0.113.7, 10.0.0.1",
        "203.0.113.7\nflush ruleset",
        "203.0.113",
        "0x7f000001",
        "203.0.113.7/32",
        "203.0.113.7/24",  # host bits
        "0.0.0.0/0",
        "203.0.0.0/15",
        "2001:db8::1",
        "2001:db8::1/64",
        "2001:db8::/65",
        "2001:db8::/31",
        "::/0",
        "fe80::%eth0/64",
        "@ban4/64",
        "2001:DB8::/64",  # as nobody writes a number
        "2001:db8:0::/64",
        "2001:db8:0::/48",
    ],
)
def test_what_core_does_not_make_gets_no_seat(text):
    with pytest.raises(ValueError, match="cannot be banned"):
        changes.seat(Address(text), Gate(WEB))


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (0.2, " timeout 0d1s"),
        (59.01, " timeout 0d60s"),  # never shorter than promised
        (86_400.0, " timeout 1d0s"),
        (315_360_000.0, " timeout 3650d0s"),  # nft reads eight digits at most
        (math.inf, ""),
    ],
)
def test_how_long(left, expected):
    assert changes.lasting(left) == expected


def test_new_bans_are_one_line_for_each_set():
    edits = [
        Put("ban4", "203.0.113.7", HOUR),
        Put("ban6", "2001:db8:1:2::", math.inf),
        Put("ban4", "203.0.113.8", HOUR),
    ]

    assert changes.bans(edits) == [
        "add element inet wp_sidecar ban4 { 203.0.113.7 timeout 0d3600s, 203.0.113.8 timeout 0d3600s }",
        "add element inet wp_sidecar ban6 { 2001:db8:1:2:: }",
    ]


def test_a_longer_ban_and_an_unban_are_fine_whether_the_address_is_there_or_not():
    edits = [Put("ban4", "203.0.113.7", HOUR, fresh=False), Take("ban4", "203.0.113.9")]

    assert changes.bans(edits) == [
        "add element inet wp_sidecar ban4 { 203.0.113.7, 203.0.113.9 }",
        "delete element inet wp_sidecar ban4 { 203.0.113.7, 203.0.113.9 }",
        "add element inet wp_sidecar ban4 { 203.0.113.7 timeout 0d3600s }",
    ]


def test_networks_in_each_other_become_pieces_each_as_long_as_its_longest_ban():
    nets = {
        Address("203.0.113.0/24"): 50.0,
        Address("203.0.113.0/28"): 900.0,
        Address("203.0.113.64/26"): 20.0,
    }
    short, rest = "203.0.113.0-203.0.113.15 timeout 0d890s", "203.0.113.16-203.0.113.255 timeout 0d40s"

    assert changes.networks("net4", 4, nets, now=10.0) == [
        "flush set inet wp_sidecar net4",
        f"add element inet wp_sidecar net4 {{ {short}, {rest} }}",
    ]


def test_no_networks_are_an_empty_set():
    assert changes.networks("net4", 4, {Address("203.0.113.0/24"): 10.0}, now=10.0) == [
        "flush set inet wp_sidecar net4"
    ]


def test_a_set_is_amended_where_it_differs_and_only_there():
    wanted = {
        Address("203.0.113.1"): 100.0,  # as it is
        Address("203.0.113.2"): 100.0,  # someone gave it another time
        Address("203.0.113.3"): 100.0,  # someone took it out
        Address("203.0.113.4"): math.inf,  # as it is
        Address("203.0.113.5"): math.inf,  # not for good in the kernel
        Address("203.0.113.6"): 1.0,  # about to end, so the kernel may have ended it
        Address("203.0.113.7"): 100.0,  # as it is: rounded up, and written a little later
    }
    there = {
        bytes([203, 0, 113, 1]): 99.2,
        bytes([203, 0, 113, 2]): 9.0,
        bytes([203, 0, 113, 4]): math.inf,
        bytes([203, 0, 113, 5]): 100.0,
        bytes([203, 0, 113, 7]): 103.0,
        bytes([203, 0, 113, 99]): 100.0,
    }

    assert changes.amend("ban4", wanted, there, now=0.0) == [
        Put("ban4", "203.0.113.2", 100.0, fresh=False),
        Put("ban4", "203.0.113.3", 100.0, fresh=True),
        Put("ban4", "203.0.113.5", math.inf, fresh=False),
        Take("ban4", "203.0.113.99"),
    ]


def test_the_structure():
    assert changes.structure([Gate(WEB), Gate(None)], ["10.0.0.0/8", "::1/128"], frozenset({8080})) == [
        'add table inet wp_sidecar { comment "wp-sidecar schema 3"; }',
        "add counter inet wp_sidecar dropped4",
        "add counter inet wp_sidecar dropped6",
        "add set inet wp_sidecar allow4 { typeof ip saddr; flags interval; auto-merge; }",
        "add set inet wp_sidecar allow6 { typeof ip6 saddr; flags interval; auto-merge; }",
        "add set inet wp_sidecar ports { typeof th dport; }",
        "add set inet wp_sidecar ban4 { typeof ip saddr; flags timeout; }",
        "add set inet wp_sidecar net4 { typeof ip saddr; flags interval, timeout; }",
        "add set inet wp_sidecar ban6 { typeof ip6 saddr; flags timeout; }",
        "add set inet wp_sidecar net6 { typeof ip6 saddr; flags interval, timeout; }",
        "add set inet wp_sidecar ban4_all { typeof ip saddr; flags timeout; }",
        "add set inet wp_sidecar net4_all { typeof ip saddr; flags interval, timeout; }",
        "add set inet wp_sidecar ban6_all { typeof ip6 saddr; flags timeout; }",
        "add set inet wp_sidecar net6_all { typeof ip6 saddr; flags interval, timeout; }",
        *(f"add set inet wp_sidecar {name} {{ {made} }}" for name, made in sighting_sets.sets()),
        "add chain inet wp_sidecar prerouting { type filter hook prerouting priority -310; policy accept; }",
        "add chain inet wp_sidecar presence",
        "flush chain inet wp_sidecar prerouting",
        *(f"add rule inet wp_sidecar prerouting {rule}" for rule in changes.rules([Gate(WEB), Gate(None)])),
        "flush chain inet wp_sidecar presence",
        *(f"add rule inet wp_sidecar presence {rule}" for rule in sighting_sets.rules()),
        "flush set inet wp_sidecar allow4",
        "add element inet wp_sidecar allow4 { 10.0.0.0-10.255.255.255 }",
        "flush set inet wp_sidecar allow6",
        "add element inet wp_sidecar allow6 { ::1 }",
        "flush set inet wp_sidecar ports",
        "add element inet wp_sidecar ports { 80, 443, 8080 }",
    ]


def test_the_rules_of_a_gate_and_of_the_gate_for_all_ports():
    tcp_udp, mask = "meta l4proto { tcp, udp }", "ffff:ffff:ffff:ffff::"

    assert list(changes.rules([Gate(WEB), Gate(None)])) == [
        "iif lo accept",
        f"{tcp_udp} jump presence",  # once, at the widest
        "ip saddr @allow4 accept",
        "ip6 saddr @allow6 accept",
        f"{tcp_udp} th dport @ports ip saddr @ban4 counter name dropped4 drop",
        f"{tcp_udp} th dport @ports ip saddr @net4 counter name dropped4 drop",
        f"{tcp_udp} th dport @ports ip6 saddr & {mask} @ban6 counter name dropped6 drop",
        f"{tcp_udp} th dport @ports ip6 saddr @net6 counter name dropped6 drop",
        f"{tcp_udp} ip saddr @ban4_all counter name dropped4 drop",
        f"{tcp_udp} ip saddr @net4_all counter name dropped4 drop",
        f"{tcp_udp} ip6 saddr & {mask} @ban6_all counter name dropped6 drop",
        f"{tcp_udp} ip6 saddr @net6_all counter name dropped6 drop",
        # of whom all ports are closed to, nobody passes
        sighting_sets.passing(4, "ip saddr @ban4"),
        sighting_sets.passing(4, "ip saddr @net4"),
        sighting_sets.passing(6, f"ip6 saddr & {mask} @ban6"),
        sighting_sets.passing(6, "ip6 saddr @net6"),
    ]


def test_senders_are_noted_at_each_gate_where_none_is_for_all_ports():
    assert [rule for rule in changes.rules([Gate(WEB), Gate(frozenset({22}))]) if "presence" in rule] == [
        "meta l4proto { tcp, udp } th dport @ports jump presence",
        "meta l4proto { tcp, udp } th dport @ports_22 jump presence",
    ]


def test_who_is_in_a_set_is_read_back_as_who_they_are():
    there = {
        bytes([203, 0, 113, 7]): 9.0,
        bytes.fromhex("20010db8000100020000000000000000"): math.inf,
        bytes.fromhex("20010db8000100020000000000000001"): 5.0,  # no customer, so it keeps nobody out
    }

    assert list(changes.customers(there)) == [("203.0.113.7", 9.0), ("2001:db8:1:2::/64", math.inf)]


def test_ranges_are_read_back_as_networks_of_allowed_width():
    low = int(ip_address("198.18.0.0"))

    assert list(changes.ranges(4, {(low, low + 2 * 65536 - 1): 9.0})) == [
        ("198.18.0.0/16", 9.0),
        ("198.19.0.0/16", 9.0),
    ]
    assert list(changes.ranges(4, {(low + 255, low + 256): 9.0})) == [
        ("198.18.0.255", 9.0),
        ("198.18.1.0", 9.0),
    ]
    assert list(changes.ranges(6, {(0x20010DB8 << 96, (0x20010DB8 << 96) + (1 << 65) - 1): 9.0})) == [
        ("2001:db8::/63", 9.0)
    ]


def test_chunks_keep_everyone():
    edits = [Take("ban4", str(n)) for n in range(5)]

    assert changes.chunks(edits, 2) == [edits[:2], edits[2:4], edits[4:]]
    assert changes.chunks([]) == []
