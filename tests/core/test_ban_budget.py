import math
from itertools import pairwise

import pytest

from sidecar.core.address import Address
from sidecar.core.ban_budget import CLIENTS_PERIOD_S, MAX_CLIENTS, MIN_CLIENTS, BanBudget


def enforced(budget, times, now):
    """Return how many of these bans are enforced."""
    return sum(budget.allows(now) for _ in range(times))


def clients(number, first=0):
    return [Address(f"203.0.{(first + n) // 256}.{(first + n) % 256}") for n in range(number)]


def test_a_storm_passes_and_a_botnet_within_some_minutes():
    """10,000 at once, and 100,000 over five minutes; 100,000 at once are more than a site has attackers."""
    assert enforced(BanBudget(), 10_000, now=0) == 10_000
    assert sum(enforced(BanBudget(), 20_000, now=minute * 60) for minute in range(5)) == 100_000

    budget = BanBudget()
    assert enforced(budget, 100_000, now=0) == 30_000
    assert (budget.exceeded, budget.dry_runs) == (True, 70_000)


def test_it_recovers_once_fewer_bans_are_asked_for():
    budget = BanBudget(bans_per_period=20, period_s=60)
    assert enforced(budget, 30, now=0) == 20
    assert [enforced(budget, 12, now) for now in (30, 60, 90, 120)] == [
        0
    ] * 4  # over half of it, all the while

    assert budget.is_exceeded(150)
    assert not budget.is_exceeded(182)
    assert enforced(budget, 20, now=183) == 20
    assert not budget.exceeded


def test_it_does_not_flap_at_its_edge():
    budget = BanBudget(bans_per_period=20, period_s=60)
    allowed = [budget.allows(now=3 * n) for n in range(200)]  # 20 a minute, and at times 21

    assert sum(a != b for a, b in pairwise(allowed)) <= 1


def test_dry_runs_are_enforced_later_however_often_that_is_asked():
    """A botnet of 100,000 that goes on attacking is banned within four minutes."""
    budget, out = BanBudget(), 0
    out += enforced(budget, 100_000, now=0)
    for second in range(1, 240):
        left = min(10_000, 100_000 - out)
        out += sum(budget.allows_again(second) for _ in range(left))

    assert out == 100_000
    assert not budget.is_exceeded(400)


def test_an_unlimited_budget_allows_any_number():
    assert enforced(BanBudget(bans_per_period=math.inf), 1_000_000, now=0) == 1_000_000


def test_a_clock_that_is_set_back_does_not_end_enforcement():
    budget = BanBudget(bans_per_period=20, period_s=60)
    enforced(budget, 21, now=1_000_000)

    assert enforced(budget, 5, now=0) == 5


def test_a_share_of_the_clients_seen():
    budget = BanBudget(max_share=0.5)
    for address in clients(100):
        budget.client_failed(address, now=0)

    assert enforced(budget, 60, now=1) == 50
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

    assert enforced(budget, 60, now=CLIENTS_PERIOD_S + 2) == 50


def test_a_share_of_few_clients_has_no_effect():
    budget = BanBudget(max_share=0.5)
    for address in clients(MIN_CLIENTS - 1):
        budget.client_failed(address, now=0)

    assert enforced(budget, 40, now=0) == 40


def test_clients_seen_long_ago_do_not_count():
    budget = BanBudget(max_share=0.5)
    for address in clients(1_000):
        budget.client_failed(address, now=0)
    for address in clients(100):
        budget.client_failed(address, now=3 * CLIENTS_PERIOD_S)

    assert enforced(budget, 60, now=3 * CLIENTS_PERIOD_S) == 50


def test_the_clients_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr("sidecar.core.ban_budget.MAX_CLIENTS", 100)
    budget = BanBudget(max_share=0.5)
    for address in clients(1_000):
        budget.client_failed(address, now=0)

    assert len(budget._clients._now) == 100
    assert MAX_CLIENTS == 1_000_000


@pytest.mark.parametrize("share", [math.inf, 0.01])
def test_new_limits_hold_from_then_on(share):
    budget = BanBudget(bans_per_period=20, period_s=60)
    enforced(budget, 30, now=0)
    budget.reconfigure(1_000, 600, share)
    assert (budget.bans_per_period, budget.period_s, budget.max_share) == (1_000, 600, share)

    assert not budget.is_exceeded(0)
    assert enforced(budget, 1_000, now=0) == 1_000
