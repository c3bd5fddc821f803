"""Lists follow events, and need little time however many there are; a start is listed at once."""

import pytest

from sidecar.sources.docker.list_pace import (
    MAX_CREDIT_S,
    ListPace,
    list_interval_s,
)


def test_the_interval_of_lists_grows_with_what_a_list_takes():
    assert [list_interval_s(took) for took in (0.0, 0.01, 0.05, 1.0)] == [0.2, 0.2, 1.0, 2.0]


def test_an_ordinary_event_waits_and_a_start_does_not():
    pace = ListPace(0.0)
    pace.listed(0.0, 0.02)

    assert pace.delay_s(0.1, urgent=False) == pytest.approx(0.3)
    assert pace.delay_s(0.1, urgent=True) == 0
    assert pace.delay_s(9.0, urgent=False) == 0


def test_starts_without_end_take_a_small_part_of_a_processor():
    pace, now, spent = ListPace(0.0), 0.0, 0.0
    while now < 1000:
        delay = pace.delay_s(now, urgent=True)
        if delay:
            now += delay
        pace.listed(now, now + 0.1)
        now, spent = now + 0.1, spent + 0.1

    assert spent <= 1000 * 0.05 + MAX_CREDIT_S + 0.2
