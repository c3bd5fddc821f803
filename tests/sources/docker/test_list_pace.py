"""Lists follow events, and need little time however many there are; a start is listed at once."""

import json

import pytest

from sidecar.sources.docker.list_pace import (
    MAX_CREDIT_S,
    MAX_EVENT_BYTES,
    ListPace,
    StartEvents,
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


def event(action, kind="container", **more):
    return json.dumps({"Type": kind, "Action": action, **more}).encode() + b"\n"


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_start_is_found_wherever_the_stream_is_cut(size):
    data, starts = event("create") + event("start") + event("die"), StartEvents()

    assert any(starts.feed(data[at : at + size]) for at in range(0, len(data), size))


@pytest.mark.parametrize(
    "data", [event("die"), event("connect", "network"), b"{}\n", b"[]\n", b"12\n", b"\xff\n", b"null\n"]
)
def test_what_is_no_start_is_nothing(data):
    assert not StartEvents().feed(data)


def test_an_event_without_an_end_is_given_up():
    starts = StartEvents()
    for _ in range(2):
        assert not starts.feed(b"x" * MAX_EVENT_BYTES)

    assert starts.feed(event("start"))
