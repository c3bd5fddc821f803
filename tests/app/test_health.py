import pytest

from sidecar.app.health import MAX_TURN_S, LoopHealth
from sidecar.runtime.problems import Problems
from sidecar.telemetry.http import Health


class World:
    """A loop, a clock and problems."""

    def __init__(self):
        self.last_turn_at, self.now = 100.0, 101.0
        self.problems = Problems()
        self.check = LoopHealth(self, self.problems, lambda: self.now)


@pytest.fixture
def world():
    return World()


def test_without_problems_it_is_live_and_ready(world):
    assert world.check.health() == Health(live=True, ready=True)


def test_only_a_critical_problem_makes_it_unready(world):
    world.problems.problem("a label", critical=False).set("a label is wrong")
    assert world.check.health() == Health(live=True, ready=True, why=("a label is wrong",))

    world.problems.problem("firewall").set("nft is gone")
    assert world.check.health() == Health(live=True, ready=False, why=("a label is wrong", "nft is gone"))


def test_a_loop_that_does_not_turn_is_dead(world):
    world.now = world.last_turn_at + MAX_TURN_S
    world.problems.problem("a label", critical=False).set("a label is wrong")

    assert world.check.health() == Health(
        live=False,
        ready=False,
        why=("a label is wrong", "the loop has not turned for 30 s"),
    )
