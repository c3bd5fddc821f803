"""What an operator can ask of the whole fleet."""

import math

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from tests.support.peers import agree

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
KEY = b"k" * 32


def test_all_bans_of_the_fleet_are_shown(fleet):
    a, b = fleet("a", "b")
    a.ban(ANN, lasting=math.inf)
    a.ban(BOB)
    agree([b], [ANN, BOB])

    assert sorted((ban.address, ban.is_permanent, ban.cause) for ban in b.fleet.bans()) == [
        (ANN, True, "fleet"),
        (BOB, False, "fleet"),
    ]


def test_a_network_is_unbanned_on_every_node_whether_or_not_it_is_banned_here(redis, fleet):
    a, b = fleet("a", "b")
    (other,) = fleet("c", allowlist=Allowlist({"ignoreip": ["203.0.113.0/24"]}))
    a.ban(ANN, BOB, EVE)
    agree([a, b], [ANN, BOB, EVE])

    assert other.fleet.unban(Address("203.0.113.0/24"), "") == 2
    agree([a, b, other], [EVE])
    assert [ban.address for ban in other.fleet.bans()] == [EVE]


def test_everyone_is_unbanned_only_where_the_fleet_has_a_key(redis, fleet):
    (a,) = fleet("a")
    with pytest.raises(ValueError, match="WP_SIDECAR_FLEET_KEY_FILE"):
        a.fleet.unban(None, "")
    b, c = fleet("b", "c", keys=(KEY,), prefix="sealed")
    b.ban(ANN, BOB)
    agree([c], [ANN, BOB])

    assert c.fleet.unban(None, "") == 2
    agree([b], [])
