"""Each reason why a ban has no effect, in a kernel that is in that state."""

import time
from contextlib import closing
from dataclasses import replace

import pytest

from sidecar.advice.bypass import MAX_PORTS_SHOWN, BypassKind, diagnose
from sidecar.alerts.compose import MAX_SENTENCE_LENGTH
from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.events import Ban, BanCause
from sidecar.core.jail import Jail
from sidecar.firewall import AddressFacts, Firewall, NftTable, RepairKind
from tests.firewall.decisions import ANN, ANN6, ANNS64, BOB6, EVE, turn, unban

NET = Address("203.0.113.0/28")
BLOG = Container("1", "blog", "wordpress")
MACVLAN, PROXIED = replace(BLOG, bypasses_firewall=True), replace(BLOG, ipv6_proxied=True)
FACTS = AddressFacts(
    ANN,
    "ban4",
    intact=True,
    in_set=True,
    sent_packets=False,
    versions_seen=frozenset({4, 6}),
)


@pytest.fixture
def firewall(host):
    """A firewall with a table that is old enough to know which addresses sent no packet."""
    with closing(Firewall(NftTable(), [Jail("login"), Jail("all", ports=None)])) as firewall:
        until = time.time() + 900
        bans = [Ban("login", address, 0.0, until, BanCause.FAILURES) for address in (ANN, ANNS64, NET)]
        firewall.start(bans, time.time())
        host.nft("delete element inet wp_sidecar missed { ipv4, ipv6 }")
        yield firewall


def found(firewall, address=ANN, container=BLOG, age_s=0.0):
    """What is found for a log line that is this many seconds old."""
    now = time.time()
    return diagnose(firewall.facts(address, "login", now - age_s, now), container)


def test_what_the_firewall_knows(host, firewall):
    host.lets_in(ANN, BOB6)
    host.lets_in(ANN, ANN6, port=8080)
    facts, of_six = (firewall.facts(address, "login", time.time(), time.time()) for address in (ANN, ANNS64))

    assert facts == replace(FACTS, sent_packets=True, passed_ports=frozenset({8080}))
    assert (of_six.set_name, of_six.sent_packets, of_six.passed_ports) == ("ban6", True, frozenset({8080}))


@pytest.mark.parametrize(
    "harm",
    [
        "flush ruleset",
        "flush chain inet wp_sidecar prerouting",
        "add table inet wp_sidecar { flags dormant; }",
        "add chain inet wp_sidecar prerouting { policy drop; }",
    ],
)
def test_the_rules_are_gone_or_were_when_the_line_was_written(host, firewall, harm):
    host.nft(harm)
    assert found(firewall).kind is BypassKind.HOOK

    firewall.repair(time.time())
    assert "`nft monitor`" in found(firewall).sentence
    host.lets_in(EVE)
    # A line that was written later.
    assert "`nft monitor`" not in found(firewall, age_s=-11).sentence


def test_no_packet_passes_through_the_firewall(host, firewall):
    diagnosis = found(firewall)
    assert diagnosis.kind is BypassKind.HOOK
    assert "network_mode: host" in diagnosis.sentence

    host.lets_in(EVE)
    assert [found(firewall, age_s=age_s).kind for age_s in (0, -9, -11)] == [
        BypassKind.UPSTREAM_PROXY,
        BypassKind.UPSTREAM_PROXY,
        BypassKind.HOOK,
    ]


def test_the_container_has_a_network_beside_the_firewall(host, firewall):
    host.lets_in(EVE)
    diagnosis = found(firewall, container=MACVLAN)

    assert diagnosis.kind is BypassKind.HOOK
    assert "macvlan" in diagnosis.sentence


def test_a_set_was_emptied(host, firewall):
    host.nft("delete element inet wp_sidecar ban4 { 203.0.113.11 }\nflush set inet wp_sidecar net4")
    assert [found(firewall, address).kind for address in (ANN, NET)] == 2 * [BypassKind.FLUSHED]

    firewall.repair(time.time())
    assert [found(firewall, address).kind for address in (ANN, NET)] == 2 * [BypassKind.FLUSHED]
    assert found(firewall, age_s=-11).kind is not BypassKind.FLUSHED


@pytest.mark.parametrize(
    "harm",
    ["flush set inet wp_sidecar ports", "add element inet wp_sidecar allow4 { 203.0.113.0/24 }"],
)
def test_ports_or_the_allowlist_were_changed(host, firewall, harm):
    host.lets_in(EVE)
    host.nft(harm)
    firewall.repair(time.time())

    assert found(firewall).kind is BypassKind.FLUSHED


def test_a_stranger_in_a_set_and_a_clock_that_was_set_let_nothing_pass(host, firewall):
    host.lets_in(EVE)
    host.nft("add element inet wp_sidecar ban4 { 203.0.113.77 }")
    assert firewall.repair(time.time()).removed == 1
    assert firewall.repair(time.time() - 300, whole=True).restored

    assert found(firewall).kind is BypassKind.UPSTREAM_PROXY


def test_an_address_in_a_banned_network_is_in_its_set(firewall):
    firewall.apply(turn(unban(ANN)))

    assert firewall.facts(ANN, "login", 0.0, 0.0).in_set


def test_the_address_connects_to_ports_that_the_ban_does_not_close(host, firewall):
    assert host.lets_in(ANN, EVE, ANN6, port=8080) == {ANN, EVE, ANN6}
    host.lets_in(ANN, port=22)
    diagnosis = found(firewall)

    assert diagnosis.kind is BypassKind.PORTS
    assert "to ports 22, 8080, which" in diagnosis.sentence
    assert "to port 8080, which" in found(firewall, ANNS64).sentence
    assert found(firewall, age_s=-11).kind is not BypassKind.PORTS


def test_ports_of_others_and_closed_ports_do_not_count(host, firewall):
    host.lets_in(EVE, port=8080)
    host.lets_in(ANN)

    assert firewall.facts(ANN, "login", time.time(), time.time()).passed_ports == frozenset()


def test_in_a_banned_network_the_ports_of_each_address_count(host, firewall):
    firewall.apply(turn(unban(ANN)))
    host.lets_in(ANN, port=8080)

    assert found(firewall).kind is BypassKind.PORTS


def test_a_proxy_in_front_connects_on_behalf_of_the_address(host, firewall):
    host.lets_in(EVE)
    diagnosis = found(firewall)

    assert diagnosis.kind is BypassKind.UPSTREAM_PROXY
    assert "trusted_proxies" in diagnosis.sentence


def test_packets_of_a_trusted_proxy_pass_through_the_firewall_too(host, firewall):
    firewall.set_topology([f"{EVE}/32"], time.time())
    host.lets_in(EVE)

    assert found(firewall).kind is BypassKind.UPSTREAM_PROXY


def test_packets_long_before_the_line_do_not_count(host, firewall):
    host.lets_in(ANN)

    assert [firewall.facts(ANN, "login", at, 0.0).sent_packets for at in (0.0, 9.0, 11.0)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("sender", [[ANN, EVE], [EVE]], ids=["it sends too", "only others send"])
def test_the_client_comes_over_ipv6_through_dockers_proxy(host, firewall, sender):
    host.lets_in(*sender)
    # No client came over IPv6.
    assert found(firewall, container=PROXIED).kind is not BypassKind.DOCKER_PROXY

    host.lets_in(ANN6)
    assert found(firewall, container=PROXIED).kind is BypassKind.DOCKER_PROXY
    assert found(firewall).kind is not BypassKind.DOCKER_PROXY


def test_packets_of_the_address_are_dropped_and_another_client_claims_it(host, firewall):
    assert host.lets_in(ANN, EVE) == {EVE}
    diagnosis = found(firewall)

    assert diagnosis.kind is BypassKind.UNKNOWN
    assert "X-Forwarded-For" in diagnosis.sentence


@pytest.mark.parametrize("others", [[], [EVE]], ids=["no packets", "packets of others"])
def test_for_a_line_that_is_older_than_the_table_it_is_unknown(host, firewall, others):
    host.lets_in(*others)
    host.nft("add element inet wp_sidecar missed { ipv4, ipv6 }")
    diagnosis = found(firewall)

    assert diagnosis.kind is BypassKind.UNKNOWN
    assert "it is unknown whether" in diagnosis.sentence
    assert firewall.facts(ANN, "login", 11.0, 0.0).sent_packets is False


CASES = [
    (replace(FACTS, intact=False, in_set=False), MACVLAN, BypassKind.HOOK),
    (replace(FACTS, repaired=RepairKind.TABLE, in_set=False), MACVLAN, BypassKind.HOOK),
    (replace(FACTS, repaired=RepairKind.STRUCTURE), MACVLAN, BypassKind.HOOK),
    (replace(FACTS, in_set=False), MACVLAN, BypassKind.FLUSHED),
    (replace(FACTS, repaired=RepairKind.BANS), MACVLAN, BypassKind.FLUSHED),
    (replace(FACTS, repaired=RepairKind.PORTS), None, BypassKind.FLUSHED),
    (replace(FACTS, passed_ports=frozenset({8080})), MACVLAN, BypassKind.HOOK),
    (replace(FACTS, passed_ports=frozenset({8080})), PROXIED, BypassKind.PORTS),
    (replace(FACTS, versions_seen=frozenset()), PROXIED, BypassKind.HOOK),
    (FACTS, PROXIED, BypassKind.DOCKER_PROXY),
    (FACTS, None, BypassKind.UPSTREAM_PROXY),
    (replace(FACTS, sent_packets=None), None, BypassKind.UNKNOWN),
    (replace(FACTS, sent_packets=True), None, BypassKind.UNKNOWN),
]


@pytest.mark.parametrize(("facts", "container", "kind"), CASES)
def test_the_first_explanation_that_holds_is_given(facts, container, kind):
    assert diagnose(facts, container).kind is kind


def test_every_kind_is_diagnosed():
    assert {kind for _, _, kind in CASES} == set(BypassKind)


@pytest.mark.parametrize(("facts", "container", "kind"), CASES)
def test_a_sentence_fits_into_an_alert_and_says_what_to_change(facts, container, kind):
    sentence = diagnose(
        replace(facts, passed_ports=facts.passed_ports and frozenset(range(65_000, 65_536))), container
    ).sentence

    assert len(f"It still reach {'b' * 30}: {sentence}.") <= MAX_SENTENCE_LENGTH
    assert ". " in sentence
    assert not sentence.endswith(".")


@pytest.mark.parametrize(
    ("is_host", "kind", "said"),
    [
        (None, BypassKind.HOOK, "If clients do reach the site"),
        (False, BypassKind.HOOK, "this is not the host's network"),
        # A quiet host: the line is forged, or a proxy's.
        (True, BypassKind.UPSTREAM_PROXY, "the log line is forged"),
    ],
)
def test_where_no_packet_comes_at_all_it_depends_on_the_network(is_host, kind, said):
    found = diagnose(replace(FACTS, versions_seen=frozenset()), is_host=is_host)

    assert found.kind is kind
    assert said in found.sentence


def test_of_many_ports_some_are_named():
    facts = replace(FACTS, passed_ports=frozenset(range(1, 100)))

    sentence = diagnose(facts).sentence
    assert sentence.startswith(
        "it connects to ports 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, which the ban does not close."
    )
    assert MAX_PORTS_SHOWN == 10
