"""A clock that was set is reported: bans end by it."""

from sidecar.app.clock_watch import ClockWatch, seconds_since_boot
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from tests.app.world import ANN, Changes

DAY = 86_400.0


class World:
    """A guard, and a clock that nobody sets beside the one that is set."""

    def __init__(self, *bans):
        self.elapsed = 0.0
        self.changes = Changes()
        problems = self.changes.problems()
        step, ahead = (problems.problem(name, critical=False) for name in ("the clock", "bans ahead"))
        self.watch = ClockWatch(step, ahead, lambda: self.elapsed)
        self.guard = Guard([Jail("login")], Allowlist(), bans)

    def look(self, now, elapsed):
        self.elapsed = elapsed
        assert self.watch.run(self.guard, now) == ()
        new = list(self.changes)
        self.changes.clear()
        return new


def test_a_clock_that_goes_on_is_no_problem():
    world = World(Ban("login", ANN, 1000.0, 4600.0, "failures"))

    assert [world.look(1000.0 + n, n) for n in (0, 30, 86_400)] == [[], [], []]
    # As slow as NTP corrects a clock that is wrong by a minute.
    assert world.look(87_400.0 + 59, 86_400) == []


def test_a_clock_that_is_set_forward_is_reported_once():
    world = World()
    world.look(1000.0, 0)

    assert world.look(1030.0 + DAY, 30) == [
        ("the clock", "the clock was set 1d forward: bans that are over by the new time have ended"),
        ("the clock", None),
    ]
    assert world.look(1060.0 + DAY, 60) == []


def test_bans_that_last_too_long_are_a_problem_until_they_are_over():
    world = World(Ban("login", ANN, DAY, DAY + 3600, "failures"))
    step, over, (name, sentence) = [*world.look(DAY, 0), *world.look(30.0, 30)]

    assert step == ("the clock", "the clock was set 1d back: bans that were made before last so much longer")
    assert (over, name) == (("the clock", None), "bans ahead")
    assert sentence.startswith("1 bans were made at a time that is still to come")
    assert world.look(60.0, 60) == []
    world.guard.unban(ANN, now=61.0)
    assert world.look(90.0, 90) == [("bans ahead", None)]


def test_the_time_since_boot_goes_on():
    assert 0 < seconds_since_boot() <= seconds_since_boot()
