import math

from sidecar.core import site_budget
from sidecar.core.ban_budget import BanBudget
from sidecar.core.site_budget import SiteBudgets


def ask(budget, site, times, now=0.0):
    """Return how many of so many bans from this log may be enforced."""
    return sum(budget.allows(site, now) for _ in range(times))


def test_a_log_that_is_alone_may_use_all():
    assert ask(SiteBudgets(10, 60), "blog", 100) == 100


def test_while_others_ban_a_log_has_its_part():
    budgets = SiteBudgets(10, 60)
    assert ask(budgets, "shop", 1) == 1

    assert ask(budgets, "blog", 30) == 10
    assert budgets.exceeded(0.0) == ("blog",)
    assert (budgets.is_exceeded("blog", 0.0), budgets.is_exceeded("shop", 0.0)) == (True, False)
    assert not budgets.is_exceeded("unknown", 0.0)
    assert ask(budgets, "shop", 9) == 9


def test_a_log_that_used_all_has_its_part_as_soon_as_others_ban():
    budgets = SiteBudgets(10, 60)
    ask(budgets, "blog", 50)
    ask(budgets, "shop", 1, now=1.0)

    assert ask(budgets, "blog", 5, now=2.0) == 0


def test_a_log_recovers_once_it_asks_for_half_as_many():
    budgets = SiteBudgets(10, 60)
    for second in range(0, 130, 10):
        ask(budgets, "shop", 1, now=second)
    ask(budgets, "blog", 5, now=130.0)
    ask(budgets, "blog", 6, now=160.0)

    # Six are left, which is more than half.
    assert ask(budgets, "shop", 1, now=192.0) == 1
    assert ask(budgets, "blog", 1, now=192.0) == 0
    assert ask(budgets, "shop", 1, now=222.0) == 1
    assert ask(budgets, "blog", 9, now=222.0) == 9


def test_without_a_limit_nothing_is_counted():
    budgets = SiteBudgets(math.inf, 60)

    assert ask(budgets, "blog", 3) == ask(budgets, "shop", 3) == 3
    assert budgets.exceeded(0.0) == ()


def test_logs_without_a_recent_ban_are_forgotten(monkeypatch):
    monkeypatch.setattr(site_budget, "MAX_IDLE_SITES", 3)
    budgets = SiteBudgets(10, 60)
    for number in range(100):
        ask(budgets, f"job-{number}", 1, now=100.0 * number)

    assert len(budgets._sites) <= 3


def test_one_log_does_not_use_up_the_ban_budget_of_the_others():
    budget = BanBudget(bans_per_period=100, site_share=0.5)
    assert budget.allows(0.0, "shop")
    hostile = [budget.allows(1.0, "blog") for _ in range(1_000)]
    others = [budget.allows(2.0, "shop") for _ in range(49)]

    assert (sum(hostile), all(others), budget.exceeded) == (50, True, False)
    assert budget.dry_runs == 950
    assert not budget.allows_again(2.0, "blog")
    assert budget.dry_runs == 950
    assert budget.allows_again(70.0, "blog")
