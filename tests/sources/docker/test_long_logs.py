"""A long log is opened at its end, unless it may have been truncated."""

import pytest

from tests.sources.docker.running import AT, following, opened
from tests.sources.docker.standin import Container, stamp

LONG = 1500


def run(engine, count, started_at=AT):
    site = Container("a", "site")
    site.started_at = stamp(started_at).decode()
    engine.run(site)
    for number in range(count):
        engine.write(site, b"%d" % number, at=AT + number * 10**9)
    return site


def read_and_read_on(engine, recorder, site, count):
    with following(engine, recorder):
        recorder.wait_lines(count)
    with following(engine, recorder):
        opened(engine, 2)
        engine.write(site, b"%d" % count, at=AT + count * 10**9)
        recorder.wait_lines(count + 1)
    assert [int(text) for _, _, text in recorder.lines] == list(range(count + 1))
    return engine.tails


@pytest.mark.parametrize("count", [10, 1000])
def test_a_short_log_is_opened_whole(engine, recorder, count):
    assert read_and_read_on(engine, recorder, run(engine, count), count) == [None, None]


def test_a_long_log_is_opened_at_its_end(engine, recorder):
    """Before Docker 23 it is read whole all the same, when the first line comes."""
    tail = 8 * 1024 if engine.modern else None

    assert read_and_read_on(engine, recorder, run(engine, LONG), LONG) == [None, tail]


@pytest.mark.parametrize("age_s", [11, 3600])
def test_a_log_that_may_have_been_truncated_is_opened_whole(engine, recorder, age_s):
    """Its first entry is from long after the start of the container."""
    site = run(engine, LONG, AT - age_s * 10**9)

    assert read_and_read_on(engine, recorder, site, LONG) == [None, None]


def test_a_container_that_says_no_start_is_opened_whole(engine, recorder):
    site = run(engine, LONG)
    site.started_at = ""

    assert read_and_read_on(engine, recorder, site, LONG) == [None, None]
