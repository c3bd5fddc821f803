"""Who was here: as text, and as the kernel notes it."""

import time
from contextlib import ExitStack, closing

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall, sighting_sets
from tests.support.cable import stream
from tests.support.waiting import wait_until

ANN, BOB, EVE = Address("203.0.113.11"), Address("203.0.113.12"), Address("203.0.113.99")
ANN6, ANNS64, BOBS64 = "2001:db8:bad:1::11", Address("2001:db8:bad:1::/64"), Address("2001:db8:bad:2::/64")


@pytest.fixture
def start(host):  # it is entered
    with ExitStack() as stack:

        def start(bans=(), *, aged=True):
            firewall = stack.enter_context(closing(Firewall([Jail("login")])))
            firewall.start(bans, time.time())
            if aged:
                host.nft("delete element inet wp_sidecar missed { ipv4, ipv6 }")
            return firewall

        yield start


def ban(address):
    return Ban("login", address, time.time(), time.time() + 900, "failures")


def test_the_rules():
    assert list(sighting_sets.rules()) == [
        "update @latest { meta nfproto }",
        "update @seen4 { ip saddr } return",
        "update @seen6 { ip6 saddr & ffff:ffff:ffff:ffff:: } return",
        "update @missed { meta nfproto }",
    ]


def test_the_rules_for_the_banned_who_pass():
    first = "tcp flags & (syn | ack) == syn"

    assert [sighting_sets.passing(4, "ip saddr @ban4"), sighting_sets.passing(6, "ip6 saddr @net6")] == [
        f"{first} ip saddr @ban4 update @passed4 {{ ip saddr . th dport }}",
        f"{first} ip6 saddr @net6 update @passed6 {{ ip6 saddr & ffff:ffff:ffff:ffff:: . th dport }}",
    ]


@pytest.mark.parametrize(
    ("address", "version"),
    [("203.0.113.7", 4), ("203.0.113.0/24", None), ("2001:db8:1:2::/64", 6), ("2001:db8::/48", None)],
)
def test_there_are_notes_of_hosts_and_customers(address, version):
    assert sighting_sets.version(Address(address)) == version


def test_who_sent_a_packet_was_seen_and_who_did_not_was_surely_not(host, start):
    firewall = start()
    host.lets_in(ANN, ANN6)

    assert [firewall.seen(address) for address in (ANN, ANNS64, BOB, BOBS64)] == [True, True, False, False]


def test_only_ports_that_a_gate_closes_are_looked_at(host, start):
    firewall = start()
    host.lets_in(ANN, port=22)
    assert firewall.seen(ANN) is False

    host.lets_in(ANN, port=80)
    assert firewall.seen(ANN) is True


def test_who_may_pass_is_seen_too(host, start):
    firewall = start()
    firewall.surround([f"{ANN}/32"])
    host.lets_in(ANN)

    assert firewall.seen(ANN) is True


def test_the_banned_are_seen_too(host, start):
    firewall = start([ban(ANN)])
    assert host.lets_in(ANN) == set()

    assert firewall.seen(ANN) is True


def test_a_young_table_does_not_know_and_a_start_that_adopts_an_old_one_does(host, start):
    young = start(aged=False)
    assert young.seen(ANN) is None

    old = start()
    assert old.seen(ANN) is False
    again = start(aged=False)
    assert again.seen(ANN) is False


def test_what_was_not_known_is_known_in_time(host, start, monkeypatch):
    monkeypatch.setattr(sighting_sets, "LOOKBACK", 1)
    firewall = start(aged=False)
    assert firewall.seen(ANN) is None
    wait_until(lambda: firewall.seen(ANN) is False)


def test_a_visitor_who_stays_is_not_forgotten(host, start, monkeypatch):
    monkeypatch.setattr(sighting_sets, "KEPT", 2)
    firewall = start()
    began = time.monotonic()
    with stream(host, ANN):
        wait_until(lambda: firewall.seen(ANN))
        while time.monotonic() < began + 4:
            assert firewall.seen(ANN) is True
    wait_until(lambda: firewall.seen(ANN) is False)


def test_more_senders_than_can_be_noted_make_it_unsure_and_drop_nobody(host, start, monkeypatch):
    monkeypatch.setattr(sighting_sets, "MOST", 1)
    firewall = start([ban(EVE)])
    assert host.lets_in(ANN) == {ANN}
    assert (firewall.seen(ANN), firewall.seen(BOB), firewall.seen(BOBS64)) == (True, False, False)

    assert host.lets_in(ANN, BOB, EVE, ANN6) == {ANN, BOB, ANN6}

    assert [firewall.seen(address) for address in (ANN, BOB, EVE)] == [True, None, None]
    assert [firewall.seen(address) for address in (ANNS64, BOBS64)] == [True, False]  # IPv6 had room


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
def test_while_nobody_noted_nobody_knows_and_after_the_repair_neither(host, start, harm):
    firewall = start()
    host.nft(harm)
    if "ports" not in harm:  # that the set of ports is another only the next look sees
        assert firewall.seen(ANN) is None
    assert firewall.reconcile(time.time())
    assert firewall.seen(ANN) is None


def test_what_happens_in_other_tables_changes_no_answer(host, start):
    firewall = start()
    host.nft("add table ip another")

    assert firewall.seen(ANN) is False


def test_a_port_that_is_published_now_was_not_looked_at_before(start):
    firewall = start()
    firewall.surround([], frozenset({8080}))
    assert firewall.seen(ANN) is None


@pytest.mark.parametrize("address", [ANN, ANNS64, Address("203.0.113.0/24"), Address("2001:db8:bad::/48")])
def test_of_the_banned_the_ports_that_stay_open_to_them_are_noted(host, start, address):
    start([ban(address)])
    host.lets_in(ANN, ANN6, port=80)
    host.lets_in(ANN, ANN6, port=8080)
    version = 6 if ":" in address else 4

    port = (8080).to_bytes(2, "big") + bytes(2)
    passed = {4: "cb00710b", 6: "20010db80bad00010000000000000000"}
    for each in (4, 6):
        found = set(host.kernel.elements(sighting_sets.PASSED[each]))
        assert found == ({bytes.fromhex(passed[each]) + port} if each == version else set())


def test_only_a_connections_first_packet_is_noted(host, start):
    """In answers to what we asked for ourselves, the port is one that we called from."""
    start([ban(ANN)])
    with stream(host, ANN, port=8080) as passed:
        wait_until(passed)

    assert host.kernel.elements("passed4") == {}


def test_of_wider_networks_and_without_a_table_nothing_is_known(host, start):
    firewall = start()
    assert firewall.seen(Address("203.0.113.0/24")) is None

    firewall.flush()
    assert firewall.seen(ANN) is None


def test_an_own_change_makes_nothing_unsure(start):
    firewall = start()
    firewall.apply(Turn(time.time(), (ban(BOB),)))

    assert firewall.seen(ANN) is False
