from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.jail import Jail
from sidecar.firewall import FirewallError
from sidecar.firewall.desired import (
    BansChanged,
    DesiredBans,
    DesiredState,
    GroupsChanged,
    TopologyChanged,
    report_rejected,
)
from tests.firewall.decisions import ANN, BOB, JAILS, LOGIN, SSH, ban, unban


def test_an_address_that_several_jails_ban_stays_until_the_last_ban_ends():
    bans = DesiredBans()
    bans.add("ban4", "login", ANN, 100.0)
    bans.add("ban4", "probes", ANN, 50.0)

    assert bans.until("ban4", ANN) == 100.0
    bans.remove("ban4", "login", ANN)
    assert bans.until("ban4", ANN) == 50.0
    bans.remove("ban4", "probes", ANN)
    assert bans.until("ban4", ANN) is None


def test_a_ban_that_is_not_there_may_be_removed():
    bans = DesiredBans()

    assert bans.remove("ban4", "login", ANN) is False
    assert bans.members("ban4") == {}


def test_a_member_is_listed_once_with_its_latest_end():
    bans = DesiredBans()
    bans.add("ban4", "login", ANN, 100.0)
    bans.add("ban4", "probes", ANN, 500.0)
    bans.add("ban4", "probes", BOB, 50.0)
    bans.add("ban4_22", "ssh", BOB, 70.0)

    assert bans.members("ban4") == {ANN: 500.0, BOB: 50.0}
    assert bans.members("ban4_22") == {BOB: 70.0}


def test_all_bans_of_a_jail_are_removed_at_once():
    bans = DesiredBans()
    bans.add("ban4", "login", ANN, 100.0)
    bans.add("ban4", "probes", ANN, 50.0)
    bans.add("net4", "login", Address("203.0.113.0/24"), 70.0)

    assert bans.remove_jail("login") == [("ban4", ANN, 100.0), ("net4", Address("203.0.113.0/24"), 70.0)]
    assert (bans.count, bans.members("ban4")) == (1, {ANN: 50.0})
    assert bans.remove_jail("login") == []


def test_decisions_become_members_with_whether_they_were_in_their_set_before():
    state = DesiredState(JAILS)
    state.replace_bans([ban(ANN), replace(ban(BOB), dry_run=True)])
    change, rejected = state.apply([ban(BOB, "ssh"), unban(ANN), ban(ANN), replace(ban(ANN), dry_run=True)])

    assert change == BansChanged({("ban4_22", BOB): False, ("ban4", ANN): True})
    assert rejected == []
    assert (state.bans.members("ban4"), state.bans.members("ban4_22").keys()) == ({}, {BOB})


def test_what_cannot_be_banned_is_rejected_and_the_rest_is_not():
    state = DesiredState(JAILS)
    assert len(state.replace_bans([ban("localhost"), ban(ANN)])) == 1
    change, rejected = state.apply([ban("localhost"), ban(BOB), ban("203.0.0.0/8")])

    assert change == BansChanged({("ban4", BOB): False})
    assert state.bans.members("ban4").keys() == {ANN, BOB}
    with pytest.raises(
        FirewallError, match=r"'localhost' cannot be banned.*; '203\.0\.0\.0/8' cannot be banned"
    ):
        report_rejected(rejected)


def test_bans_move_with_the_ports_of_their_jail():
    state = DesiredState([LOGIN, SSH])
    state.replace_bans([ban(ANN), ban(BOB, "ssh")])
    assert state.reconfigure([LOGIN, SSH]) is None

    before = state.groups
    change = state.reconfigure([Jail("login", ports=SSH.ports), SSH])
    assert change == GroupsChanged(before, {("ban4", ANN): True, ("ban4_22", ANN): False})
    assert state.bans.members("ban4_22").keys() == {ANN, BOB}


def test_a_topology_is_a_change_if_it_differs():
    state = DesiredState([LOGIN])

    assert state.set_topology(["10.0.0.0/8"], None) == TopologyChanged(more_ports=False)
    assert state.set_topology(["10.0.0.0/8"], None) is None
    assert state.set_topology(["10.0.0.0/8"], frozenset({8080})) == TopologyChanged(more_ports=True)
    assert state.set_topology([], None) == TopologyChanged(more_ports=False)
    assert state.published == {8080}
    assert state.set_topology([], frozenset()) == TopologyChanged(more_ports=False)
