"""What a firewall promises, with packets against the kernel."""

import math
import socket
import time
from contextlib import closing
from dataclasses import replace

import pytest

from sidecar.firewall import Firewall, FirewallError, NftTable
from tests.firewall.decisions import (
    ANN,
    ANN6,
    ANN6_TOO,
    ANNS64,
    BOB,
    BOB6,
    EVE,
    JAILS,
    ban,
    left,
    turn,
    unban,
)
from tests.support.cable import HOST4, inside
from tests.support.waiting import wait_until


def test_banned_addresses_are_dropped_and_their_neighbours_are_not(host, firewall):
    firewall.apply(turn(ban(ANN), ban(ANNS64)))

    assert host.lets_in(ANN, BOB, ANN6, ANN6_TOO, BOB6) == {BOB, BOB6}
    # The jail does not close this port.
    assert host.lets_in(ANN, port=22) == {ANN}


def test_an_open_connection_is_cut(host, firewall):
    with socket.create_server((HOST4, 8443)) as server:
        firewall.set_topology([], time.time(), frozenset({8443}))
        client = host.dial(ANN, 8443)
        answered, _ = server.accept()
        with answered:
            client.send(b"one")
            assert answered.recv(9) == b"one"
            firewall.apply(turn(ban(ANN)))
            client.send(b"two")
            answered.settimeout(0.25)
            with pytest.raises(TimeoutError):
                answered.recv(9)


def test_datagrams_are_dropped_too(host, firewall):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        # HTTP/3
        server.bind((HOST4, 443))
        server.settimeout(0.25)
        send(host, BOB, b"before")
        assert server.recv(99) == b"before"
        firewall.apply(turn(ban(BOB)))
        send(host, BOB, b"after")
        with pytest.raises(TimeoutError):
            server.recv(99)


def send(host, source, data):
    with inside(host.outside), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.sendto(data, (HOST4, 443))


def test_each_jail_closes_its_ports(host, firewall):
    firewall.apply(turn(ban(ANN, "login"), ban(BOB, "ssh"), ban(EVE, "everything")))

    assert {port: host.lets_in(ANN, BOB, EVE, port=port) for port in (22, 80, 8080)} == {
        22: {ANN},
        80: {BOB},
        8080: {ANN, BOB},
    }


def test_published_ports_are_closed_as_well_and_open_again_when_no_container_publishes_them(host, firewall):
    firewall.apply(turn(ban(ANN)))
    firewall.set_topology([], time.time(), frozenset({8080}))
    assert not host.answers(ANN, 8080)
    firewall.set_topology([], time.time(), frozenset())
    assert host.answers(ANN, 8080)


def test_a_ban_of_a_jail_that_is_no_longer_configured_closes_the_ports_of_the_web(host, firewall):
    firewall.apply(turn(ban(ANN, "forgotten")))

    assert not host.answers(ANN)


def test_allowlisted_networks_pass_whatever_is_decided(host, firewall):
    firewall.set_topology(["203.0.113.11/32", "2001:db8:bad:1::11/128"], time.time(), frozenset())
    firewall.apply(turn(ban(ANN), ban(ANNS64), ban("203.0.113.0/24")))

    assert host.lets_in(ANN, ANN6, BOB) == {ANN, ANN6}


def test_networks_and_hosts_in_them_are_banned_and_unbanned_independently(host, firewall):
    firewall.apply(turn(ban("203.0.113.0/24"), ban("203.0.113.0/28"), ban(ANN), ban("2001:db8:bad::/48")))
    assert host.lets_in(ANN, BOB, EVE, ANN6) == set()

    firewall.apply(turn(unban("203.0.113.0/24"), unban("2001:db8:bad::/48")))
    assert host.lets_in(ANN, BOB, EVE, ANN6) == {EVE, ANN6}

    firewall.apply(turn(unban("203.0.113.0/28")))
    assert host.lets_in(ANN, BOB) == {BOB}


def test_an_unban_may_be_repeated(host, firewall):
    firewall.apply(turn(ban(ANN), ban(ANNS64)))
    firewall.apply(turn(unban(ANN), unban(ANNS64)))
    firewall.apply(turn(unban(ANN), unban(ANNS64), unban("203.0.113.0/24")))

    assert host.lets_in(ANN, ANN6) == {ANN, ANN6}


def test_a_ban_and_its_unban_in_one_turn_leave_nothing(host, firewall):
    firewall.apply(turn(ban(ANN), unban(ANN), unban(BOB), ban(BOB)))

    assert host.kernel.elements("ban4").keys() == {socket.inet_aton(BOB)}


def test_a_ban_by_two_jails_lasts_until_the_later_one_ends(host, firewall):
    firewall.apply(turn(ban(ANN, "login", 1000), ban(ANN, "probes", 5000)))
    assert left(host, ANN) == pytest.approx(5000, abs=3)
    firewall.apply(turn(unban(ANN, "probes")))
    assert left(host, ANN) == pytest.approx(1000, abs=3)
    firewall.apply(turn(unban(ANN, "login")))
    assert host.answers(ANN)


def test_a_longer_ban_is_longer_in_the_kernel(host, firewall):
    firewall.apply(turn(ban(ANN, lasts=100), ban(BOB, lasts=100)))
    firewall.apply(turn(ban(ANN, lasts=9000), ban(BOB, lasts=math.inf)))

    assert left(host, ANN) == pytest.approx(9000, abs=3)
    assert left(host, BOB) == math.inf


def test_bans_end_by_themselves_without_the_program(host, firewall):
    firewall.apply(turn(ban(ANN, lasts=1), ban("203.0.113.96/28", lasts=1)))
    assert not host.answers(ANN)
    del firewall
    wait_until(lambda: host.lets_in(ANN, EVE) == {ANN, EVE})


def test_drops_are_counted_and_the_counts_never_fall(host, firewall):
    assert firewall.dropped() == {4: (0, 0), 6: (0, 0)}
    firewall.apply(turn(ban(ANN), ban(ANNS64)))
    assert host.lets_in(ANN, ANN6) == set()
    before = firewall.dropped()
    assert all(packets >= 1 and size >= 60 for packets, size in before.values())

    host.nft("flush ruleset")
    assert firewall.dropped() == before
    firewall.repair(time.time())
    assert firewall.dropped() == before
    assert not host.answers(ANN)
    assert firewall.dropped()[4] > before[4]


def test_a_dry_run_ban_is_not_enforced_and_ends_an_enforced_one(host, firewall, start):
    firewall.apply(turn(ban(ANN), replace(ban(BOB), dry_run=True)))
    assert host.lets_in(ANN, BOB) == {BOB}

    firewall.apply(turn(replace(ban(ANN), dry_run=True)))
    assert host.lets_in(ANN, BOB) == {ANN, BOB}

    start(replace(ban(ANN), dry_run=True), ban(BOB))
    assert host.lets_in(ANN, BOB) == {ANN}


def test_flush_ends_all_bans_and_a_start_after_it_works(host, firewall):
    firewall.apply(turn(ban(ANN)))
    firewall.flush()
    assert host.answers(ANN)
    firewall.flush()
    firewall.start([ban(ANN)], time.time())
    assert not host.answers(ANN)


def test_an_address_that_cannot_be_banned_does_not_prevent_other_bans(host, firewall):
    with pytest.raises(FirewallError, match="'localhost' cannot be banned"):
        firewall.apply(turn(ban(ANN), ban("localhost"), ban(BOB)))

    assert host.lets_in(ANN, BOB) == set()


def test_a_topology_that_is_known_before_the_start_holds_from_the_start(host):
    with closing(Firewall(NftTable(), JAILS)) as firewall:
        firewall.set_topology(["203.0.113.11/32"], time.time(), frozenset({8080}))
        firewall.start([ban(ANN), ban(BOB)], time.time())

        assert host.lets_in(ANN, BOB, port=8080) == {ANN}
