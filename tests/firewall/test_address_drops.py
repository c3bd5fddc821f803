import socket
import time
from contextlib import closing

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn, Unban
from sidecar.core.jail import Jail
from sidecar.firewall import address_drops
from sidecar.firewall.address_drops import NOTHING, DropsByAddress
from sidecar.firewall.schema import DROP_SETS
from tests.support.cable import HOST4, HOST6, inside
from tests.support.waiting import wait_until

ANN, BOB, EVE = Address("203.0.113.11"), Address("203.0.113.12"), Address("203.0.113.99")
ANNS64 = Address("2001:db8:bad:1::/64")
JAILS = [Jail("login"), Jail("ssh", ports=frozenset({22}))]
SIZE = 8 + 20 + 4


def ban(address, jail="login"):
    now = time.time()
    return Ban(jail, Address(address), now, now + 900, "failures")


def send(host, source, count=1, port=80):
    """Send this many datagrams of four bytes."""
    target, family = (HOST6, socket.AF_INET6) if ":" in source else (HOST4, socket.AF_INET)
    with inside(host.outside), socket.socket(family, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        for _ in range(count):
            client.sendto(b"spam", (target, port))


def packets(firewall, *addresses):
    return [drops.packets for drops in firewall.dropped_from(addresses, time.time()).values()]


@pytest.fixture
def firewall(start):
    return start(ban(ANN), ban(ANNS64), jails=JAILS)


def test_packets_and_bytes_are_counted_for_each_banned_address(host, firewall):
    began = time.time()
    send(host, ANN, 3)
    send(host, BOB, 2)
    send(host, "2001:db8:bad:1::11")
    send(host, "2001:db8:bad:1:ffff::99")

    found = firewall.dropped_from([ANN, BOB, ANNS64], time.time())

    assert (found[ANN].packets, found[ANN].bytes) == (3, 3 * SIZE)
    assert found[ANNS64].packets == 2
    assert found[BOB] == NOTHING
    assert began - 2 < found[ANN].last < time.time() + 2


def test_a_packet_to_a_port_that_the_ban_leaves_open_is_not_counted(host, firewall):
    send(host, ANN, port=22)

    assert packets(firewall, ANN) == [0]


def test_a_longer_ban_and_a_second_jail_do_not_begin_the_count_again(host, firewall):
    send(host, ANN, 3)
    firewall.apply(Turn(time.time(), (ban(ANN), ban(ANN, "ssh"))))
    send(host, ANN, 2)
    send(host, ANN, 1, port=22)

    assert packets(firewall, ANN) == [6]


def test_the_count_outlives_a_restart_and_a_repair_of_rules(host, firewall, start):
    send(host, ANN, 3)
    again = start(ban(ANN), jails=JAILS)
    host.nft("flush chain inet wp_sidecar dropping")
    assert again.repair(time.time())
    send(host, ANN, 2)

    assert packets(again, ANN) == [5]


def test_a_table_that_was_deleted_begins_to_count_again(host, firewall):
    send(host, ANN, 3)
    host.nft("flush ruleset")
    firewall.repair(time.time())
    send(host, ANN)

    assert packets(firewall, ANN) == [1]


def test_a_network_has_the_sum_of_its_hosts(host, start):
    firewall = start(ban("203.0.113.0/24"), ban("203.0.113.8/29"), jails=JAILS)
    send(host, ANN, 3)
    send(host, BOB, 2)
    send(host, EVE, 1)

    found = firewall.dropped_from(
        [Address("203.0.113.0/24"), Address("203.0.113.8/29"), Address("192.0.2.0/24"), ANN], time.time()
    )

    assert {address: drops.packets for address, drops in found.items()} == {
        ANN: 3,
        "203.0.113.0/24": 6,
        "203.0.113.8/29": 5,
        "192.0.2.0/24": 0,
    }


def test_where_the_set_was_full_it_is_unknown_what_others_sent(host, start, monkeypatch):
    monkeypatch.setattr(address_drops, "MAX_COUNTED", 1)
    firewall = start(ban(ANN), ban(BOB), ban(EVE), ban(ANNS64), jails=JAILS)
    send(host, ANN)
    # It is dropped all the same, and the total counts it.
    send(host, BOB, 2)

    found = firewall.dropped_from([ANN, BOB, EVE, Address("192.0.2.0/24"), ANNS64], time.time())

    assert {address: drops.packets for address, drops in found.items()} == {ANN: 1, ANNS64: 0}
    assert firewall.dropped()[4].packets == 3
    assert not host.answers(BOB)


def test_an_unbanned_address_is_not_counted_any_more(host, firewall):
    send(host, ANN, 3)
    firewall.apply(Turn(time.time(), (Unban("login", ANN, time.time(), "manual"),)))
    send(host, ANN, 2)

    assert packets(firewall, ANN) == [3]


def test_without_a_table_nothing_was_dropped(host):
    with closing(DropsByAddress()) as drops:
        assert drops.read([ANN, Address("203.0.113.0/24")], 0.0) == {ANN: NOTHING, "203.0.113.0/24": NOTHING}


def test_nft_can_list_and_read_back_the_sets(host, firewall):
    send(host, ANN, 3)
    wait_until(lambda: packets(firewall, ANN) == [3])

    host.nft(f"list set inet wp_sidecar {DROP_SETS[4]}")
    listed = host.nft("list table inet wp_sidecar")
    host.nft("flush ruleset")
    host.nft(listed)

    assert packets(firewall, ANN) == [3]
