"""All that is remembered moves with a clock that is set, before the turn that finds it, and people are notified."""

from sidecar.app.clock_watch import ClockWatch
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Hit, Origin, Read
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.runtime.clock import HostClock
from sidecar.runtime.loop import Inbox, Loop
from tests.app.world import ANN, BOB, Changes

DAY = 86_400.0


class World:
    """A loop with one ban, a clock that is set and one that nobody sets, and something else that remembers times."""

    def __init__(self):
        self.now, self.elapsed, self.shifts = 1000.0, 0.0, []
        self.changes, self.inbox = Changes(), Inbox()
        problems = self.changes.problems()
        clock = HostClock(lambda: self.now, lambda: self.elapsed)
        self.guard = Guard([Jail("login")], Allowlist(), [Ban("login", ANN, 1000.0, 4600.0, "failures")])
        self.loop = Loop(
            self.guard, self.inbox, [], lambda: self.now, problems,
            turn_clock=ClockWatch(clock, (self,), problems.problem("the clock", critical=False)),
        )  # fmt: skip

    def shift(self, by_s):
        self.shifts.append(by_s)

    def turn(self, after_s, step_s=0.0):
        self.elapsed += after_s
        self.now += after_s + step_s
        self.loop.step(0)
        return [ban.until - self.now for ban in self.guard.view.bans]


def test_a_clock_that_goes_on_moves_nothing():
    world = World()

    # As slow as NTP corrects a clock that is wrong.
    assert [world.turn(1.0, 0.25) for _ in range(3)] == [[3598.75], [3597.5], [3596.25]]
    assert (world.shifts, list(world.changes)) == ([], [])


def test_a_clock_that_is_set_moves_everything_and_is_reported_once():
    world = World()

    assert world.turn(10.0, DAY) == [3590.0]
    assert world.turn(10.0) == [3580.0]
    assert world.turn(10.0, -DAY) == [3570.0]
    assert world.shifts == [DAY, -DAY]
    kept = "bans keep the time that is left, and failures their age"
    assert list(world.changes) == [
        ("the clock", f"the clock was set 1d forward: {kept}"),
        ("the clock", None),
        ("the clock", f"the clock was set 1d back: {kept}"),
        ("the clock", None),
    ]


def test_an_attack_across_a_step_is_one_burst():
    world = World()
    written = [1000.1, 1000.2, 1000.3]
    world.turn(1.0, DAY)
    hits = [Hit("login", BOB, at, Origin("docker", "blog"), "") for at in [*written, world.now, world.now]]
    world.inbox.read(Read(hits[0].origin, tuple(hits)))
    world.turn(0.0)

    assert [ban.at - DAY for ban in world.guard.view.bans if ban.address == BOB] == [1001.0]


def test_a_short_step_is_logged(caplog):
    world = World()
    caplog.set_level("INFO")

    assert world.turn(10.0, 5.0) == [3590.0]
    assert list(world.changes) == []
    assert "the clock was set 5s forward" in caplog.text


def test_a_machine_that_was_suspended_had_no_clock_set():
    world = World()

    assert world.turn(7200.0) == []
    assert world.shifts == []
