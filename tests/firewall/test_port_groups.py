"""Jails come, go and change their ports while bans are in force, and nobody slips through."""

import time
from contextlib import ExitStack, closing

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall
from sidecar.firewall.ruleset import Gate
from tests.support.cable import stream

ANN, BOB, NET = Address("203.0.113.11"), Address("203.0.113.12"), Address("203.0.113.96/29")
EVE = "203.0.113.99"  # is in NET
ANNS64, ANN6 = Address("2001:db8:bad:1::/64"), "2001:db8:bad:1::11"
LOGIN, SSH = Jail("login"), Jail("ssh", ports=frozenset({22}))
ALT = Gate(frozenset({8080}))
AT_8080 = Jail("login", ports=ALT.ports)


def ban(address, jail="login", lasts=3600.0):
    return Ban(jail, address, time.time(), time.time() + lasts, "failures")


@pytest.fixture
def start(host):
    with ExitStack() as stack:

        def start(*bans, jails=(LOGIN, SSH)):
            firewall = stack.enter_context(closing(Firewall(jails)))
            firewall.start(bans, time.time())
            return firewall

        yield start


def test_the_banned_of_a_jail_are_out_of_its_new_ports_and_let_in_at_its_old(host, start):
    firewall = start(ban(ANN), ban(ANNS64), ban(NET), ban(BOB, "ssh"))
    firewall.regate([AT_8080, SSH], time.time())

    everyone = (ANN, ANN6, EVE, BOB)
    assert {port: host.lets_in(*everyone, port=port) for port in (22, 80, 8080)} == {
        22: {ANN, ANN6, EVE},
        80: {ANN, ANN6, EVE, BOB},
        8080: {BOB},
    }
    assert firewall.reconcile(time.time(), whole=True) is None  # nothing is left to be put right
    assert firewall.enforced() == (4, 4)


def test_who_is_banned_in_two_jails_stays_out_of_the_ports_of_the_other(host, start):
    firewall = start(ban(ANN), ban(ANN, "probes"), jails=[LOGIN, Jail("probes")])
    firewall.regate([AT_8080, Jail("probes")], time.time())

    assert [port for port in (22, 80, 8080) if not host.answers(ANN, port)] == [80, 8080]
    assert firewall.reconcile(time.time(), whole=True) is None


def test_what_was_left_of_a_ban_is_left_of_it_still(host, start):
    firewall = start(ban(ANN, lasts=100))
    firewall.regate([AT_8080], time.time())

    (left,) = host.kernel.elements(ALT.hosts(4)).values()
    assert 90 < left <= 101


def test_a_gate_that_no_jail_has_any_more_is_gone_and_comes_back(host, start):
    firewall = start()
    first, (table, _) = host.kernel.shape(), host.kernel.counters()
    for _ in range(3):
        firewall.regate([LOGIN, SSH, Jail("alt", ports=ALT.ports)], time.time())
        assert ALT.hosts(4) in host.kernel.shape().names[1]
        firewall.regate([LOGIN, SSH], time.time())

    assert host.kernel.shape().names == first.names
    assert host.kernel.counters()[0] == table  # changed, not made anew
    assert firewall.reconcile(time.time()) is None


def test_the_bans_of_a_jail_that_is_gone_stay_in_force(host, start):
    firewall = start(ban(ANN), ban(BOB, "ssh"))
    firewall.regate([LOGIN], time.time())  # nobody knows its ports any more: those of the web are closed

    assert host.lets_in(ANN, BOB) == set()
    assert host.lets_in(ANN, BOB, port=22) == {ANN, BOB}


def test_nobody_slips_through_while_gates_move(host, start):
    """The jail goes from 443 alone to 443 and 8080 and back, while someone it has banned sends all the time."""
    narrow, wide = Jail("login", ports=frozenset({443})), Jail("login", ports=frozenset({443, 8080}))
    others = [Address(f"10.{i >> 8 & 255}.{i & 255}.7") for i in range(5_000)]
    firewall = start(ban(ANN), *(ban(address) for address in others), jails=[narrow])
    with stream(host, ANN) as came:
        for jail in [wide, narrow] * 5:
            firewall.regate([jail], time.time())
        assert came() == []
    assert firewall.enforced() == (5_001, 5_001)


def test_the_same_jails_again_write_nothing(host, start):
    firewall = start(ban(ANN))
    before = host.kernel.generation()
    firewall.regate([LOGIN, SSH], time.time())

    assert host.kernel.generation() == before


def test_where_the_table_is_gone_it_is_made_anew(host, start):
    firewall = start(ban(ANN))
    host.nft("delete table inet wp_sidecar")
    firewall.regate([AT_8080], time.time())
    firewall.reconcile(time.time())

    assert not host.answers(ANN, 8080)
    assert firewall.reconcile(time.time(), whole=True) is None


def test_bans_go_on_being_made_and_lifted_by_the_new_gates(host, start):
    firewall = start()
    firewall.regate([AT_8080], time.time())
    firewall.apply(Turn(time.time(), (ban(ANN), ban(NET))))

    assert host.lets_in(ANN, EVE, BOB, port=8080) == {BOB}
