import math

from sidecar.app.budget_monitor import BudgetMonitor
from sidecar.config.settings import BudgetSettings
from sidecar.config.units import BanRate
from sidecar.core.ban_budget import BanBudget
from sidecar.core.events import Ban, Turn
from tests.app.world import ANN, Changes, ReadableMetrics, hits

TEN = BudgetSettings(BanRate(10.0, 60.0))
BAN = Ban("web", ANN, 0.0, 1.0, "failures", dry_run=True)


class World:
    """A budget that is monitored."""

    def __init__(self, settings):
        self.changes, self.readable = Changes(), ReadableMetrics()
        self.problems = self.changes.problems()
        self.budget = BanBudget(*settings.rate, settings.share)
        self.monitor = BudgetMonitor(settings, self.budget, self.readable.metrics.allowlist, self.problems)

    def make_bans(self, count):
        return [self.budget.allows(0.0) for _ in range(count)]


def test_an_exceeded_budget_is_reported_and_recovers_by_itself():
    world = World(TEN)
    world.make_bans(11)
    world.monitor.apply(Turn(0.0, (BAN,)))

    assert world.readable.value("ban_budget_exceeded") == 1
    ((name, sentence),) = world.changes
    assert name == "the ban budget"
    assert sentence.startswith("more than 10 bans within 60 s were about to be made")
    assert not world.problems.critical

    world.monitor.report(62.0)
    assert world.readable.value("ban_budget_exceeded") == 0
    assert world.changes[1:] == [("the ban budget", None)]


def test_the_share_is_of_the_clients_that_failed():
    world = World(BudgetSettings(share=0.5))
    failed = tuple(hits(1, f"203.0.113.{n}")[0] for n in range(100))
    world.monitor.apply(Turn(0.0, hits=failed))

    assert world.make_bans(51) == [True] * 50 + [False]


def test_without_a_share_no_client_is_remembered():
    world = World(TEN)
    failed = tuple(hits(1, f"203.0.113.{n}")[0] for n in range(100))
    world.monitor.apply(Turn(0.0, hits=failed))
    world.monitor.reconfigure(BudgetSettings(share=0.5))

    # With fewer than fifty clients a share means nothing; with the hundred, 51 bans would exceed it.
    assert all(world.make_bans(51))


def test_new_limits_hold_from_then_on_and_the_same_forget_no_ban():
    world = World(TEN)
    world.make_bans(10)
    world.monitor.reconfigure(TEN)
    assert world.make_bans(1) == [False]

    world.monitor.reconfigure(BudgetSettings(BanRate(math.inf, 60.0)))
    assert all(world.make_bans(100))


def test_a_log_that_uses_more_than_its_part_is_reported_by_name():
    world = World(TEN)
    world.budget.allows(0.0, "shop")
    for _ in range(6):
        world.budget.allows(0.0, "blog")
    world.monitor.apply(Turn(0.0, (BAN,)))

    ((name, sentence),) = world.changes
    assert name == "the ban budget of blog"
    assert sentence.startswith(
        "more than 5 bans within 60 s were about to be made because of the log of blog: "
    )
    assert world.readable.value("ban_budget_exceeded") == 1
    world.monitor.report(62.0)
    assert world.changes[1:] == [("the ban budget of blog", None)]
