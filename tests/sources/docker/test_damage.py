"""Damaged, truncated and deleted log files: what follows is read, and the remedy is reported."""

import time

import pytest

from sidecar.sources.docker.log_reader import MAX_FUTILE_OPENINGS
from tests.sources.docker.running import AT, following, opened
from tests.sources.docker.standin import Container, StandIn, stamp
from tests.support.waiting import wait_until

SECOND = 10**9


@pytest.fixture(params=["silent", "error"])
def site(engine, request):
    """A container whose log is damaged after five lines, and has five lines behind that."""
    container = engine.run(Container("a", "site"))
    container.damage_ends = request.param == "error"
    return container


def write(engine, container, first, count):
    for number in range(first, first + count):
        engine.write(container, b"%d" % number, at=AT + number * SECOND)


def texts(recorder):
    return [int(text) for _, _, text in recorder.lines]


def sentences(recorder, name):
    return [sentence for about, sentence in recorder.problems if sentence and about.endswith(name)]


def damage(container):
    """All that is in the log by now is the last that Docker can read from its beginning."""
    container.damage = len(container.frames)


def read_over_damage(engine, recorder, site):
    """Ten lines, of which the first five are before the damage."""
    write(engine, site, 0, 5)
    with following(engine, recorder):
        recorder.wait_lines(5)
        damage(site)
        write(engine, site, 5, 5)
        recorder.wait_lines(10)


def test_lines_behind_the_damage_are_read_once(engine, recorder, site):
    """Read before the crash up to the damage; the lines behind it were written while nobody read."""
    write(engine, site, 0, 5)
    with following(engine, recorder):
        recorder.wait_lines(5)
    damage(site)
    site.started_at = stamp(AT + 5 * SECOND).decode()
    write(engine, site, 5, 1)  # destroyed by the crash, as far as Docker is concerned
    write(engine, site, 6, 30)
    with following(engine, recorder, idle_timeout_s=0.3):
        opened(engine, 2)
        write(engine, site, 36, 1)
        recorder.wait(lambda: 36 in texts(recorder))
        write(engine, site, 37, 10)
        recorder.wait(lambda: 46 in texts(recorder))

    assert texts(recorder) == [*range(5), *range(6, 47)]
    assert ("gap", "site") not in recorder.events


def test_unread_lines_on_both_sides_of_the_damage_are_read(engine, recorder, site):
    write(engine, site, 0, 5)
    with following(engine, recorder):
        recorder.wait_lines(5)
    write(engine, site, 5, 20)
    damage(site)
    site.started_at = stamp(AT + 25 * SECOND).decode()
    write(engine, site, 25, 1)
    write(engine, site, 26, 20)
    with following(engine, recorder, idle_timeout_s=0.3):
        opened(engine, 2)
        write(engine, site, 46, 1)
        recorder.wait(lambda: 46 in texts(recorder))

    # The first line behind the damage is destroyed with it.
    assert texts(recorder) == [*range(25), *range(26, 47)]
    assert ("gap", "site") not in recorder.events


@pytest.mark.parametrize("unread", [1, 3, 100])
def test_unread_lines_between_two_damaged_parts_are_read(tmp_path, recorder, unread):
    """The file was damaged by an earlier crash as well. Docker 26 reads nothing behind the first damage."""
    engine = StandIn(tmp_path / "docker.sock")
    site = engine.run(Container("a", "site"))
    site.damage_ends = True
    write(engine, site, 0, 50)
    with following(engine, recorder):
        recorder.wait_lines(50)
    site.earlier_damage = 20
    write(engine, site, 50, unread)
    damage(site)
    write(engine, site, 50 + unread, 1)
    write(engine, site, 51 + unread, 20)
    with following(engine, recorder, idle_timeout_s=0.3):
        recorder.wait_lines(70 + unread)
    engine.close()

    assert texts(recorder) == [*range(50 + unread), *range(51 + unread, 71 + unread)]


def test_a_log_that_was_read_behind_the_damage_goes_on_there(engine, recorder, site):
    """The line that was read last cannot be found from the beginning. That is no gap."""
    write(engine, site, 0, 5)
    with following(engine, recorder):
        recorder.wait_lines(5)
        damage(site)
        write(engine, site, 5, 20)
        recorder.wait_lines(25)
    for first in (25, 35, 45):
        write(engine, site, first, 9)
        count = len(engine.opened)
        with following(engine, recorder, idle_timeout_s=0.3):
            opened(engine, count + 1)
            write(engine, site, first + 9, 1)
            recorder.wait(lambda first=first: first + 9 in texts(recorder))

    assert texts(recorder) == list(range(55))
    assert ("gap", "site") not in recorder.events
    [sentence, *_] = sentences(recorder, "log file of container site")
    assert sentence.startswith("Docker cannot read a part of the log of container site: its file is damaged")
    assert "create the container again" in sentence
    assert not recorder.critical


def test_a_damaged_log_is_followed_and_not_searched_at_every_line(engine, recorder, site):
    read_over_damage(engine, recorder, site)
    with following(engine, recorder, idle_timeout_s=60):
        opened(engine, 2)
        write(engine, site, 10, 1)
        recorder.wait_lines(11)
        asked = None
        for number in range(11, 40):
            write(engine, site, number, 1)
            recorder.wait_lines(number + 1)
            asked = asked or engine.paths.count(f"/containers/{site.id}/logs")

    assert engine.paths.count(f"/containers/{site.id}/logs") <= asked + 2


def test_lines_that_are_written_while_docker_answers_do_not_make_a_damaged_log_look_whole(
    engine, recorder, site
):
    read_over_damage(engine, recorder, site)
    with following(engine, recorder, idle_timeout_s=60):
        opened(engine, 2)
        site.meanwhile = [(b"%d" % number, AT + number * SECOND) for number in range(11, 40)]
        write(engine, site, 10, 1)
        recorder.wait_lines(12)
        site.meanwhile, last = [], 10 + len(site.frames) - 11
        recorder.wait(lambda: last in texts(recorder))
        write(engine, site, last + 1, 1)
        recorder.wait(lambda: last + 1 in texts(recorder))

    assert texts(recorder) == list(range(last + 2))


def test_lines_that_docker_hides_behind_the_damage_are_read_before_another_comes(tmp_path, recorder):
    """The container was started by the crash's reboot, logged and was attacked before the sidecar ran again."""
    engine = StandIn(tmp_path / "docker.sock")
    site = engine.run(Container("a", "site"))
    write(engine, site, 0, 5)
    with following(engine, recorder):
        recorder.wait_lines(5)
    damage(site)
    site.started_at = stamp(AT + 5 * SECOND).decode()
    write(engine, site, 5, 20)
    with following(engine, recorder, idle_timeout_s=0.2):
        recorder.wait_lines(24)
    engine.close()

    # The first line behind the zeros is on one line of the file with them.
    assert texts(recorder) == [*range(5), *range(6, 25)]


def test_a_rotated_log_is_a_gap_and_not_damaged(engine, recorder):
    site = engine.run(Container("a", "site"))
    write(engine, site, 0, 5)
    with following(engine, recorder):
        recorder.wait_lines(5)
    site.frames.clear()
    write(engine, site, 9, 5)
    with following(engine, recorder):
        recorder.wait_lines(10)
        recorder.wait(lambda: ("gap", "site") in recorder.events)

    assert texts(recorder) == [*range(5), *range(9, 14)]
    assert sentences(recorder, "log file of container site") == []
    assert [each for each in recorder.events if each[0] == "gap"] == [("gap", "site")]


@pytest.mark.parametrize("options", [{}, {"max-size": "10m"}], ids=["one file", "rotating"])
def test_a_log_that_was_truncated_while_nobody_read_is_a_gap(engine, recorder, options):
    site = engine.run(Container("a", "site"))
    site.log_options = options
    write(engine, site, 0, 5)
    with following(engine, recorder):
        recorder.wait_lines(5)
    site.frames.clear()
    write(engine, site, 9, 5)
    with following(engine, recorder):
        recorder.wait(lambda: ("gap", "site") in recorder.events)

    assert "that were rotated away or truncated before" in sentences(recorder, "container site")[0]


@pytest.mark.parametrize("options", [{}, {"max-size": "10m", "max-file": "3"}], ids=["one file", "rotating"])
def test_a_log_that_was_truncated_while_it_was_read_is_no_gap(engine, recorder, options):
    """A rotation that removes a line leaves full files behind."""
    site = engine.run(Container("a", "site"))
    site.log_options = options
    write(engine, site, 0, 5)
    with following(engine, recorder):
        recorder.wait_lines(5)
        site.frames.clear()
        write(engine, site, 9, 5)
        engine.cut()
        recorder.wait_lines(10)

    assert texts(recorder) == [*range(5), *range(9, 14)]
    assert ("gap", "site") not in recorder.events


@pytest.mark.parametrize(
    "options", [{"max-size": "10m"}, {"max-size": "100", "max-file": "3"}, {"max-size": "x"}]
)
def test_a_log_that_may_have_been_rotated_while_it_was_read_has_a_gap(engine, recorder, options):
    site = engine.run(Container("a", "site"))
    site.log_options = options
    write(engine, site, 0, 5)
    with following(engine, recorder):
        recorder.wait_lines(5)
        site.frames.clear()
        write(engine, site, 9, 5)
        engine.cut()
        recorder.wait(lambda: ("gap", "site") in recorder.events)
        recorder.wait_lines(10)

    assert texts(recorder) == [*range(5), *range(9, 14)]


def test_lines_after_a_truncation_are_read_soon_and_are_no_gap(engine, recorder):
    """On Docker 26, nothing comes any more over a connection (moby#45728), and `tail` never ends."""
    site = engine.run(Container("a", "site"))
    write(engine, site, 0, 5)
    with following(engine, recorder, idle_timeout_s=0.2):
        recorder.wait_lines(5)
        for first in (5, 8, 11, 14):
            engine.truncate(site)
            write(engine, site, first, 3)
            recorder.wait_lines(first + 3)
            # The log is open again, or read again and again.
            asked = len(engine.paths)
            wait_until(lambda asked=asked: len(engine.paths) > asked + 2 or not engine.modern)

    assert texts(recorder) == list(range(17))
    assert ("gap", "site") not in recorder.events
    assert engine.endless == []
    if engine.modern:
        [sentence] = sentences(recorder, "log file of container site")
        assert sentence.startswith(
            "Docker does not follow the log of container site, as if its file was truncated"
        )
        assert not recorder.critical


def test_a_container_whose_log_was_truncated_is_followed_when_it_runs_again(engine, recorder):
    site = engine.run(Container("a", "site"))
    write(engine, site, 0, 5)
    with following(engine, recorder, idle_timeout_s=0.2):
        recorder.wait_lines(5)
        for first in (5, 8):
            engine.truncate(site)
            write(engine, site, first, 3)
            recorder.wait_lines(first + 3)
        engine.stop_container(site)
        recorder.wait(lambda: recorder.events[-1] == ("closed", "site"))
        site.state = "running"
        count = len(engine.opened)
        engine.run(site)
        opened(engine, count + 1)
        write(engine, site, 11, 1)
        recorder.wait_lines(12)

    assert texts(recorder) == list(range(12))


def test_a_deleted_log_is_read_as_long_as_it_is_open_and_reported(engine, recorder):
    site = engine.run(Container("a", "site"))
    write(engine, site, 0, 5)
    with following(engine, recorder, idle_timeout_s=0.2 if engine.modern else 60):
        recorder.wait_lines(5)
        site.deleted = True
        if engine.modern:
            recorder.wait(lambda: sentences(recorder, "log file of container site"))
            assert "Restart the container" in sentences(recorder, "log file of container site")[0]
            assert not recorder.critical
            write(engine, site, 5, 5)
            recorder.wait_lines(10)
            assert [each for each in recorder.events if each[0] == "reopened"] == []
        engine.cut()
        recorder.wait(lambda: sentences(recorder, "container site"))
        recorder.wait(lambda: recorder.critical)
        site.deleted = False
        site.frames.clear()
        write(engine, site, 10, 5)
        recorder.wait(lambda: 14 in texts(recorder))
        recorder.wait(lambda: recorder.problems[-1][1] is None)

    assert len(set(texts(recorder))) == len(texts(recorder))


def test_a_log_that_docker_ends_again_and_again_is_a_problem(engine, recorder, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.log_reader.FIRST_RETRY_DELAY_S", 0.01)
    site = engine.run(Container("a", "site"))
    write(engine, site, 0, 1)
    with following(engine, recorder):
        recorder.wait_lines(1)
        site.ends = True
        engine.cut()
        recorder.wait(lambda: sentences(recorder, "container site"))
        assert recorder.critical
        site.ends = False
        write(engine, site, 1, 1)
        recorder.wait_lines(2)
        recorder.wait(lambda: recorder.problems[-1] == ("container site", None))

    assert "openings in a row brought no line" in sentences(recorder, "container site")[0]


def test_a_quiet_log_whose_connections_a_proxy_cuts_is_no_problem(engine, recorder, monkeypatch):
    """As the idle timeouts of haproxy and Traefik do, again and again."""
    monkeypatch.setattr("sidecar.sources.docker.log_reader.MAX_RETRY_DELAY_S", 0.02)
    site = engine.run(Container("a", "site"))
    write(engine, site, 0, 1)
    with following(engine, recorder):
        recorder.wait_lines(1)
        for cuts in range(MAX_FUTILE_OPENINGS + 2):
            opened(engine, cuts + 1)
            # It was open for longer than that.
            time.sleep(0.1)
            engine.cut()
        write(engine, site, 1, 1)
        recorder.wait_lines(2)

    assert sentences(recorder, "container site") == []
