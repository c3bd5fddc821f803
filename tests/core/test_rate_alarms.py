from sidecar.core.rate_alarms import RateAlarms

LIMIT, PERIOD_S = 100, 600.0


def test_an_alarm_is_raised_above_the_limit_and_ends_below_half_of_it():
    alarms = RateAlarms(LIMIT, PERIOD_S)
    alarms.add("blog", 0, LIMIT)
    alarms.add("shop", 0, 3)
    assert alarms.raised(0) == {}

    alarms.add("blog", 1)
    assert alarms.raised(1) == {"blog": LIMIT + 1}
    alarms.add("blog", PERIOD_S, LIMIT // 2 + 1)
    assert alarms.raised(PERIOD_S + 60) == {"blog": LIMIT // 2 + 1}

    assert alarms.raised(3 * PERIOD_S) == {}


def test_half_of_the_limit_raises_no_new_alarm():
    alarms = RateAlarms(LIMIT, PERIOD_S)
    alarms.add("blog", 0, LIMIT // 2 + 1)

    assert alarms.raised(0) == {}


def test_a_key_is_forgotten_when_its_count_is_zero():
    alarms = RateAlarms(LIMIT, PERIOD_S)
    alarms.add("blog", 0)
    assert len(alarms) == 1

    alarms.raised(2 * PERIOD_S)
    assert len(alarms) == 0
