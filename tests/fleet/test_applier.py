"""How other nodes' decisions come into force: a real loop, turned by hand, and no server."""

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Unban
from sidecar.core.guard import Guard
from sidecar.fleet.applier import Applier
from sidecar.fleet.protocol import Echo, Lift, key_of
from sidecar.fleet.session import Node, Session
from sidecar.runtime.loop import Closed, Inbox, Loop
from tests.support.peers import LOGIN, FleetCounts

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
NOW = 1_000.0


class Host:
    def __init__(self):
        self.inbox, self.guard = Inbox(), Guard([LOGIN], Allowlist())
        self.session = Session(None, Node("a", run="1"), lambda: NOW, FleetCounts(), since_boot=lambda: 0.0)
        self.applier = Applier(self.inbox, self.session)
        self.loop = Loop(self.guard, self.inbox, [], lambda: NOW, lambda *_: None)

    def apply(self, *steps):
        done = self.applier.begin(steps)
        self.loop.step(0)
        return list(done.result(0))


@pytest.fixture
def host():
    return Host()


def ban(address, cause="fleet"):
    return Ban("login", address, NOW, NOW + 60, cause, failures=3, origin_name="b")


def test_decisions_are_applied_in_their_order(host):
    assert host.apply(ban(ANN), Lift(ANN, "login", NOW), ban(ANN)) == [
        ban(ANN),
        Unban("login", ANN, NOW, "fleet"),
        ban(ANN),
    ]
    assert host.guard.view.bans == (ban(ANN),)


def test_a_ban_that_is_known_already_is_counted_as_redundant(host):
    host.apply(ban(ANN))
    assert host.apply(ban(ANN), ban(BOB)) == [ban(BOB)]

    assert host.session.listener.counts == {("received", "ok"): 2, ("received", "redundant"): 1}


def test_until_ours_is_read_back_a_decision_about_the_same_address_has_no_effect(host):
    ours = Unban("login", ANN, NOW, "manual")
    host.session.outbox.put([ours])
    host.session.outbox.take()

    assert host.apply(ban(ANN), Echo(key_of(ours)), ban(ANN)) == [ban(ANN)]
    assert host.session.listener.counts == {("received", "ok"): 1, ("received", "redundant"): 1}


def test_nothing_to_apply_does_not_wait_for_the_loop(host):
    assert host.applier.apply([]) == ()
    assert len(host.inbox) == 0


def test_it_says_so_when_the_loop_has_stopped(host):
    host.inbox.close()

    with pytest.raises(Closed):
        host.applier.apply([ban(ANN)])
    with pytest.raises(Closed):
        host.applier.bans()
