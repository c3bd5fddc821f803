"""The dry-run backend: what it logs, and that it touches nothing."""

import logging
import time
from dataclasses import replace

import pytest

from sidecar.core.jail import Jail
from sidecar.firewall import DryRun, Firewall, FirewallError
from tests.firewall.decisions import ANN, ANNS64, BOB, JAILS, ban, turn, unban


@pytest.fixture
def firewall(caplog):
    caplog.set_level(logging.INFO)
    firewall = Firewall(DryRun(), JAILS)
    firewall.start([ban(ANN)], time.time())
    return firewall


def test_it_touches_nothing(host, firewall):
    before = host.kernel.generation()
    firewall.apply(turn(ban(BOB), ban(ANNS64), unban(ANN)))
    firewall.set_topology(["10.0.0.0/8"], time.time(), frozenset({8080}))
    firewall.reconfigure([Jail("login", ports=frozenset({22}))], time.time())
    firewall.flush()
    firewall.close()

    assert host.kernel.generation() == before
    assert host.lets_in(ANN, BOB) == {ANN, BOB}


def test_it_logs_what_a_firewall_would_be_told(firewall, caplog):
    firewall.apply(turn(ban(BOB, lasts=60), unban(ANN)))
    firewall.set_topology(["10.0.0.0/8"], time.time(), frozenset({8080, 81}))
    firewall.reconfigure([Jail("login", ports=frozenset({22}))], time.time())
    firewall.flush()

    assert [record.message for record in caplog.get_records("setup")] == ["dry run: 1 bans would be in force"]
    assert caplog.messages == [
        "dry run: 203.0.113.12 would be in ban4 for 60 s",
        "dry run: 203.0.113.11 would leave ban4",
        "dry run: 1 networks would be allowed, published ports to close: 81, 8080",
        "dry run: 1 bans would move to the sets of other ports",
        "dry run: all bans would end",
    ]


def test_it_keeps_the_desired_state_as_every_firewall_does(firewall):
    firewall.apply(turn(ban(ANNS64), replace(ban(BOB), dry_run=True)))
    with pytest.raises(FirewallError, match="'localhost' cannot be banned"):
        firewall.apply(turn(ban("localhost"), ban(BOB)))

    assert firewall.enforced() == (3, 3)
    assert firewall.repair(time.time(), whole=True) is None
    assert firewall.adoptable(time.time()) == []
    assert firewall.dropped() == {4: (0, 0), 6: (0, 0)}


def test_it_sees_no_packets(firewall):
    assert firewall.seen(ANN) is None
    with pytest.raises(FirewallError, match=r"a dry run sees no packets of 203\.0\.113\.11"):
        firewall.facts(ANN, "login", time.time(), time.time())
