"""What the daemon makes of the firewall: timed, looked at, put right, told of."""

import subprocess
import time
from contextlib import contextmanager

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall, FirewallError, FirewallSink
from tests.support.waiting import wait_until

ANN, BOB = Address("203.0.113.11"), Address("203.0.113.12")
JAIL = Jail("login")


def ban(address):
    return Ban("login", address, time.time(), time.time() + 3_600, "failures")


class Told:
    """Figures, troubles and people's news, in order; and what is to be done in the loop."""

    def __init__(self):
        self.figures, self.problems, self.news, self.work = [], [], [], []

    def transaction(self, seconds, error):
        assert 0 < seconds < 5
        self.figures.append(("transaction", "error" if error else "ok"))

    def enforced(self, present, wanted):
        self.figures.append(("enforced", present, wanted))

    def repaired(self, reason):
        self.figures.append(("repaired", reason))

    def dropped(self, family, packets, size):
        self.figures.append((family, packets > 0))

    def problem(self, name, sentence):
        self.problems.append((name, sentence is None))

    def tell(self, what, sentence):
        self.news.append(sentence)


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def enforcing(host, told):
    made = FirewallSink(Firewall([JAIL]), told, problem=told.problem, tell=told.tell, soon=told.work.append)
    made.start([ban(ANN)], ["192.0.2.0/24"], time.time())
    yield made
    made.close()


@contextmanager
def table_of_someone_else(host):
    """Our table belongs to another program, and the kernel lets nobody else change it."""
    with subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, text=True) as nft:
        nft.stdin.write("delete table inet wp_sidecar; add table inet wp_sidecar { flags owner; }\n")
        nft.stdin.flush()
        wait_until(lambda: "owner" in host.nft("list table inet wp_sidecar"))
        yield


def test_it_keeps_out_from_the_start_and_what_is_decided(host, enforcing, told):
    enforcing.apply(Turn(time.time(), (ban(BOB),)))
    enforcing.apply(Turn(time.time()))  # nothing to do

    assert host.lets_in(ANN, BOB) == set()
    assert told.figures == [("transaction", "ok")]
    assert enforcing.state()["ok"] and enforcing.state()["enforced"] == [2, 2]


def test_what_others_change_is_put_right_and_told(host, enforcing, told):
    host.nft("flush ruleset")
    assert host.answers(ANN)
    enforcing.reconcile(time.time())

    assert not host.answers(ANN)
    assert told.figures == [("enforced", 0, 1), ("repaired", "table")]
    assert told.news == ["It was changed by someone else (table)."]
    enforcing.reconcile(time.time())
    assert told.figures[2:] == [("enforced", 1, 1)]


def test_a_clock_that_was_set_is_no_news(host, enforcing, told):
    enforcing.reconcile(time.time() + 100)

    assert told.news == []
    (left,) = host.kernel.elements("ban4").values()
    assert 3_490 < left < 3_502


def test_many_alarms_are_one_look(enforcing, told):
    for _ in range(5):
        enforcing.alarm()
    assert len(told.work) == 1
    told.work.pop()(time.time())
    enforcing.alarm()
    assert len(told.work) == 1


def test_it_is_looked_at_now_and_then(enforcing, told):
    enforcing.look()
    assert len(told.work) == 1
    told.work.pop()(time.time())
    enforcing.look()
    assert told.work == []


def test_while_the_kernel_does_not_follow_it_is_looked_at_each_second(host, enforcing, told):
    enforcing.look()
    told.work.pop()(time.time())

    with table_of_someone_else(host):
        with pytest.raises(FirewallError):
            enforcing.apply(Turn(time.time(), (ban(BOB),)))
        assert not enforcing.state()["ok"]
        enforcing.surround(["198.51.100.0/24"], frozenset({8080}))
        enforcing.regate([Jail("login", ports=frozenset({22}))], time.time())
        enforcing.look()
        told.work.pop()(time.time())
        enforcing.look()
        assert len(told.work) == 1
    told.work.pop()(time.time())

    assert told.figures[-2:] == [("enforced", 0, 2), ("repaired", "table")]
    assert told.problems[-2:] == [("firewall", False), ("firewall", True)]
    assert enforcing.state()["ok"]
    enforcing.look()
    assert told.work == []


def test_what_was_dropped_is_counted(host, enforcing, told):
    assert not host.answers(ANN)

    assert enforcing.count() > 0
    assert told.figures == [("ipv4", True), ("ipv6", False)]


def test_at_the_end_everyone_may_be_let_in(host, enforcing):
    assert enforcing.flush()
    assert host.answers(ANN)
