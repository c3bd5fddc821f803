"""Connections break, the daemon restarts, containers stop and start: every line is handed on once."""

import logging
import threading
import time

import pytest

from sidecar.core.jail import Jail
from tests.sources.docker.running import following, opened
from tests.sources.docker.standin import Container, StandIn
from tests.support.waiting import wait_until


def test_stopped_and_started_it_goes_on(engine, counted):
    with following(engine, counted):
        site = engine.run(Container("a", "site"))
        for number in range(5):
            engine.write(site, b"%d" % number)
            counted.wait_lines(2 * number + 1)
            engine.write(site, b"last words")
            engine.stop_container(site)
            counted.wait(lambda: counted.told[-1] == ("closed", "site"))
            site.state = "running"
            engine.run(site)

        assert counted.wait_lines(10) == [
            text for number in range(5) for text in (b"%d" % number, b"last words")
        ]


def test_a_docker_of_another_version_is_asked_for_its_own(engine, counted):
    """Replaced under us (live-restore), and a log is opened before anybody has connected anew. It is no trouble."""
    site = engine.run(Container("a", "site"))
    with following(engine, counted, idle_timeout_s=0.2, list_period_s=60.0):
        engine.write(site, b"one")
        counted.wait_lines(1)
        asked = engine.paths.count("/version")
        engine.api = "1.52"
        wait_until(lambda: engine.paths.count("/version") > asked)
        engine.write(site, b"two")

        assert counted.wait_lines(2) == [b"one", b"two"]
    assert counted.problems == []


@pytest.mark.parametrize("modern", [True, False])
def test_over_tcp_reading_ends_when_it_is_to(counted, modern):
    """Also before an old engine has sent its headers."""
    jails = (Jail("shop", containers=("shop",)),)
    engine = StandIn(modern=modern)
    try:
        with following(engine, counted, jails, idle_timeout_s=60, list_period_s=60):
            shop = engine.run(Container("a", "shop"))
            opened(engine, 1)
            [reader] = [each for each in threading.enumerate() if each.name == "docker shop"]
            engine.rename(shop, "other")
            reader.join(5)
            assert not reader.is_alive()
            engine.rename(shop, "shop")
            opened(engine, 2)
            closing = time.monotonic()
        assert time.monotonic() - closing < 5
    finally:
        engine.close()


def test_connections_that_break_lose_and_double_nothing(engine, counted):
    with following(engine, counted):
        site = engine.run(Container("a", "site"))
        for number in range(300):
            engine.write(site, b"%d" % number, stream=1 + number % 2)
            if number % 30 == 29:
                engine.cut()

        assert sorted(counted.wait_lines(300), key=int) == [b"%d" % number for number in range(300)]


def test_a_daemon_that_restarts_loses_and_doubles_nothing(engine, counted):
    with following(engine, counted):
        site = engine.run(Container("a", "site"))
        for number in range(60):
            engine.write(site, b"%d" % number)
            if number % 20 == 19:
                engine.stop()
                engine.write(site, b"while the daemon is away")
                engine.start()
        wanted = 63
        counted.wait_lines(wanted)

    texts = [text for _, _, text in counted.lines]
    assert [text for text in texts if text.isdigit()] == [b"%d" % number for number in range(60)]
    assert len(texts) == wanted


def test_an_idle_log_is_opened_again(engine, counted):
    with following(engine, counted, idle_timeout_s=0.1):
        site = engine.run(Container("a", "site"))
        opened(engine, 3)
        engine.write(site, b"at last")
        counted.wait_lines(1)
        opened(engine, len(engine.opened) + 2)
        engine.write(site, b"once more")

        assert counted.wait_lines(2) == [b"at last", b"once more"]
    assert ("reopened", "site", "idle") in counted.told


def test_a_terminals_lines(engine, counted):
    site = engine.run(Container("a", "site", tty=True))
    with following(engine, counted):
        engine.write(site, b"hello")

        assert counted.wait_lines(1) == [b"hello"]


def test_a_line_that_docker_cut_is_one_line(engine, counted):
    with following(engine, counted):
        site = engine.run(Container("a", "site"))
        engine.write(site, [b"x" * 16_384, b"forged"])
        engine.write(site, b"next")

        assert counted.wait_lines(2) == [b"x" * 16_384 + b"forged", b"next"]


def test_a_log_that_cannot_be_read_is_one_clear_warning(engine, counted, caplog):
    with following(engine, counted, list_period_s=0.02):
        site = engine.run(Container("a", "site", status=501))
        other = engine.run(Container("b", "other"))
        engine.write(other, b"hello")
        counted.wait_lines(1)
        counted.wait(lambda: any(name == "container site" for name, _ in counted.problems))
        engine.run(site)
        opened(engine, 1)

        assert not counted.reported.critical
    sentence = (
        "container site is not watched: its log driver none cannot be read. "
        "Use json-file, local or journald, or leave Docker's own cache on (cache-disabled=false)"
    )
    assert [each for each in counted.problems if each[1]] == [("container site", sentence)]
    assert [each for each in counted.told if each[1] == "site"] == [("unreadable", "site")]
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [sentence]


def test_a_log_that_docker_fails_to_read_is_told_until_it_can(engine, counted, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.log_reader.FIRST_RETRY_DELAY_S", 0.01)
    with following(engine, counted):
        site = engine.run(Container("a", "site", status=500))
        counted.wait(lambda: counted.problems[-1:] and counted.problems[-1][0] == "container site")
        assert counted.reported.critical
        site.status = 200
        engine.write(site, b"hello")
        counted.wait(lambda: counted.problems[-1:] == [("container site", None)])

    sentence = "the log of container site cannot be read (configured logging driver does not support reading)"
    assert [each for each in counted.problems if each[0] != "docker"] == [
        ("container site", sentence),
        ("container site", None),
    ]
    assert [text for _, _, text in counted.lines] == [b"hello"]


@pytest.mark.parametrize("status", [404, 409])
def test_a_container_that_is_going_is_let_go(engine, counted, status):
    with following(engine, counted):
        engine.run(Container("a", "site", status=status))
        counted.wait(lambda: counted.told[-1:] == [("closed", "site")])
        other = engine.run(Container("b", "other"))
        engine.write(other, b"hello")
        counted.wait_lines(1)

    assert not any(sentence for _, sentence in counted.problems)


def test_a_batch_that_breaks_what_it_is_given_to_is_not_read_for_ever(engine, counted, caplog):
    counted.broken = 1
    with following(engine, counted):
        site = engine.run(Container("a", "site"))
        engine.write(site, b"breaks")
        counted.wait(lambda: ("reopened", "site", "lost") in counted.told)
        engine.write(site, b"goes on")

        assert counted.wait_lines(1) == [b"goes on"]
    assert "a mistake in a matcher" in caplog.text


def test_whoever_does_not_read_for_long_opens_the_log_anew(engine, counted, monkeypatch):
    """Docker may have gone on after two rotations with what was left."""
    monkeypatch.setattr("sidecar.sources.docker.log_reader.MAX_FREEZE_S", 0.3)
    take = counted.emit

    def slowly(batch, cursor):
        take(batch, cursor)
        if len(counted.lines) == 1:
            time.sleep(0.4)

    monkeypatch.setattr(counted, "emit", slowly)
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    with following(engine, counted):
        counted.wait(lambda: ("reopened", "site", "frozen") in counted.told)
        engine.write(site, b"two")

        assert counted.wait_lines(2) == [b"one", b"two"]


def test_whoever_was_cut_off_when_the_container_stopped_reads_the_rest(engine, counted):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    with following(engine, counted, list_period_s=60):
        counted.wait_lines(1)
        with engine.changed:
            engine.cut()
            site.state = "exited"
            engine.write(site, b"two")

        assert counted.wait_lines(2) == [b"one", b"two"]


def test_what_docker_left_out_when_the_container_stopped(engine, counted):
    """Before 23 it may end a log that is followed with the container, and not with its last line."""
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    site.early = True
    with following(engine, counted):
        counted.wait_lines(1)
        with engine.changed:
            engine.stop_container(site)
            engine.write(site, b"two")

        assert counted.wait_lines(2) == [b"one", b"two"]
