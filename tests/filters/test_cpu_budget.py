from sidecar.filters.cpu_budget import BUDGET, MINUTE, REST, Meter


def test_a_filter_rests_after_a_second_of_slow_lines_in_a_minute():
    meter = Meter()

    assert [meter.slowed(0.4, at) for at in (0.0, 10.0, 20.0)] == [False, False, True]
    assert meter.until == 20.0 + REST


def test_slow_lines_that_are_far_apart_are_let_be():
    meter = Meter()

    assert not any(meter.slowed(BUDGET / 2, n * MINUTE) for n in range(100))
    assert meter.until == 0.0
