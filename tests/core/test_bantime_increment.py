import math

import pytest

from sidecar.core import bantime_formula
from sidecar.core.bantime_increment import Escalation

DAY = 86_400.0


def bantimes(escalation, base=600.0, bans=9, chance=0.0):
    return [escalation.bantime(base, before, chance) for before in range(bans)]


@pytest.mark.parametrize(
    ("escalation", "expected"),
    [
        (Escalation(maxtime=DAY), [600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400]),
        (Escalation(factor=1.33), [600, 1596, 3192, 6384, 12_768, 25_536, 51_072, 102_144, 204_288]),
        (
            Escalation(multipliers=(1, 2, 4, 8, 16, 32, 64)),
            [600, 1200, 2400, 4800, 9600, 19_200, 38_400, 38_400, 38_400],
        ),
        (Escalation(multipliers=(1, 5, 30), factor=2), [600, 6000, 36_000, *[36_000] * 6]),
        (
            Escalation(formula=bantime_formula.parse("ban.Time * (ban.Count + 1)")),
            [600 * n for n in range(1, 10)],
        ),
        (Escalation(formula=bantime_formula.parse("1")), [600] * 9),
    ],
)
def test_fail2bans_sequences(escalation, expected):
    assert bantimes(escalation) == pytest.approx(expected)


def test_it_stops_doubling_after_twenty():
    assert bantimes(Escalation(), bans=30)[19:] == [600 * 2**19, *[600 * 2**20] * 10]


def test_rndtime_is_added_after_maxtime():
    assert bantimes(Escalation(maxtime=1000, rndtime=100), bans=3, chance=0.5) == [600, 1050, 1050]


def test_a_permanent_ban_stays_permanent():
    assert bantimes(Escalation(maxtime=DAY), base=math.inf, bans=2) == [math.inf, math.inf]


def test_failures_weigh_more_after_each_ban():
    assert [Escalation().weight(before, maxretry=5) for before in (0, 1, 2, 3, 4, 99)] == [1, 2, 3, 5, 5, 5]
