import math
from itertools import pairwise

import pytest

from sidecar.core.address import Address
from sidecar.core.ban_budget import CLIENTS_PERIOD_S, MAX_CLIENTS, MIN_CLIENTS, BanBudget


def ask(budget, times, now):
    """How many of these bans are enforced."""
    return sum(budget.allows(now) for _ in range(times))


def clients(number, first=0):
    return [Address(f"203.0.{(first + n) // 256}.{(first + n) % 256}") for n in range(number)]


def test_a_storm_passes_and_a_botnet_within_some_minutes():
    """10,000 at once, and 100,000 over five minutes; 100,000 at once are more than a site has attackers."""
    assert ask(BanBudget(), 10_000, now=0) == 10_000
    assert sum(ask(BanBudget(), 20_000, now=minute * 60) for minute in range(5)) == 100_000

    budget = BanBudget()
    assert ask(budget, 100_000, now=0) == 30_000
    assert (budget.exceeded, budget.dry_runs) == (True, 70_000)


def test_it_recovers_by_itself_but_not_while_as_many_are_asked_for():
    budget = BanBudget(max_bans=20, period_s=60)
    assert ask(budget, 30, now=0) == 20
    assert [ask(budget, 12, now) for now in (30, 60, 90, 120)] == [0] * 4  # over half of it, all the while

    assert budget.is_exceeded(150)
    assert not budget.is_exceeded(182)
    assert ask(budget, 20, now=183) == 20
    assert not budget.exceeded


def test_at_the_edge_it_does_not_flap():
    budget = BanBudget(max_bans=20, period_s=60)
    enforced = [budget.allows(now=3 * n) for n in range(200)]  # 20 a minute, and at times 21

    assert sum(a != b for a, b in pairwise(enforced)) <= 1


def test_who_was_only_observed_is_kept_out_later_however_often_that_is_asked():
    """A botnet of 100,000 that goes on and on: all are out within four minutes."""
    budget, out = BanBudget(), 0
    out += ask(budget, 100_000, now=0)
    for second in range(1, 240):
        left = min(10_000, 100_000 - out)
        out += sum(budget.allows_again(second) for _ in range(left))

    assert out == 100_000
    assert not budget.is_exceeded(400)


def test_off_is_any_number():
    assert ask(BanBudget(max_bans=math.inf), 1_000_000, now=0) == 1_000_000


def test_a_clock_that_is_set_back_ends_no_enforcement():
    budget = BanBudget(max_bans=20, period_s=60)
    ask(budget, 21, now=1_000_000)

    assert ask(budget, 5, now=0) == 5


def test_a_share_of_the_clients_seen():
    budget = BanBudget(max_share=0.5)
    for address in clients(100):
        budget.client_failed(address, now=0)

    assert ask(budget, 60, now=1) == 50
    assert budget.exceeded
    assert budget.is_exceeded(2)
    for address in clients(200, first=100):
        budget.client_failed(address, now=3)
    assert not budget.is_exceeded(3)  # 60 of 300


def test_a_client_is_one_however_often_it_fails():
    budget = BanBudget(max_share=0.5)
    for now in (0, CLIENTS_PERIOD_S - 1, CLIENTS_PERIOD_S + 1):  # in this period and the one before
        for address in clients(100):
            budget.client_failed(address, now)

    assert ask(budget, 60, now=CLIENTS_PERIOD_S + 2) == 50


def test_a_share_of_a_few_says_nothing():
    budget = BanBudget(max_share=0.5)
    for address in clients(MIN_CLIENTS - 1):
        budget.client_failed(address, now=0)

    assert ask(budget, 40, now=0) == 40


def test_who_was_seen_long_ago_counts_no_more():
    budget = BanBudget(max_share=0.5)
    for address in clients(1_000):
        budget.client_failed(address, now=0)
    for address in clients(100):
        budget.client_failed(address, now=3 * CLIENTS_PERIOD_S)

    assert ask(budget, 60, now=3 * CLIENTS_PERIOD_S) == 50


def test_so_many_clients_are_remembered_and_no_more(monkeypatch):
    monkeypatch.setattr("sidecar.core.ban_budget.MAX_CLIENTS", 100)
    budget = BanBudget(max_share=0.5)
    for address in clients(1_000):
        budget.client_failed(address, now=0)

    assert len(budget._clients._now) == 100
    assert MAX_CLIENTS == 1_000_000


@pytest.mark.parametrize("share", [math.inf, 0.01])
def test_another_budget_holds_from_then_on(share):
    budget = BanBudget(max_bans=20, period_s=60)
    ask(budget, 30, now=0)
    budget.reconfigure(1_000, 600, share)
    assert (budget.max_bans, budget.period_s, budget.max_share) == (1_000, 600, share)

    assert not budget.is_exceeded(0)
    assert ask(budget, 1_000, now=0) == 1_000
