import math

from sidecar.core.events import Ban, Who


def test_a_ban_without_an_end_is_for_good():
    assert Ban("login", Who("203.0.113.7"), 0.0, math.inf, "manual").for_good
    assert not Ban("login", Who("203.0.113.7"), 0.0, 60.0, "manual").for_good
