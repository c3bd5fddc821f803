import math

import pytest

from sidecar.core.address import Address
from sidecar.core.jail import WEB_PORTS
from sidecar.firewall import address_drops, answers, ruleset, sightings
from sidecar.firewall.answers import AnswerFilter
from sidecar.firewall.desired import DesiredState
from sidecar.firewall.edits import Put, Remove
from sidecar.firewall.port_groups import PortGroup
from tests.firewall.decisions import EVERYTHING, LOGIN, SSH

HOUR = 3600.0


def test_new_bans_are_one_line_for_each_set():
    changes = [
        Put("ban4", "203.0.113.7", HOUR),
        Put("ban6", "2001:db8:1:2::", math.inf),
        Put("ban4", "203.0.113.8", HOUR),
    ]

    assert ruleset.element_lines(changes) == [
        "add element inet wp_sidecar ban4 { 203.0.113.7 timeout 0d3600s, 203.0.113.8 timeout 0d3600s }",
        "add element inet wp_sidecar ban6 { 2001:db8:1:2:: }",
    ]


def test_a_longer_ban_and_an_unban_do_not_depend_on_whether_the_address_is_there():
    changes = [Put("ban4", "203.0.113.7", HOUR, is_new=False), Remove("ban4", "203.0.113.9")]

    assert ruleset.element_lines(changes) == [
        "add element inet wp_sidecar ban4 { 203.0.113.7, 203.0.113.9 }",
        "delete element inet wp_sidecar ban4 { 203.0.113.7, 203.0.113.9 }",
        "add element inet wp_sidecar ban4 { 203.0.113.7 timeout 0d3600s }",
    ]


def test_networks_within_each_other_become_intervals_with_the_time_of_the_longest_ban():
    nets = {
        Address("203.0.113.0/24"): 50.0,
        Address("203.0.113.0/28"): 900.0,
        Address("203.0.113.64/26"): 20.0,
    }
    short, rest = "203.0.113.0-203.0.113.15 timeout 0d890s", "203.0.113.16-203.0.113.255 timeout 0d40s"

    assert ruleset.network_lines("net4", 4, nets, now=10.0) == [
        "flush set inet wp_sidecar net4",
        f"add element inet wp_sidecar net4 {{ {short}, {rest} }}",
    ]


def test_a_set_of_networks_whose_bans_are_over_is_emptied():
    assert ruleset.network_lines("net4", 4, {Address("203.0.113.0/24"): 10.0}, now=10.0) == [
        "flush set inet wp_sidecar net4"
    ]


def test_the_structure():
    desired = DesiredState([LOGIN, EVERYTHING])
    desired.set_topology(["10.0.0.0/8", "::1/128"], frozenset({8080}))

    assert ruleset.structure(desired) == [
        'add table inet wp_sidecar { comment "wp-sidecar schema 5"; }',
        "add counter inet wp_sidecar dropped4",
        "add counter inet wp_sidecar dropped6",
        "add counter inet wp_sidecar uncounted4",
        "add counter inet wp_sidecar uncounted6",
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
        *(f"add set inet wp_sidecar {name} {{ {made} }}" for name, made in sightings.sets()),
        *(f"add set inet wp_sidecar {name} {{ {made} }}" for name, made in address_drops.sets()),
        *(f"add set inet wp_sidecar {name} {{ {made} }}" for name, made in answers.sets()),
        "add chain inet wp_sidecar prerouting { type filter hook prerouting priority -310; policy accept; }",
        "add chain inet wp_sidecar forward { type filter hook forward priority -10; policy accept; }",
        "add chain inet wp_sidecar output { type filter hook output priority -10; policy accept; }",
        "add chain inet wp_sidecar presence",
        "add chain inet wp_sidecar dropping",
        "add chain inet wp_sidecar answers",
        "add chain inet wp_sidecar rejected",
        "flush chain inet wp_sidecar prerouting",
        *(
            f"add rule inet wp_sidecar prerouting {rule}"
            for rule in ruleset.rules([PortGroup(WEB_PORTS), PortGroup(None)])
        ),
        "flush chain inet wp_sidecar presence",
        *(f"add rule inet wp_sidecar presence {rule}" for rule in sightings.rules()),
        "flush chain inet wp_sidecar dropping",
        *(f"add rule inet wp_sidecar dropping {rule}" for rule in address_drops.rules()),
        *(
            line
            for chain, rules in answers.rules(
                AnswerFilter.ALL, [PortGroup(WEB_PORTS), PortGroup(None)]
            ).items()
            for line in (
                f"flush chain inet wp_sidecar {chain}",
                *(f"add rule inet wp_sidecar {chain} {rule}" for rule in rules),
            )
        ),
        "flush set inet wp_sidecar allow4",
        "add element inet wp_sidecar allow4 { 10.0.0.0-10.255.255.255 }",
        "flush set inet wp_sidecar allow6",
        "add element inet wp_sidecar allow6 { ::1 }",
        "flush set inet wp_sidecar ports",
        "add element inet wp_sidecar ports { 80, 443, 8080 }",
    ]


def test_the_rules_of_a_group_and_of_the_group_for_all_ports():
    tcp_udp, mask = "meta l4proto { tcp, udp }", "ffff:ffff:ffff:ffff::"

    assert list(ruleset.rules([PortGroup(WEB_PORTS), PortGroup(None)])) == [
        "iif lo accept",
        # Once, where the most ports are.
        f"{tcp_udp} jump presence",
        "ip saddr @allow4 accept",
        "ip6 saddr @allow6 accept",
        "tcp flags & (syn | ack) == syn tcp option mptcp subtype 1 drop",
        f"ip saddr @ban4 {tcp_udp} th dport @ports goto dropping",
        f"ip saddr @net4 {tcp_udp} th dport @ports goto dropping",
        f"ip6 saddr & {mask} @ban6 {tcp_udp} th dport @ports goto dropping",
        f"ip6 saddr @net6 {tcp_udp} th dport @ports goto dropping",
        f"ip saddr @ban4_all {tcp_udp} goto dropping",
        f"ip saddr @net4_all {tcp_udp} goto dropping",
        f"ip6 saddr & {mask} @ban6_all {tcp_udp} goto dropping",
        f"ip6 saddr @net6_all {tcp_udp} goto dropping",
        # Where all ports are closed, there is no open one to record.
        sightings.passed_rule(4, "ip saddr @ban4"),
        sightings.passed_rule(4, "ip saddr @net4"),
        sightings.passed_rule(6, f"ip6 saddr & {mask} @ban6"),
        sightings.passed_rule(6, "ip6 saddr @net6"),
    ]


def test_senders_are_recorded_for_each_group_if_none_is_for_all_ports():
    assert [
        rule
        for rule in ruleset.rules([PortGroup(WEB_PORTS), PortGroup(frozenset({22}))])
        if "presence" in rule
    ] == [
        "meta l4proto { tcp, udp } th dport @ports jump presence",
        "meta l4proto { tcp, udp } th dport @ports_22 jump presence",
    ]


@pytest.mark.parametrize(
    ("supported", "rules"), [(AnswerFilter.ALL, 58), (AnswerFilter.HOST, 49), (AnswerFilter.NONE, 33)]
)
def test_the_names_and_the_number_of_rules_are_those_of_the_structure(supported, rules):
    desired = DesiredState([LOGIN, SSH])
    desired.answers = supported
    lines = ruleset.structure(desired)
    chains, sets, counters = ruleset.names(desired)

    for kind, names in (("chain", chains), ("set", sets), ("counter", counters)):
        assert {line.split()[4] for line in lines if line.startswith(f"add {kind} ")} == names
    assert ruleset.rule_count(desired) == sum("add rule" in line for line in lines) == rules


def test_groups_are_deleted_with_all_their_sets():
    assert ruleset.delete_groups([PortGroup(SSH.ports), PortGroup(None)]) == [
        f"delete set inet wp_sidecar {name}"
        for name in (
            "ban4_22", "ban6_22", "net4_22", "net6_22", "ports_22", "ban4_all", "ban6_all", "net4_all", "net6_all",
        )
    ]  # fmt: skip


def test_to_forget_sightings_is_right_whether_or_not_there_is_something_to_forget():
    both = "missed { ipv4, ipv6 }"

    assert ruleset.forget_sightings() == [
        f"add element inet wp_sidecar {both}",
        f"delete element inet wp_sidecar {both}",
        f"add element inet wp_sidecar {both}",
    ]
