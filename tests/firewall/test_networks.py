"""Banned networks as intervals: what one change writes, and that the sum of changes is the whole."""

import math
import random
import time
from contextlib import closing
from ipaddress import ip_network

import pytest

from sidecar.core.address import Address
from sidecar.firewall import elements, networks
from sidecar.firewall.edits import interval_messages
from sidecar.firewall.elements import interval_of
from sidecar.firewall.kernel import Kernel
from sidecar.firewall.networks import MAX_INTERVALS, BannedNetworks, IntervalChange, joined
from tests.firewall.decisions import ANN, BOB, EVE, ban, turn, unban
from tests.support.waiting import wait_until


def spans(*texts):
    return [interval_of(Address(text)) for text in texts]


def test_a_change_names_only_the_outermost_network_around_it():
    banned = BannedNetworks(4, {Address("203.0.113.0/24"): 100.0, Address("198.18.0.0/16"): 100.0})
    (change,) = banned.change({Address("203.0.113.128/25"): 200.0})
    first_half, second_half, whole = spans("203.0.113.0/25", "203.0.113.128/25", "203.0.113.0/24")

    assert change == IntervalChange([whole], {first_half: 100.0, second_half: 200.0})
    assert banned.change({Address("203.0.113.128/25"): None}) == [
        IntervalChange([first_half, second_half], {whole: 100.0})
    ]


def test_what_another_ban_covers_changes_nothing():
    banned = BannedNetworks(4, {Address("203.0.113.0/24"): 100.0})

    assert banned.change({Address("203.0.113.64/26"): 50.0}) == []
    assert banned.change({Address("203.0.113.64/26"): None, Address("198.18.0.0/28"): None}) == []


def test_another_end_replaces_an_interval():
    banned = BannedNetworks(6, {Address("2001:db8::/48"): 100.0})
    (interval,) = spans("2001:db8::/48")

    assert banned.change({Address("2001:db8::/48"): math.inf}) == [
        IntervalChange([interval], {interval: math.inf})
    ]


@pytest.mark.parametrize("many", [1_000, 0], ids=["one by one", "many at once"])
@pytest.mark.parametrize("seed", range(20))
def test_the_sum_of_all_changes_is_what_the_whole_would_be(monkeypatch, seed, many):
    monkeypatch.setattr(networks, "MANY_CHANGES", many)
    chance = random.Random(seed)
    bans, written = {}, {}
    banned = BannedNetworks(4, bans)
    for _ in range(60):
        ends = {
            random_network(chance): chance.choice([None, None, 50.0, 100.0, 150.0, math.inf])
            for _ in range(chance.randint(1, 4))
        }
        for change in banned.change(ends):
            for interval in change.removed:
                del written[interval]
            assert not written.keys() & change.put.keys()
            written |= change.put
        for address, until in ends.items():
            bans.pop(address, None)
            if until is not None:
                bans[address] = until

        assert written == elements.ban_intervals(bans, now=0.0)


def random_network(chance):
    length = chance.choice([16, 17, 18, 20, 24, 24, 25, 26, 28, 31])
    low = (203 << 24) + chance.choice([0, 1 << 16]) + chance.randrange(1 << 16)
    return Address(str(ip_network((low, length), strict=False)))


def test_regions_are_joined_up_to_what_one_transaction_takes():
    one = IntervalChange([], {(n, n): 1.0 for n in range(MAX_INTERVALS - 1)})
    two = IntervalChange([(-1, -1)], {(-2, -2): 1.0})

    assert list(joined([two, two])) == [IntervalChange([(-1, -1)] * 2, {(-2, -2): 1.0})]
    assert list(joined([one, two])) == [one, two]
    assert list(joined([])) == []


def test_nothing_is_written_for_a_change_without_intervals():
    assert interval_messages("net4", 4, IntervalChange([], {}), 0.0) == []


# In the kernel


class Counted(Kernel):
    """A kernel's table, and how many bytes were written to it."""

    written = 0

    def commit(self, changes, generation=None):
        self.written += sum(map(len, changes))
        return super().commit(changes, generation)


def test_one_network_more_does_not_write_the_others_again(host, start):
    with closing(Counted()) as kernel:
        firewall = start(kernel=kernel)
        firewall.apply(turn(*(ban(f"10.{n >> 8}.{n & 255}.0/24") for n in range(2_000))))
        all_of_them = kernel.written
        firewall.apply(turn(ban("203.0.113.0/25"), ban("2001:db8:bad::/48")))
        firewall.apply(turn(ban("203.0.113.0/24"), unban("203.0.113.0/25")))

    assert 0 < kernel.written - all_of_them < all_of_them / 50
    assert firewall.repair(time.time(), whole=True) is None
    assert host.lets_in(ANN, BOB, EVE, "2001:db8:bad:1::11") == set()

    firewall.apply(turn(unban("203.0.113.0/24")))
    assert host.lets_in(ANN, BOB, EVE) == {ANN, BOB, EVE}
    assert firewall.repair(time.time(), whole=True) is None


@pytest.mark.parametrize("network", ["255.255.0.0/16", "224.0.0.0/16", "1.0.0.0/16", "ffff:ffff::/32"])
def test_the_first_and_the_last_addresses_of_all_can_be_changed(host, firewall, network):
    firewall.apply(turn(ban(network)))
    assert firewall.repair(time.time(), whole=True) is None
    name = "net6" if ":" in network else "net4"
    assert host.kernel.intervals(name).keys() == {interval_of(Address(network))}

    firewall.apply(turn(unban(network)))
    assert host.kernel.intervals(name) == {}


def test_a_network_whose_time_the_kernel_has_ended_can_be_unbanned_and_banned_again(host, firewall):
    firewall.apply(turn(ban("203.0.113.0/24", lasts=0.5), ban("198.18.0.0/16")))
    wait_until(lambda: host.answers(ANN))
    firewall.apply(turn(unban("203.0.113.0/24")))
    assert firewall.repair(time.time(), whole=True) is None

    firewall.apply(turn(ban("203.0.113.0/24")))
    assert not host.answers(ANN)
    assert firewall.repair(time.time(), whole=True) is None


def test_where_another_program_changed_the_set_all_of_it_is_written(host, firewall):
    firewall.apply(turn(ban("203.0.113.0/24")))
    # An interval of its own, into which ours does not fit.
    host.nft(
        "flush set inet wp_sidecar net4\n"
        "add element inet wp_sidecar net4 { 203.0.113.128-203.0.114.255 timeout 1h }"
    )
    firewall.apply(turn(ban("203.0.114.0/23")))

    assert host.kernel.intervals("net4").keys() == set(spans("203.0.113.0/24", "203.0.114.0/23"))
    assert host.lets_in(ANN, BOB) == set()


def test_more_intervals_than_one_transaction_takes_are_written_as_a_whole(host, firewall):
    """A network with many others in it that are banned for longer."""
    inner = [f"198.18.{n >> 4}.{(n & 15) * 16}/29" for n in range(MAX_INTERVALS)]
    firewall.apply(turn(*(ban(text, lasts=7200) for text in inner)))
    firewall.apply(turn(ban("198.18.0.0/16")))

    assert len(host.kernel.intervals("net4")) == 2 * MAX_INTERVALS
    assert firewall.repair(time.time(), whole=True) is None
    firewall.apply(turn(unban("198.18.0.0/16")))
    assert len(host.kernel.intervals("net4")) == MAX_INTERVALS
