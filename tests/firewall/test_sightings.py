"""Senders of packets: the sets and rules as text, what the kernel records, and what is asked about one address."""

import time
from contextlib import ExitStack, closing

import pytest

from sidecar.core.address import Address
from sidecar.core.jail import Jail
from sidecar.firewall import AddressFacts, Firewall, NftTable, sightings
from sidecar.firewall.port_groups import PortGroup
from sidecar.firewall.schema import PASSED_SETS
from sidecar.firewall.sightings import PacketSightings
from tests.firewall.decisions import ANN, ANN6, ANNS64, BOB, BOB6, BOBS64, EVE, ban, turn
from tests.support.cable import stream
from tests.support.waiting import wait_until


@pytest.fixture
def start(host):
    """Start a firewall. With `aged` its table is old enough to know which addresses sent no packet."""
    with ExitStack() as stack:

        def start(*bans, aged=True):
            firewall = stack.enter_context(closing(Firewall(NftTable(), [Jail("login")])))
            firewall.start(bans, time.time())
            if aged:
                host.nft("delete element inet wp_sidecar missed { ipv4, ipv6 }")
            return firewall

        yield start


def test_the_rules():
    assert list(sightings.rules()) == [
        "update @latest { meta nfproto }",
        "update @seen4 { ip saddr } return",
        "update @seen6 { ip6 saddr & ffff:ffff:ffff:ffff:: } return",
        "ip saddr @suspect4 update @witness4 { ip saddr } return",
        "ip6 saddr & ffff:ffff:ffff:ffff:: @suspect6 update @witness6 { ip6 saddr & ffff:ffff:ffff:ffff:: } return",
        "update @missed { meta nfproto }",
    ]


def test_the_rules_that_record_open_ports():
    first = "tcp flags & (syn | ack) == syn"

    assert [sightings.passed_rule(4, "ip saddr @ban4"), sightings.passed_rule(6, "ip6 saddr @net6")] == [
        f"{first} ip saddr @ban4 update @passed4 {{ ip saddr . th dport }}",
        f"{first} ip6 saddr @net6 update @passed6 {{ ip6 saddr & ffff:ffff:ffff:ffff:: . th dport }}",
    ]


def test_an_address_that_sent_a_packet_was_seen_and_another_was_not(host, start):
    firewall = start()
    host.lets_in(ANN, ANN6)

    assert [firewall.seen(address) for address in (ANN, ANNS64, BOB, BOBS64)] == [True, True, False, False]


def test_whether_packets_come_at_all(host, start):
    host.nft("flush ruleset")
    firewall = start()
    assert not firewall.sees_packets()

    host.lets_in(ANN, port=22)
    assert not firewall.sees_packets()
    host.lets_in(ANN)
    assert firewall.sees_packets()


def test_only_packets_to_ports_that_a_jail_closes_are_recorded(host, start):
    firewall = start()
    host.lets_in(ANN, port=22)
    assert firewall.seen(ANN) is False

    host.lets_in(ANN, port=80)
    assert firewall.seen(ANN) is True


def test_allowlisted_addresses_are_recorded_too(host, start):
    firewall = start()
    firewall.set_topology([f"{ANN}/32"], time.time())
    host.lets_in(ANN)

    assert firewall.seen(ANN) is True


def test_banned_addresses_are_recorded_too(host, start):
    firewall = start(ban(ANN))
    assert host.lets_in(ANN) == set()

    assert firewall.seen(ANN) is True


def test_in_a_new_table_it_is_unknown_and_in_an_adopted_one_it_is_known(host, start):
    young = start(aged=False)
    assert young.seen(ANN) is None

    old = start()
    assert old.seen(ANN) is False
    again = start(aged=False)
    assert again.seen(ANN) is False


def test_what_was_unknown_is_known_in_time(host, start, monkeypatch):
    monkeypatch.setattr(sightings, "MISSED_S", 1)
    firewall = start(aged=False)
    assert firewall.seen(ANN) is None
    wait_until(lambda: firewall.seen(ANN) is False)


def test_a_visitor_who_keeps_sending_is_not_forgotten(host, start, monkeypatch):
    monkeypatch.setattr(sightings, "SEEN_S", 2)
    firewall = start()
    began = time.monotonic()
    with stream(host, ANN):
        wait_until(lambda: firewall.seen(ANN))
        while time.monotonic() < began + 4:
            assert firewall.seen(ANN) is True
    wait_until(lambda: firewall.seen(ANN) is False)


def test_more_senders_than_can_be_recorded_make_it_unknown_and_drop_nothing(host, start, monkeypatch):
    monkeypatch.setattr(sightings, "MAX_SENDERS", 1)
    firewall = start(ban(EVE))
    assert host.lets_in(ANN) == {ANN}
    assert (firewall.seen(ANN), firewall.seen(BOB), firewall.seen(BOBS64)) == (True, False, False)

    assert host.lets_in(ANN, BOB, EVE, ANN6) == {ANN, BOB, ANN6}

    assert [firewall.seen(address) for address in (ANN, BOB, EVE)] == [True, None, None]
    # There was room for IPv6.
    assert [firewall.seen(address) for address in (ANNS64, BOBS64)] == [True, False]


def test_a_flood_of_senders_hides_no_address_that_was_asked_for(host, start, monkeypatch):
    """The sets of senders are full; bans wait for ANN, who is here, and for strangers."""
    monkeypatch.setattr(sightings, "MAX_SENDERS", 1)
    firewall = start()
    host.lets_in(EVE)
    host.lets_in(BOB6)
    host.lets_in(ANN, BOB, ANN6)
    asked = (ANN, Address("192.0.2.1"), ANNS64, Address("2001:db8:bad:9::/64"))
    assert [firewall.seen(address) for address in asked] == [None] * 4

    host.lets_in(ANN, BOB, ANN6)

    assert [firewall.seen(address) for address in asked] == [True, None, True, None]
    assert host.kernel.elements("witness4").keys() == {bytes([203, 0, 113, 11])}
    assert firewall.repair(time.time()) is None


def test_more_suspects_than_there_is_room_for_are_unknown(host, start, monkeypatch):
    monkeypatch.setattr(sightings, "MAX_SUSPECTS", 1)
    firewall = start(aged=False)
    assert [firewall.seen(address) for address in (ANN, BOB, ANN)] == [None] * 3

    firewall.apply(turn(ban(BOB)))
    assert not host.answers(BOB)


@pytest.mark.parametrize(
    "harm",
    [
        "flush ruleset",
        "flush chain inet wp_sidecar prerouting",
        "flush chain inet wp_sidecar presence",
        "add table inet wp_sidecar { flags dormant; }",
        "flush set inet wp_sidecar ports",
    ],
)
def test_while_nothing_was_recorded_it_is_unknown_and_after_the_repair_too(host, start, harm):
    firewall = start()
    host.nft(harm)
    # Only a comparison shows that the set of ports is another.
    if "ports" not in harm:
        assert firewall.seen(ANN) is None
    assert firewall.repair(time.time())
    assert firewall.seen(ANN) is None


def test_changes_of_other_tables_change_no_answer(host, start):
    firewall = start()
    host.nft("add table ip another")

    assert firewall.seen(ANN) is False


def test_for_a_port_that_was_just_published_it_is_unknown(start):
    firewall = start()
    firewall.set_topology([], time.time(), frozenset({8080}))
    assert firewall.seen(ANN) is None


@pytest.mark.parametrize("address", [ANN, ANNS64, Address("203.0.113.0/24"), Address("2001:db8:bad::/48")])
def test_the_ports_that_stay_open_to_banned_addresses_are_recorded(host, start, address):
    start(ban(address))
    host.lets_in(ANN, ANN6, port=80)
    host.lets_in(ANN, ANN6, port=8080)
    version = 6 if ":" in address else 4

    port = (8080).to_bytes(2, "big") + bytes(2)
    passed = {4: "cb00710b", 6: "20010db80bad00010000000000000000"}
    for each in (4, 6):
        found = set(host.kernel.elements(PASSED_SETS[each]))
        assert found == ({bytes.fromhex(passed[each]) + port} if each == version else set())


def test_only_the_first_packet_of_a_connection_is_recorded(host, start):
    """Answers to connections of this host have one of its own ports."""
    start(ban(ANN))
    with stream(host, ANN, port=8080) as passed:
        wait_until(passed)

    assert host.kernel.elements("passed4") == {}


def test_for_wider_networks_and_without_a_table_it_is_unknown(host, start):
    firewall = start()
    assert firewall.seen(Address("203.0.113.0/24")) is None

    firewall.flush()
    assert firewall.seen(ANN) is None


def test_a_change_of_our_own_makes_nothing_unknown(start):
    firewall = start()
    firewall.apply(turn(ban(BOB)))

    assert firewall.seen(ANN) is False


TABLE = """
table inet wp_sidecar {
  set ports { typeof th dport; elements = { 80, 8443 }
  }
  set ban4 { typeof ip saddr; flags timeout; elements = { 203.0.113.7 }
  }
  set net4 { typeof ip saddr; flags interval, timeout; elements = { 203.0.113.64/27 }
  }
}
"""
WEB = PortGroup(frozenset({80, 443}))


class Watch:
    """Says whether the table is intact."""

    def __init__(self, *, intact):
        self.intact = intact

    def is_intact(self):
        return self.intact


@pytest.fixture
def packet_sightings(host):
    host.nft(TABLE)
    return PacketSightings(host.kernel, Watch(intact=True))


@pytest.mark.parametrize(
    ("address", "in_set"),
    [
        ("203.0.113.7", True),
        ("203.0.113.8", False),
        ("203.0.113.65", True),
        ("203.0.113.64/28", True),
        # Half of it.
        ("203.0.113.64/26", False),
        ("2001:db8:1:2::/64", False),
    ],
)
def test_an_address_is_in_its_set_or_in_a_network_of_the_same_group(packet_sightings, address, in_set):
    assert packet_sightings.facts(Address(address), WEB, 0.0).in_set is in_set


def test_without_a_table_nothing_is_in_a_set_or_was_seen(host):
    facts = PacketSightings(host.kernel, Watch(intact=False)).facts(Address("203.0.113.7"), WEB, 0.0)

    assert facts == AddressFacts(
        Address("203.0.113.7"),
        "ban4",
        intact=False,
        in_set=False,
        sent_packets=False,
        versions_seen=frozenset(),
        passed_ports=frozenset(),
    )
