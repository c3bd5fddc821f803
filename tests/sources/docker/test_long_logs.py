"""A long log is opened at its end, unless it may have been truncated."""

from contextlib import closing

import pytest

from tests.sources.docker.running import AT, following, opened
from tests.sources.docker.standin import Container, StandIn, stamp
from tests.support.waiting import wait_until

LONG = 1500


def run(engine, count, started_at=AT):
    site = Container("a", "site")
    site.started_at = stamp(started_at).decode()
    site.log_options = {}
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
    assert read_and_read_on(engine, recorder, run(engine, LONG), LONG) == [None, 8 * 1024]


def test_a_long_log_that_was_never_read_is_opened_at_its_end(engine, recorder):
    run(engine, LONG)
    with following(engine, recorder, since=AT / 10**9 + LONG - 3):
        recorder.wait_lines(3)

    assert [int(text) for _, _, text in recorder.lines] == [LONG - 3, LONG - 2, LONG - 1]
    assert engine.tails == [8 * 1024]


def test_a_log_that_is_to_be_read_from_its_beginning_is_opened_whole(engine, recorder):
    run(engine, LONG)
    with following(engine, recorder, since=AT / 10**9):
        recorder.wait_lines(LONG)

    assert engine.tails == [None]


def test_a_container_that_starts_while_we_run_is_read_without_a_question(engine, recorder):
    """It may be gone with its log in the next moment."""
    with following(engine, recorder):
        recorder.wait(lambda: recorder.topologies)
        site = run(engine, LONG)
        recorder.wait_lines(LONG)

    assert engine.tails[0] is None
    assert engine.paths.index(f"/containers/{site.id}/logs") < engine.paths.index(
        f"/containers/{site.id}/json"
    )


@pytest.mark.parametrize("age_s", [11, 3600])
def test_a_log_that_may_have_been_truncated_is_opened_whole(tmp_path, recorder, age_s):
    """Its first entry is from long after the start of the container, and Docker is of a version whose `tail` may not end."""
    with closing(StandIn(tmp_path / "docker.sock")) as engine:
        site = run(engine, LONG, AT - age_s * 10**9)

        assert read_and_read_on(engine, recorder, site, LONG) == [None, None]


def test_a_container_that_says_no_start_is_opened_whole(tmp_path, recorder):
    with closing(StandIn(tmp_path / "docker.sock")) as engine:
        site = run(engine, LONG)
        site.started_at = ""

        assert read_and_read_on(engine, recorder, site, LONG) == [None, None]


def test_a_log_that_is_rotated_is_opened_whole(engine, recorder):
    """Its first entry does not show whether the newest file was truncated, and then the tail would never end."""
    site = run(engine, LONG)
    site.log_options = {"max-size": "10m", "max-file": "3"}

    assert read_and_read_on(engine, recorder, site, LONG) == [None, None]
    assert engine.endless == []


def test_a_log_whose_tail_may_end_dockerd_is_opened_whole(tmp_path, recorder):
    """Before Docker 23, if it is damaged (moby#46699)."""
    with closing(StandIn(tmp_path / "docker.sock", modern=False)) as engine:
        site = run(engine, LONG)
        site.driver = "local"

        assert read_and_read_on(engine, recorder, site, LONG) == [None, None]


def test_a_quiet_log_without_a_limit_is_read_whole_at_the_first_check_alone(tmp_path, recorder):
    """Later it is enough that it begins where it began."""
    with closing(StandIn(tmp_path / "docker.sock")) as engine:
        site = Container("a", "site")
        site.log_options = {}
        engine.run(site)
        # More than a socket holds.
        for number in range(LONG):
            engine.write(site, b"x" * 1000, at=AT + number * 10**9)
        path = f"/containers/{site.id}/logs"
        with following(engine, recorder, idle_timeout_s=0.1):
            recorder.wait_lines(LONG)
            wait_until(lambda: engine.whole_readings)
            asked = engine.paths.count(path)
            wait_until(lambda: engine.paths.count(path) > asked + 5)
            assert engine.whole_readings == 1
            engine.truncate(site)
            engine.write(site, b"last", at=AT + LONG * 10**9)

            assert recorder.wait_lines(LONG + 1)[-1] == b"last"
