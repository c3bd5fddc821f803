"""Connections break, the daemon restarts, containers stop and start: every line is handed on once."""

import logging
import threading
import time

import pytest

from sidecar.core.jail import Jail
from sidecar.sources.docker.api import Engine
from tests.sources.docker.running import following, opened
from tests.sources.docker.standin import Container, StandIn
from tests.support.waiting import wait_until


def test_a_container_that_stops_and_starts_is_read_on(engine, recorder):
    with following(engine, recorder):
        site = engine.run(Container("a", "site"))
        for number in range(5):
            engine.write(site, b"%d" % number)
            recorder.wait_lines(2 * number + 1)
            engine.write(site, b"last words")
            engine.stop_container(site)
            recorder.wait(lambda: recorder.events[-1] == ("closed", "site"))
            site.state = "running"
            engine.run(site)

        assert recorder.wait_lines(10) == [
            text for number in range(5) for text in (b"%d" % number, b"last words")
        ]


def test_a_replaced_engine_is_asked_for_its_version(engine, recorder):
    """With live-restore, a log may be opened before the source has connected again. This is no problem."""
    site = engine.run(Container("a", "site"))
    with following(engine, recorder, idle_timeout_s=0.2, list_period_s=60.0):
        engine.write(site, b"one")
        recorder.wait_lines(1)
        asked = engine.paths.count("/version")
        engine.api = "1.52"
        wait_until(lambda: engine.paths.count("/version") > asked)
        engine.write(site, b"two")

        assert recorder.wait_lines(2) == [b"one", b"two"]
    assert recorder.problems == []


@pytest.mark.parametrize("modern", [True, False])
def test_reading_over_tcp_ends_when_it_is_stopped(recorder, modern):
    """Also before an old engine has sent its headers."""
    jails = (Jail("shop", containers=("shop",)),)
    engine = StandIn(modern=modern)
    try:
        with following(engine, recorder, jails, idle_timeout_s=1_000, list_period_s=1_000):
            shop = engine.run(Container("a", "shop"))
            opened(engine, 1)
            [reader] = [each for each in threading.enumerate() if each.name == "docker shop"]
            engine.rename(shop, "other")
            reader.join(60)
            assert not reader.is_alive()
            engine.rename(shop, "shop")
            opened(engine, 2)
    finally:
        engine.close()


def test_connections_that_break_lose_and_double_nothing(engine, recorder):
    with following(engine, recorder):
        site = engine.run(Container("a", "site"))
        for number in range(300):
            engine.write(site, b"%d" % number, stream=1 + number % 2)
            if number % 30 == 29:
                engine.cut()

        assert sorted(recorder.wait_lines(300), key=int) == [b"%d" % number for number in range(300)]


def test_a_daemon_that_restarts_loses_and_doubles_nothing(engine, recorder):
    with following(engine, recorder):
        site = engine.run(Container("a", "site"))
        for number in range(60):
            engine.write(site, b"%d" % number)
            if number % 20 == 19:
                engine.stop()
                engine.write(site, b"while the daemon is away")
                engine.start()
        wanted = 63
        recorder.wait_lines(wanted)

    texts = [text for _, _, text in recorder.lines]
    assert [text for text in texts if text.isdigit()] == [b"%d" % number for number in range(60)]
    assert len(texts) == wanted


def test_a_log_without_any_line_is_opened_again(tmp_path, recorder):
    """Before Docker 27 no answer begins before the first line."""
    engine = StandIn(tmp_path / "docker.sock", modern=False)
    with following(engine, recorder, idle_timeout_s=0.1):
        site = engine.run(Container("a", "site"))
        opened(engine, 3)
        engine.write(site, b"at last")

        assert recorder.wait_lines(1) == [b"at last"]
        # Nobody was told that the log is not read meanwhile.
        assert ("reopened", "site", "idle") in recorder.events
        assert ("closed", "site") not in recorder.events
    engine.close()


def test_an_idle_log_is_checked_and_not_opened_again(engine, recorder):
    """Opening a log of 1 GB takes 13 s, in which nothing is read (docker/for-linux#972)."""
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    with following(engine, recorder, idle_timeout_s=0.1):
        recorder.wait_lines(1)
        wait_until(lambda: engine.paths.count(f"/containers/{site.id}/logs") > 4)
        engine.write(site, b"two")

        assert recorder.wait_lines(2) == [b"one", b"two"]
    assert len(engine.opened) == 1
    assert [each for each in recorder.events if each[0] == "reopened"] == []


def test_lines_of_a_container_with_a_tty_are_read(engine, recorder):
    site = engine.run(Container("a", "site", tty=True))
    with following(engine, recorder):
        engine.write(site, b"hello")

        assert recorder.wait_lines(1) == [b"hello"]


def test_a_line_that_docker_cut_is_one_line(engine, recorder):
    with following(engine, recorder):
        site = engine.run(Container("a", "site"))
        engine.write(site, [b"x" * 16_384, b"forged"])
        engine.write(site, b"next")

        assert recorder.wait_lines(2) == [b"x" * 16_384 + b"forged", b"next"]


def test_a_log_that_cannot_be_read_is_one_clear_warning(engine, recorder, caplog):
    with following(engine, recorder, list_period_s=0.02):
        site = Container("a", "site", status=501)
        site.driver = "none"
        engine.run(site)
        other = engine.run(Container("b", "other"))
        engine.write(other, b"hello")
        recorder.wait_lines(1)
        recorder.wait(lambda: any(name == "container site" for name, _ in recorder.problems))
        engine.run(site)
        opened(engine, 1)

        assert not recorder.critical
    sentence = (
        "container site is not watched: its log driver none cannot be read. "
        "Use json-file, local or journald, or leave Docker's own cache on (cache-disabled=false)"
    )
    assert [each for each in recorder.problems if each[1]] == [("container site", sentence)]
    assert [each for each in recorder.events if each[1] == "site"] == [("unreadable", "site")]
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [sentence]


def test_a_log_that_docker_fails_to_read_is_a_problem_until_it_can(engine, recorder, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.log_reader.FIRST_RETRY_DELAY_S", 0.01)
    with following(engine, recorder):
        site = engine.run(Container("a", "site", status=500))
        recorder.wait(lambda: recorder.problems[-1:] and recorder.problems[-1][0] == "container site")
        assert recorder.critical
        site.status = 200
        engine.write(site, b"hello")
        recorder.wait(lambda: recorder.problems[-1:] == [("container site", None)])

    sentence = (
        "the log of container site cannot be read (configured logging driver does not support reading). If this lasts, "
        "restart the container; if its file is damaged, create the container again "
        "(docker compose up -d --force-recreate)"
    )
    assert [each for each in recorder.problems if each[0] != "docker"] == [
        ("container site", sentence),
        ("container site", None),
    ]
    assert [text for _, _, text in recorder.lines] == [b"hello"]


@pytest.mark.parametrize("status", [404, 409])
def test_a_container_that_is_being_removed_is_left(engine, recorder, status):
    with following(engine, recorder):
        engine.run(Container("a", "site", status=status))
        recorder.wait(lambda: recorder.events[-1:] == [("closed", "site")])
        other = engine.run(Container("b", "other"))
        engine.write(other, b"hello")
        recorder.wait_lines(1)

    assert not any(sentence for _, sentence in recorder.problems)


def test_a_batch_that_breaks_a_filter_is_not_read_again(engine, recorder, caplog):
    recorder.failures_left = 1
    with following(engine, recorder):
        site = engine.run(Container("a", "site"))
        engine.write(site, b"breaks")
        recorder.wait(lambda: ("reopened", "site", "lost") in recorder.events)
        engine.write(site, b"goes on")

        assert recorder.wait_lines(1) == [b"goes on"]
    assert "a mistake in a matcher" in caplog.text


def test_a_log_is_reopened_when_a_batch_took_too_long(engine, recorder, monkeypatch):
    """Docker may have gone on after two rotations with what was left."""
    monkeypatch.setattr("sidecar.sources.docker.log_reader.MAX_FREEZE_S", 0.3)
    take = recorder.emit

    def slowly(batch, cursor):
        take(batch, cursor)
        if len(recorder.lines) == 1:
            time.sleep(0.4)

    monkeypatch.setattr(recorder, "emit", slowly)
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    with following(engine, recorder):
        recorder.wait(lambda: ("reopened", "site", "frozen") in recorder.events)
        engine.write(site, b"two")

        assert recorder.wait_lines(2) == [b"one", b"two"]


def test_the_rest_of_a_log_is_read_after_a_cut_when_the_container_stopped(engine, recorder):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    with following(engine, recorder, list_period_s=60):
        recorder.wait_lines(1)
        with engine.changed:
            engine.cut()
            site.state = "exited"
            engine.write(site, b"two")

        assert recorder.wait_lines(2) == [b"one", b"two"]


def test_lines_that_docker_leaves_out_when_a_container_stops_are_read(engine, recorder):
    """Before 23 it may end a log that is followed with the container, and not with its last line."""
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    site.early = True
    with following(engine, recorder):
        recorder.wait_lines(1)
        with engine.changed:
            engine.stop_container(site)
            engine.write(site, b"two")

        assert recorder.wait_lines(2) == [b"one", b"two"]


def test_lines_that_a_container_wrote_just_before_it_was_seen_to_have_stopped_are_read(
    engine, recorder, monkeypatch
):
    """Its log may be opened before it has begun, and then ends at once."""
    site = Container("a", "site")
    site.ends = True
    ask = Engine.is_running

    def is_running(self, container):
        if site.state == "running":
            engine.write(site, b"one")
            site.ends = False
            engine.stop_container(site)
        return ask(self, container)

    monkeypatch.setattr(Engine, "is_running", is_running)
    with following(engine, recorder, list_period_s=60):
        engine.run(site)

        assert recorder.wait_lines(1) == [b"one"]


# The beginning of a chunk, and of a frame in a chunk of its own: all that comes later is taken for the rest of it.
A_CHUNK, A_FRAME = b"400000\r\n\x17random", b"b\r\n\x01\0\0\0\0\x30\0\0abc\r\n"


@pytest.mark.parametrize("noise", [A_CHUNK, A_FRAME], ids=["chunk", "frame"])
@pytest.mark.parametrize("modern", [True, False])
def test_random_bytes_in_a_log_hold_up_its_lines_for_seconds_only(
    tmp_path, recorder, monkeypatch, modern, noise
):
    for place in ("api", "connection"):
        monkeypatch.setattr(f"sidecar.sources.docker.{place}.MAX_CHUNK_S", 0.5)
    engine = StandIn(tmp_path / "docker.sock", modern=modern)
    site = engine.run(Container("a", "site"))
    with following(engine, recorder, idle_timeout_s=240.0):
        opened(engine, 1)
        engine.write(site, b"before")
        recorder.wait_lines(1)
        site.noise = [noise]
        began = time.monotonic()
        for number in range(20):
            engine.write(site, b"%d" % number)
            time.sleep(0.05)

        assert recorder.wait_lines(21) == [b"before", *(b"%d" % number for number in range(20))]
        assert time.monotonic() - began < 30
    engine.close()


def test_random_bytes_again_and_again_are_a_problem(engine, recorder, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.connection.MAX_CHUNK_S", 0.1)
    # What is waited for a chunk is longer than this.
    monkeypatch.setattr("sidecar.sources.docker.log_reader.MAX_RETRY_DELAY_S", 0.02)
    site = engine.run(Container("a", "site"))
    with following(engine, recorder, idle_timeout_s=240.0):
        opened(engine, 1)
        engine.write(site, b"before")
        recorder.wait_lines(1)
        site.noise_first = A_CHUNK
        engine.cut()
        recorder.wait(lambda: any(name == "container site" and why for name, why in recorder.problems))
        site.noise_first = b""
        engine.write(site, b"after")
        assert recorder.wait_lines(2) == [b"before", b"after"]
        recorder.wait(lambda: recorder.problems[-1] == ("container site", None))

    [why, *_] = [why for name, why in recorder.problems if name == "container site" and why]
    assert "5 openings in a row brought no line: damaged" in why or "began and did not end" in why
