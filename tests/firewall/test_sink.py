"""The firewall in the daemon: timed, checked, repaired, reported. With nftables, and with the dry-run backend."""

import subprocess
import time
from collections import deque
from contextlib import closing, contextmanager

import pytest

from sidecar.core.allowlist import Allowlist
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.firewall import DryRun, Firewall, FirewallError, FirewallSink, NftTable, Repair, RepairKind
from sidecar.firewall.address_drops import NOTHING
from sidecar.runtime.loop import Inbox, Loop
from sidecar.runtime.problems import Problems
from tests.firewall.decisions import ANN, BOB, LOGIN, ban, turn
from tests.support.waiting import wait_until


class Recorder:
    """What the sink reported to metrics and to people, in order."""

    def __init__(self):
        self.metrics, self.repairs, self.problems = [], [], []

    def transaction(self, seconds, error):
        assert seconds > 0
        self.metrics.append(("transaction", "error" if error else "ok"))

    def enforced(self, present, wanted):
        self.metrics.append(("enforced", present, wanted))

    def repaired(self, reason):
        self.metrics.append(("repaired", reason))

    def dropped(self, family, packets, size):
        self.metrics.append((family, packets > 0, size > 0))

    def table_repaired(self, repair, now):
        self.repairs.append(repair)

    def problem_changed(self, name, sentence):
        self.problems.append((name, sentence is not None))


class LoopStandIn:
    """Runs the commands that a sink puts into the inbox, when a test says so."""

    def __init__(self):
        self.inbox = Inbox()
        self._guard = Guard([LOGIN], Allowlist())
        self._waiting = deque()

    def __len__(self):
        self._waiting.extend(self.inbox.drain(0))
        return len(self._waiting)

    def run_one(self, now=None):
        assert len(self)
        assert self._waiting.popleft().work(self._guard, time.time() if now is None else now) == ()


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def problems(recorder):
    return Problems(recorder)


@pytest.fixture
def loop():
    return LoopStandIn()


@pytest.fixture(params=["nftables", "dry run"])
def backend(request):
    """For promises that hold for every backend; those about packets are tested with nftables only."""
    return {"nftables": NftTable, "dry run": DryRun}[request.param]()


@pytest.fixture
def make(host, problems, recorder, loop):
    """Make a sink with this backend, started with one ban."""

    @contextmanager
    def make(backend):
        firewall = Firewall(backend, [LOGIN])
        with closing(FirewallSink(firewall, loop.inbox, problems, recorder, recorder)) as sink:
            sink.start([ban(ANN)], ["192.0.2.0/24"], time.time())
            yield sink

    return make


@pytest.fixture
def sink(make):
    with make(NftTable()) as sink:
        yield sink


@pytest.fixture
def any_sink(make, backend):
    with make(backend) as sink:
        yield sink


@contextmanager
def table_of_another_program(host):
    """Our table belongs to another program, and the kernel lets no other change it."""
    with subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, text=True) as nft:
        nft.stdin.write("delete table inet wp_sidecar; add table inet wp_sidecar { flags owner; }\n")
        nft.stdin.flush()
        wait_until(lambda: "owner" in host.nft("list table inet wp_sidecar"))
        yield


def test_what_the_kernel_cannot_do_is_a_problem_that_does_not_make_the_daemon_unready(make, problems):
    class OldKernel(DryRun):
        limitation = "the kernel cannot reject packets"

    with make(OldKernel()):
        assert problems.sentences == ("the kernel cannot reject packets",)
        assert not problems.critical


def test_a_turn_is_one_transaction_and_one_without_decisions_is_none(any_sink, recorder):
    any_sink.apply(turn(ban(BOB)))
    any_sink.apply(turn())

    assert recorder.metrics == [("transaction", "ok")]
    assert any_sink.state()["ok"]
    assert any_sink.state()["enforced"] == [2, 2]
    assert any_sink.state()["dropped"].keys() == {"4", "6"}


def test_bans_are_enforced_from_the_start_and_from_each_turn(host, sink):
    sink.apply(turn(ban(BOB)))

    assert host.lets_in(ANN, BOB) == set()


def test_a_decision_that_cannot_be_carried_out_is_a_problem(any_sink, recorder):
    any_sink.apply(turn(ban("localhost"), ban(BOB)))

    assert recorder.metrics == [("transaction", "error")]
    assert recorder.problems == [("firewall", True)]
    assert any_sink.state() == {**any_sink.state(), "ok": False, "enforced": [2, 2]}


def test_a_turn_that_works_does_not_end_the_problem_of_one_before(any_sink, problems, loop, recorder):
    """Only a comparison with the kernel shows that all bans are in force."""
    turns = Loop(Guard([LOGIN], Allowlist()), loop.inbox, [any_sink], time.time, problems)
    loop.inbox.decide(lambda *_: [ban("localhost")])
    turns.step(0)
    loop.inbox.decide(lambda *_: [ban(BOB)])
    turns.step(0)
    assert recorder.problems == [("firewall", True)]

    any_sink.check()
    turns.step(0)
    assert recorder.problems == [("firewall", True), ("firewall", False)]


def test_what_another_program_changes_is_repaired_and_reported(host, sink, recorder, loop):
    host.nft("flush ruleset")
    assert host.answers(ANN)
    sink.table_changed()
    loop.run_one()

    assert not host.answers(ANN)
    assert recorder.metrics == [("enforced", 0, 1), ("repaired", "table")]
    assert recorder.repairs == [Repair(RepairKind.TABLE, restored=1)]
    sink.table_changed()
    loop.run_one()
    assert recorder.metrics[2:] == [("enforced", 1, 1)]


def test_a_clock_that_was_set_changes_nothing_in_the_kernel(host, sink, recorder, loop):
    before = host.kernel.elements("ban4")
    sink.shift(86_400.0)
    sink.table_changed()
    loop.run_one(time.time() + 86_400.0)

    assert recorder.repairs == []
    assert host.kernel.elements("ban4") == pytest.approx(before, abs=2)
    # A ban that is restored has the time that is left, too.
    host.nft("flush set inet wp_sidecar ban4")
    sink.table_changed()
    loop.run_one(time.time() + 86_400.0)
    assert host.kernel.elements("ban4") == pytest.approx(before, abs=3)


def test_a_suspend_adjusts_the_timeouts_and_is_not_reported(host, sink, recorder, loop):
    sink.table_changed()
    loop.run_one(time.time() + 100)

    assert recorder.repairs == []
    (left,) = host.kernel.elements("ban4").values()
    assert 3_490 < left < 3_502


def test_changes_that_come_before_the_loop_gets_to_them_are_one_check(any_sink, loop):
    for _ in range(5):
        any_sink.table_changed()
    assert len(loop) == 1
    loop.run_one()
    any_sink.table_changed()
    assert len(loop) == 1


def test_a_loop_that_has_stopped_is_not_asked_for_a_check(any_sink, loop):
    loop.inbox.close()
    any_sink.table_changed()

    assert len(loop) == 0


def test_the_table_is_checked_now_and_then(any_sink, loop):
    any_sink.check()
    assert len(loop) == 1
    loop.run_one()
    any_sink.check()
    assert len(loop) == 0


def test_while_the_kernel_refuses_the_table_is_checked_each_second(host, sink, recorder, loop):
    sink.check()
    loop.run_one()

    with table_of_another_program(host):
        sink.apply(turn(ban(BOB)))
        assert not sink.state()["ok"]
        sink.set_topology(["198.51.100.0/24"], time.time(), frozenset({8080}))
        sink.reconfigure([Jail("login", ports=frozenset({22}))], time.time())
        sink.check()
        loop.run_one()
        sink.check()
        assert len(loop) == 1
    loop.run_one()

    assert recorder.metrics[-2:] == [("enforced", 0, 2), ("repaired", "table")]
    assert recorder.problems == [("firewall", True), ("firewall", False)]
    assert sink.state()["ok"]
    sink.check()
    assert len(loop) == 0


def test_drops_are_counted(host, sink, recorder):
    assert not host.answers(ANN)

    assert sink.count_drops() > 0
    assert recorder.metrics == [("ipv4", True, True), ("ipv6", False, False)]


def test_what_was_dropped_of_an_address_is_counted_or_unknown(host, sink, caplog, monkeypatch):
    assert sink.dropped_from([ANN])[ANN].packets == 0
    assert not host.answers(ANN)
    assert sink.dropped_from([ANN])[ANN].packets > 0

    def refuse(*_):
        raise FirewallError("reading the firewall failed: no answer")

    monkeypatch.setattr(Firewall, "dropped_from", refuse)
    assert sink.dropped_from([ANN]) == {}
    assert "bans are shown without what was dropped: reading the firewall failed: no answer" in caplog.text


def test_at_the_end_all_bans_may_be_ended(host, sink):
    assert sink.flush()
    assert host.answers(ANN)


def test_any_backend_counts_drops_changes_ports_and_flushes(any_sink, recorder):
    assert any_sink.count_drops() == 0
    assert any_sink.dropped_from([BOB]).get(BOB, NOTHING) == NOTHING
    any_sink.set_topology(["198.51.100.0/24"], time.time(), frozenset({8080}))
    any_sink.reconfigure([Jail("login", ports=frozenset({22}))], time.time())
    assert any_sink.state()["enforced"] == [1, 1]

    assert any_sink.flush()
    assert any_sink.state()["enforced"] == [0, 0]
    assert recorder.problems == []


class Listing:
    """A backend of another kind, as somebody might add one: it keeps what is to be blocked in a set."""

    sightings = DryRun.sightings
    missing = 0
    limitation = None

    def __init__(self):
        self.blocked = set()
        self.groups = []

    def recover_ports(self, groups):
        return None

    def recover_bans(self, groups):
        return []

    def start(self, desired, now):
        self.commit(desired, None, now)

    def commit(self, desired, change, now):
        self.groups = list(desired.groups)
        self.blocked = {
            (name, address)
            for name in (*desired.groups.host_sets, *desired.groups.network_sets)
            for address in desired.bans.members(name)
        }

    def repair(self, desired, now, *, whole):
        before = set(self.blocked)
        self.commit(desired, None, now)
        missing = self.blocked - before
        return Repair(RepairKind.BANS, restored=len(missing)) if missing else None

    def dropped(self):
        return {}

    def dropped_from(self, addresses, now):
        return {}

    def flush(self):
        self.blocked.clear()

    def close(self): ...


def test_a_backend_is_added_in_one_class(make, recorder, loop):
    backend = Listing()
    with make(backend) as sink:
        sink.apply(turn(ban(BOB), ban("198.18.0.0/16")))
        assert backend.blocked == {("ban4", ANN), ("ban4", BOB), ("net4", "198.18.0.0/16")}

        sink.reconfigure([Jail("login", ports=frozenset({22}))], time.time())
        assert backend.blocked == {("ban4_22", ANN), ("ban4_22", BOB), ("net4_22", "198.18.0.0/16")}

        backend.blocked.clear()
        sink.check()
        loop.run_one()
        assert recorder.repairs == [Repair(RepairKind.BANS, restored=3)]
        assert sink.count_drops() == 0
        assert sink.flush()
        assert backend.blocked == set()
