import threading
from concurrent.futures import Future

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Cursor, Hit, Origin, Read, Turn, Unban
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.runtime.loop import Closed, Inbox, Loop, _Request

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

    def __init__(self, *sinks):
        self.kept, self.inbox, self.clock, self.problems = Kept(), Inbox(), Clock(), []
        guard = Guard([LOGIN], Allowlist())
        self.guard = guard
        self.loop = Loop(
            guard, self.inbox, [*sinks, self.kept], self.clock, lambda *said: self.problems.append(said)
        )


def test_hits_in_one_turn_out():
    bench = Bench()
    bench.inbox.read(Read(SITE, (HIT,), Cursor("a", b"1")))
    bench.inbox.read(Read(SITE, (HIT,), Cursor("a", b"2")))
    bench.loop.step(timeout=0)

    assert bench.kept.turns == [Turn(5.0, (BAN,), (HIT, HIT), (Cursor("a", b"2"),))]


def test_a_sink_that_fails_stops_no_other_and_is_told():
    broken = Broken()
    bench = Bench(broken)
    for _ in range(2):
        bench.inbox.read(Read(SITE, (HIT, HIT)))
        bench.loop.step(timeout=0)
        broken.error = None

    assert [turn.decisions for turn in bench.kept.turns] == [(BAN,), ()]
    assert [said for said in bench.problems if said[0] == "firewall"] == [
        ("firewall", "firewall: nft is gone"),
        ("firewall", None),
    ]


def test_a_sink_that_is_behind_has_the_next_turn_at_once():
    left = [True, True]
    bench = Bench()
    bench.loop = Loop(
        bench.guard, bench.inbox, [bench.kept], bench.clock, lambda *_: None, behind=lambda: bool(left)
    )

    class Behind:
        name = "behind"

        def apply(self, turn):
            left.pop()
            if not left:
                bench.loop.stop()

    bench.loop._sinks = [Behind(), bench.kept]
    bench.loop.run()

    assert bench.kept.turns == [Turn(5.0), Turn(5.0)]


def test_a_sink_that_goes_on_failing_is_logged_once(caplog):
    bench = Bench(Broken())
    for _ in range(3):
        bench.inbox.read(Read(SITE, (HIT, HIT)))
        bench.loop.step(timeout=0)

    assert [record.getMessage() for record in caplog.records] == ["firewall missed 1 decisions"]


def test_hits_that_do_not_count_are_told_apart():
    bench = Bench()
    bench.inbox.read(Read(SITE, (HIT, HIT, HIT)))
    bench.loop.step(timeout=0)

    assert bench.kept.turns == [Turn(5.0, (BAN,), (HIT, HIT), ignored=(HIT,))]


def test_a_flood_of_hits_waits_with_its_reader():
    inbox = Inbox(hits=3)
    inbox.read(Read(SITE, (HIT, HIT, HIT)))
    reader = threading.Thread(target=inbox.read, args=(Read(SITE, (HIT,)),))
    reader.start()
    reader.join(0.2)
    assert (reader.is_alive(), len(inbox)) == (True, 1)

    assert inbox.drain(0) == [Read(SITE, (HIT, HIT, HIT))]
    reader.join(5)
    assert inbox.drain(0) == [Read(SITE, (HIT,))]


def test_who_waits_with_a_flood_is_told_when_the_loop_has_stopped():
    inbox = Inbox(hits=1)
    inbox.read(Read(SITE, (HIT,)))
    inbox.close()

    with pytest.raises(Closed):
        inbox.read(Read(SITE, (HIT,)))


def test_readers_that_never_pause_do_not_keep_the_loop_from_deciding():
    inbox = Inbox(size=4)
    stop = threading.Event()

    def read():
        while not stop.is_set():
            inbox.read(Read(SITE))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    taken = [len(inbox.drain(timeout=5)) for _ in range(100)]
    stop.set()
    while any(reader.is_alive() for reader in readers):
        inbox.drain(timeout=0.01)

    assert max(taken) <= 5


def test_who_asks_too_late_is_told():
    late = Future()

    class Asking(Kept):
        def apply(self, turn):
            bench.inbox._queue.put(
                _Request(lambda *_: (), late, decides=True)
            )  # by one who had waited for room

    bench = Bench(Asking())
    bench.inbox.read(Read(SITE, (HIT,)))
    bench.loop.stop()
    bench.loop.run()

    with pytest.raises(Closed):
        late.result(timeout=0)


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


def test_who_asks_is_answered_when_the_sinks_have_acted():
    bench = Bench()
    future = bench.inbox.decide(lambda guard, now: guard.ban(ANN, now, "login"))
    bench.loop.step(timeout=0)

    assert future.result(timeout=0) == [Ban("login", ANN, 5.0, 65.0, "manual")]
    assert bench.kept.turns == [Turn(5.0, (Ban("login", ANN, 5.0, 65.0, "manual"),))]


def test_work_that_fails_tells_who_asked_and_the_loop_goes_on():
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
    future = bench.inbox.query(lambda guard, _: [ban.address for ban in guard.bans])
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
    inbox = Inbox(size=1)
    inbox.read(Read(SITE))
    reader = threading.Thread(target=inbox.read, args=(Read(SITE, (HIT,)),))
    reader.start()
    taken = inbox.drain(timeout=5)
    reader.join()

    assert [*taken, *inbox.drain(timeout=0)] == [Read(SITE), Read(SITE, (HIT,))]
