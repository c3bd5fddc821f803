import random

import pytest

from sidecar.core.rate import SLOTS, Rate
from tests.support.seed import SEED


def test_what_is_older_than_the_period_does_not_count():
    rate = Rate(60)

    assert [rate.add(at) for at in (0, 10, 59)] == [1, 2, 3]
    assert rate.count(60 + 1) == 2  # a 60th late at most
    assert rate.count(59 + 60 + 1) == 0


def test_many_at_once():
    rate = Rate(60)

    assert rate.add(5, 10_000) == 10_000
    assert rate.add(5) == 10_001


def test_a_clock_that_is_set_back_does_not_count_for_ever():
    rate = Rate(60)
    rate.add(1_000_000)

    assert rate.add(0) == 1
    assert rate.count(0) == 1


@pytest.mark.parametrize("seed", [SEED])  # a failure's name says which
def test_it_agrees_with_a_list_up_to_a_slot(seed):
    chance, rate, times, now = random.Random(seed), Rate(60), [], 0.0
    for _ in range(2_000):
        now += chance.expovariate(1)
        times.append(now)
        count = rate.add(now)
        assert sum(at > now - 60 for at in times) <= count
        assert count <= sum(at > now - 60 - 60 / SLOTS for at in times)
