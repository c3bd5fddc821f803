"""Each reason why a ban keeps nobody out, in a kernel that is in that state."""

import time
from contextlib import closing
from dataclasses import replace

import pytest

from sidecar.core.events import Ban, Who
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall
from sidecar.firewall.diagnosis import KINDS, Diagnosis, Facts, diagnose

ANN, BOB, ANNS64 = Who("203.0.113.11"), "203.0.113.99", Who("2001:db8:bad:1::/64")
ANN6, BOB6 = "2001:db8:bad:1::11", "2001:db8:bad:2::12"
NET = Who("203.0.113.0/28")
SSH = Jail("ssh", ports=frozenset({22}))
OLD = "delete element inet wp_sidecar missed { ipv4, ipv6 }"


@pytest.fixture
def firewall(host):  # it is entered
    with closing(Firewall([Jail("login"), SSH, Jail("all", ports=None)])) as firewall:
        until = time.time() + 900
        firewall.start([Ban("login", who, 0.0, until, "failures") for who in (ANN, ANNS64, NET)], time.time())
        host.nft(OLD)
        yield firewall


def kind(firewall, who=ANN, jail="login", ports=frozenset({80}), *, proxied=False):
    return diagnose(firewall.look_at(who, jail, ports, proxied=proxied)).kind


def test_what_is_looked_at(host, firewall):
    host.lets_in(ANN, BOB6)
    facts = firewall.look_at(ANN, "login", frozenset({80, 22}), proxied=True)

    assert facts == Facts(
        ANN, "ban4", hooked=True, held=True, seen=True,
        senders=facts.senders, open=frozenset({22}), proxied=True,
    )  # fmt: skip
    assert min(facts.senders) >= 1


@pytest.mark.parametrize(
    "harm",
    [
        "flush ruleset",
        "flush chain inet wp_sidecar prerouting",
        "add table inet wp_sidecar { flags dormant; }",
        "add chain inet wp_sidecar prerouting { policy drop; }",
    ],
)
def test_the_hook_is_gone(host, firewall, harm):
    host.nft(harm)

    assert kind(firewall) == "hook"


def test_the_hook_is_not_on_the_packets_way(firewall):
    found = diagnose(firewall.look_at(ANN, "login", frozenset({80})))

    assert (found.kind, "network_mode: host" in found.sentence) == ("hook", True)


def test_the_set_was_emptied(host, firewall):
    host.nft("delete element inet wp_sidecar ban4 { 203.0.113.11 }\nflush set inet wp_sidecar net4")

    assert (kind(firewall), kind(firewall, NET)) == ("flushed", "flushed")


def test_one_in_a_banned_network_is_held_by_it(host, firewall):
    host.nft("delete element inet wp_sidecar ban4 { 203.0.113.11 }")

    assert firewall.look_at(ANN, "login").held


def test_the_site_is_reached_by_a_port_that_the_ban_does_not_close(host, firewall):
    host.lets_in(BOB)
    found = diagnose(firewall.look_at(ANN, "login", frozenset({80, 8443, 8080})))

    assert (found.kind, "does not close port 8080, 8443," in found.sentence) == ("ports", True)
    firewall.surround([], frozenset({8080, 8443}))
    assert kind(firewall, ports=frozenset({80, 8443, 8080})) != "ports"


def test_a_gate_for_all_ports_closes_every_port(firewall):
    assert firewall.look_at(ANN, "all", frozenset({8080})).open == frozenset()


def test_somebody_else_sends_for_them(host, firewall):
    host.lets_in(BOB)  # the CDN
    found = diagnose(firewall.look_at(ANN, "login", frozenset({80})))

    assert (found.kind, "trusted_proxies" in found.sentence) == ("elsewhere", True)


def test_they_come_by_ipv6_through_dockers_proxy(host, firewall):
    host.lets_in(BOB)
    assert kind(firewall, proxied=True) == "elsewhere"  # nobody came by IPv6

    host.lets_in(ANN6)
    assert (kind(firewall, proxied=True), kind(firewall)) == ("twin", "elsewhere")


def test_their_packets_are_dropped_and_somebody_gives_their_address_for_his_own(host, firewall):
    assert host.lets_in(ANN, BOB) == {BOB}
    found = diagnose(firewall.look_at(ANN, "login", frozenset({80})))

    assert (found.kind, "X-Forwarded-For" in found.sentence) == ("unknown", True)


def test_a_new_table_does_not_know(host, firewall):
    host.lets_in(BOB)
    host.nft("add element inet wp_sidecar missed { ipv4, ipv6 }")
    found = diagnose(firewall.look_at(ANN, "login", frozenset({80})))

    assert (found.kind, "the table is new" in found.sentence) == ("unknown", True)


def test_our_own_table_comes_before_the_way_of_the_packets():
    facts = Facts(ANN, "ban4", hooked=True, held=True, seen=False, senders=(1, 1), open=frozenset({8080}))

    assert [
        diagnose(replace(facts, **change)).kind
        for change in (
            {"hooked": False, "held": False},
            {"held": False},
            {},
            {"open": frozenset(), "senders": (0, 0)},
            {"open": frozenset()},
            {"open": frozenset(), "proxied": True},
            {"open": frozenset(), "seen": None},
        )
    ] == ["hook", "flushed", "ports", "hook", "elsewhere", "twin", "unknown"]


def test_a_banned_ipv6_customer_has_no_twin_in_the_proxy():
    facts = Facts(ANNS64, "ban6", hooked=True, held=True, seen=False, senders=(1, 1), proxied=True)

    assert isinstance(diagnose(facts), Diagnosis)
    assert diagnose(facts).kind == "elsewhere"
    assert set(KINDS) == {"hook", "flushed", "ports", "twin", "elsewhere", "unknown"}
