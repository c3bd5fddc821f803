import threading
from dataclasses import replace
from itertools import chain, repeat

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Cursor, Hit, Origin, Read, Turn, Unban
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.runtime.loop import LULL_S, Closed, Inbox, Loop
from sidecar.runtime.problems import Problems

ANN = Address("203.0.113.7")
SITE = Origin("docker", "blog", "stdout", ("login",))
LOGIN = Jail("login", maxretry=2, findtime=10, bantime=60)
HIT = Hit("login", ANN, 5.0, SITE, "fail")
BAN = Ban("login", ANN, 5.0, 65.0, "failures", failures=2, origin_name="blog", evidence=("fail", "fail"))


class Kept:
    name = "kept"

    def __init__(self):
        self.turns = []

    def apply(self, turn):
        self.turns.append(turn)


class Broken:
    name = "firewall"

    def __init__(self):
        self.error: OSError | None = OSError("nft is gone")

    def apply(self, turn):
        if self.error:
            raise self.error


class Clock:
    now = 5.0

    def __call__(self):
        return self.now


class Bench:
    """A loop with a list-keeping sink, turned by hand."""

    def __init__(self, *sinks, backlog=None):
        self.kept, self.inbox, self.clock = Kept(), Inbox(), Clock()
        self.changes = []
        self.problems = Problems(self)
        self.loop = Loop(
            Guard([LOGIN], Allowlist()),
            self.inbox,
            [*sinks, self.kept],
            self.clock,
            self.problems,
            backlog=backlog,
        )

    def problem_changed(self, name, sentence):
        self.changes.append((name, sentence))


def test_hits_in_one_turn_out():
    bench = Bench()
    bench.inbox.read(Read(SITE, (HIT,), Cursor("a", b"1")))
    bench.inbox.read(Read(SITE, (HIT,), Cursor("a", b"2")))
    bench.loop.step(timeout=0)

    assert bench.kept.turns == [Turn(5.0, (BAN,), (HIT, HIT), (Cursor("a", b"2"),))]


class Arrivals:
    """An inbox: what comes each time that the loop looks."""

    def __init__(self, arrivals):
        self._arrivals = iter(arrivals)

    def drain(self, timeout):
        assert timeout <= LULL_S
        return next(self._arrivals, [])


def test_failures_of_a_burst_that_come_one_by_one_are_one_turn():
    """Otherwise the ban would wait until the first of them are stored."""
    kept, one = Kept(), Read(SITE, (HIT,), None)
    jail = replace(LOGIN, maxretry=4)
    arrivals = Arrivals([[one], [one], [one], [one], [one]])
    loop = Loop(Guard([jail], Allowlist()), arrivals, [kept], Clock(), Problems())
    loop.step(timeout=0)

    (turn,) = kept.turns
    assert [decision.failures for decision in turn.decisions] == [4]
    assert turn.hits == (HIT,) * 4


def test_other_lines_that_never_pause_do_not_keep_a_failure_from_being_stored():
    kept = Kept()
    arrivals = Arrivals(chain([[Read(SITE, (HIT,), None)]], repeat([Read(SITE, (), None)])))
    loop = Loop(Guard([LOGIN], Allowlist()), arrivals, [kept], Clock(), Problems())
    loop.step(timeout=0)

    assert [turn.hits for turn in kept.turns] == [(HIT,)]


def test_a_sink_that_fails_stops_no_other_and_is_reported():
    broken = Broken()
    bench = Bench(broken)
    for _ in range(2):
        bench.inbox.read(Read(SITE, (HIT, HIT)))
        bench.loop.step(timeout=0)
        broken.error = None

    assert [turn.decisions for turn in bench.kept.turns] == [(BAN,), ()]
    assert bench.changes == [("firewall", "firewall: nft is gone"), ("firewall", None)]


def test_a_sink_that_works_clears_the_problem_of_its_name():
    broken = Broken()
    broken.error = None
    bench = Bench(broken)
    bench.problems.problem("firewall").set("reported by somebody else")
    bench.inbox.read(Read(SITE, (HIT, HIT)))
    bench.loop.step(timeout=0)

    assert bench.problems.sentences == ()


def test_a_sink_that_is_behind_has_the_next_turn_at_once():
    class Behind:
        name = "store"
        left = 2

        @property
        def behind(self):
            return self.left > 0

        def apply(self, _):
            self.left -= 1
            if not self.left:
                bench.loop.stop()

    behind = Behind()
    bench = Bench(behind, backlog=behind)
    bench.loop.run()

    assert bench.kept.turns == [Turn(5.0), Turn(5.0)]


def test_a_sink_that_goes_on_failing_is_logged_once(caplog):
    bench = Bench(Broken())
    for _ in range(3):
        bench.inbox.read(Read(SITE, (HIT, HIT)))
        bench.loop.step(timeout=0)

    assert [record.getMessage() for record in caplog.records] == [
        "firewall failed at a turn with 1 decisions",
        "firewall: nft is gone",
    ]


@pytest.mark.parametrize(
    ("error", "traced"), [(OSError("the disk is full"), False), (KeyError("a slip"), True)]
)
def test_only_a_mistake_of_the_code_has_a_traceback(caplog, error, traced):
    class Failing:
        name = "store"

        def apply(self, _):
            raise error

    bench = Bench(Failing())
    bench.inbox.read(Read(SITE, (HIT, HIT)))
    bench.loop.step(timeout=0)

    assert [bool(record.exc_info) for record in caplog.records] == [traced, False]


def test_a_turn_without_decisions_misses_none(caplog):
    """As the store at the start, where its file cannot be opened."""
    bench = Bench(Broken())
    bench.inbox.read(Read(SITE, (HIT,)))
    bench.loop.step(timeout=0)

    assert [record.getMessage() for record in caplog.records] == ["firewall: nft is gone"]


def test_hits_that_do_not_count_are_kept_apart():
    bench = Bench()
    bench.inbox.read(Read(SITE, (HIT, HIT, HIT)))
    bench.loop.step(timeout=0)

    assert bench.kept.turns == [Turn(5.0, (BAN,), (HIT, HIT), ignored=(HIT,))]


def test_a_flood_of_hits_waits_with_its_reader():
    inbox = Inbox(max_hits=3)
    inbox.read(Read(SITE, (HIT, HIT, HIT)))
    reader = threading.Thread(target=inbox.read, args=(Read(SITE, (HIT,)),))
    reader.start()
    reader.join(0.2)
    assert (reader.is_alive(), len(inbox)) == (True, 1)

    assert inbox.drain(0) == [Read(SITE, (HIT, HIT, HIT))]
    reader.join(60)
    assert inbox.drain(0) == [Read(SITE, (HIT,))]


def test_a_flood_in_one_log_keeps_no_other_log_and_no_question_waiting():
    other = Origin("docker", "other", "stdout", ("login",))
    inbox = Inbox(max_messages=2, max_hits=2)
    inbox.read(Read(SITE, (HIT, HIT)))
    inbox.read(Read(SITE))
    flood = threading.Thread(target=inbox.read, args=(Read(SITE, (HIT,)),))
    flood.start()
    inbox.read(Read(other, (HIT,)))
    question = inbox.query(lambda view, now: now)

    assert (len(inbox), question.done()) == (4, False)
    assert len(inbox.drain(0)) == 4
    flood.join(60)
    assert inbox.drain(0) == [Read(SITE, (HIT,))]


def test_a_reader_that_waits_with_a_flood_is_refused_when_the_loop_has_stopped():
    inbox = Inbox(max_hits=1)
    inbox.read(Read(SITE, (HIT,)))
    inbox.close()

    with pytest.raises(Closed):
        inbox.read(Read(SITE, (HIT,)))


def test_readers_that_never_pause_do_not_keep_the_loop_from_deciding():
    inbox = Inbox(max_messages=4)
    stop = threading.Event()

    def read():
        while not stop.is_set():
            inbox.read(Read(SITE))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    taken = [len(inbox.drain(timeout=60)) for _ in range(100)]
    stop.set()
    while any(reader.is_alive() for reader in readers):
        inbox.drain(timeout=0.01)

    assert max(taken) <= 5


def test_a_command_that_came_too_late_is_not_left_waiting():
    """It had waited for room in the inbox, and was put in during the last turn."""

    class FillsInbox(Kept):
        def apply(self, turn):
            super().apply(turn)
            late.append(bench.inbox.decide(lambda *_: ()))

    late = []
    bench = Bench(FillsInbox())
    bench.inbox.close, close = lambda: None, bench.inbox.close
    bench.inbox.read(Read(SITE, (HIT,)))
    bench.loop.stop()
    bench.loop.run()
    close()

    with pytest.raises(Closed):
        late[0].result(timeout=0)


def test_nobody_waits_for_a_submitted_command_and_its_failure_is_logged(caplog):
    bench = Bench()
    bench.inbox.submit(lambda guard, now: guard.ban(ANN, now, "login"))
    bench.inbox.submit(lambda guard, now: guard.ban(ANN, now, "lgoin"))
    bench.loop.step(timeout=0)
    bench.loop.stop()
    bench.loop.run()
    bench.inbox.submit(lambda guard, now: guard.ban(ANN, now, "login"))

    assert len(bench.kept.turns) == 1
    assert caplog.messages == ["a command failed in the loop"]


def test_a_cursor_without_hits_waits_for_a_lull():
    bench = Bench()
    for state in (b"1", b"2"):
        bench.inbox.read(Read(SITE, (), Cursor("a", state)))
        bench.loop.step(timeout=0)
    assert bench.kept.turns == []

    bench.clock.now += 1.0
    bench.loop.step(timeout=0)
    assert bench.kept.turns == [Turn(6.0, cursors=(Cursor("a", b"2"),))]


def test_nothing_to_do_is_no_turn():
    bench = Bench()
    bench.loop.step(timeout=0)

    assert bench.kept.turns == []


def test_bans_end_by_themselves():
    bench = Bench()
    bench.inbox.read(Read(SITE, (HIT, HIT)))
    bench.loop.step(timeout=0)
    bench.clock.now = 65.0
    bench.loop.step(timeout=0)

    assert bench.kept.turns[1].decisions == (Unban("login", ANN, 65.0, "expired"),)


def test_a_command_is_done_when_the_sinks_have_acted():
    bench = Bench()
    future = bench.inbox.decide(lambda guard, now: guard.ban(ANN, now, "login"))
    bench.loop.step(timeout=0)

    assert future.result(timeout=0) == [Ban("login", ANN, 5.0, 65.0, "manual")]
    assert bench.kept.turns == [Turn(5.0, (Ban("login", ANN, 5.0, 65.0, "manual"),))]


def test_a_command_that_fails_fails_for_its_caller_and_the_loop_goes_on():
    bench = Bench()
    future = bench.inbox.decide(lambda guard, now: guard.ban(ANN, now, "lgoin"))
    bench.inbox.read(Read(SITE, (HIT, HIT)))
    bench.loop.step(timeout=0)

    with pytest.raises(KeyError):
        future.result(timeout=0)
    assert bench.kept.turns[0].decisions == (BAN,)


def test_a_query_sees_what_was_asked_before_it_and_decides_nothing():
    bench = Bench()
    bench.inbox.decide(lambda guard, now: guard.ban(ANN, now, "login"))
    future = bench.inbox.query(lambda view, _: [ban.address for ban in view.bans])
    bench.loop.step(timeout=0)

    assert future.result(timeout=0) == [ANN]
    assert bench.kept.turns == [Turn(5.0, (Ban("login", ANN, 5.0, 65.0, "manual"),))]


def test_a_stopped_loop_finishes_what_waits_and_takes_no_more():
    bench = Bench()
    bench.inbox.read(Read(SITE, (HIT,), Cursor("a", b"1")))
    bench.loop.stop()
    bench.loop.run()

    assert bench.kept.turns == [Turn(5.0, (), (HIT,), (Cursor("a", b"1"),))]
    with pytest.raises(Closed):
        bench.inbox.read(Read(SITE))


def test_a_full_inbox_makes_the_reader_wait():
    inbox = Inbox(max_messages=1)
    inbox.read(Read(SITE))
    reader = threading.Thread(target=inbox.read, args=(Read(SITE, (HIT,)),))
    reader.start()
    taken = inbox.drain(timeout=60)
    reader.join()

    assert [*taken, *inbox.drain(timeout=0)] == [Read(SITE), Read(SITE, (HIT,))]
