"""Containers come and go, connections break, the daemon restarts: every line is handed on once."""

import logging
import threading
import time
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sidecar.app.daemon import Streams
from sidecar.core import containers as selection
from sidecar.core.events import Batch, Framing, Origin, Topology
from sidecar.core.jail import Jail
from sidecar.sources.docker.api import NoDocker
from sidecar.sources.docker.source import NAP, Docker, Pulse, described, going_past, networks, own_id
from sidecar.sources.docker.wire import Bookmark
from sidecar.telemetry.metrics import Metrics
from tests.sources.docker.standin import NETWORK, Container, Counted, StandIn, stamp
from tests.support.waiting import wait_until

JAILS = (Jail("wordpress"), Jail("shop", containers=("shop*",)))
AT = 1_795_000_000 * 10**9


@pytest.fixture(params=["modern", "old"])
def engine(tmp_path, request):
    engine = StandIn(tmp_path / "docker.sock", modern=request.param == "modern")
    yield engine
    engine.close()


@pytest.fixture
def counted():
    return Counted()


@contextmanager
def following(engine, counted, jails=JAILS, **options):
    """The source at work, with the cursors that were stored before."""
    source = Docker(
        engine.url,
        jails,
        counted.emit,
        counted.surroundings,
        cursors=counted.cursors,
        problem=counted.problem,
        **{"since": 0, "listener": counted, "idle": 5.0, "every": 5.0, **options},
    )
    thread = threading.Thread(target=source.run)
    thread.start()
    try:
        yield source
    finally:
        source.close()
        thread.join(10)
        for each in threading.enumerate():
            if each.name.startswith("docker "):
                each.join(10)
                assert not each.is_alive()
        assert not thread.is_alive()


class Status(Streams):
    """What `status` and /metrics say of the logs."""

    def __init__(self):
        self._registry = CollectorRegistry()
        super().__init__(Metrics(self._registry, "0"))

    def series(self, name=""):
        lines = generate_latest(self._registry).decode().splitlines()
        return [line for line in lines if f'container="{name}' in line]


def opened(engine, count):
    engine.wait(lambda: len(engine.opened) >= count)


def test_lines_become_batches(engine, counted):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"out", at=AT)
    engine.write(site, b"err", stream=2, at=AT + 1)

    with following(engine, counted):
        counted.wait_lines(2)

    assert sorted(counted.batches, key=lambda batch: batch.origin.stream, reverse=True) == [
        Batch(Origin("docker", "site", "stdout", ("wordpress",)), stamp(AT) + b" out\n", Framing.DOCKER),
        Batch(Origin("docker", "site", "stderr", ("wordpress",)), stamp(AT + 1) + b" err\n", Framing.DOCKER),
    ]
    assert [each for each in counted.told if each[:2] != ("read", "site")] == [
        ("opened", "site"),
        ("closed", "site"),
    ]
    assert ("read", "site", "stdout", 1, 35, AT / 10**9) in counted.told


def test_only_what_is_watched_is_read(engine, counted):
    for key, name, image, labels in [
        ("a", "site", "wordpress:6", {}),
        ("b", "shop-1", "nginx", {}),
        ("c", "database", "mariadb", {}),
        ("d", "hidden", "wordpress", {"wp-sidecar.enable": "false"}),
        ("e", "retagged", f"sha256:{'e' * 64}", {}),  # inspected, it is wordpress:old
    ]:
        engine.write(engine.run(Container(key, name, image, labels=labels)), name.encode())

    with following(engine, counted):
        counted.wait_lines(3)

    assert {batch.origin.name: batch.origin.jails for batch in counted.batches} == {
        "site": ("wordpress",),
        "shop-1": ("shop",),
        "retagged": ("wordpress",),
    }


def test_a_container_that_starts_later_is_followed(engine, counted):
    with following(engine, counted, every=60):
        counted.wait(lambda: counted.around)
        site = engine.run(Container("a", "site"))
        opened(engine, 1)
        engine.write(site, b"hello")

        assert counted.wait_lines(1) == [b"hello"]


def test_one_that_no_event_told_of_is_found(engine, counted):
    with following(engine, counted, every=0.05):
        counted.wait(lambda: counted.around)
        site = Container("a", "site")
        engine.containers[site.id] = site
        engine.write(site, b"hello")

        assert counted.wait_lines(1) == [b"hello"]


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


def test_a_new_container_of_the_same_name_is_another_log(engine, counted):
    with following(engine, counted):
        for key in "abc":
            site = engine.run(Container(key, "site"))
            engine.write(site, key.encode())
            counted.wait(lambda key=key: counted.lines[-1:] == [("site", "stdout", key.encode())])
            engine.stop_container(site)
            engine.remove(site)
            counted.wait(
                lambda: counted.told[-1:] == [("removed", "site")] or ("removed", "site") in counted.told
            )
            counted.told.clear()

    assert [text for _, _, text in counted.lines] == [b"a", b"b", b"c"]


def test_renamed_it_has_its_new_name_and_jails(engine, counted):
    with following(engine, counted):
        site = engine.run(Container("a", "site"))
        engine.write(site, b"before")
        counted.wait_lines(1)
        site.name = "shop"
        engine.run(site)
        engine.write(site, b"between")
        counted.wait_lines(2)
        counted.wait(lambda: counted.lines or True)
        for number in range(200):
            if counted.lines[-1][0] == "shop":
                break
            engine.write(site, b"%d" % number)
            counted.wait_lines(number + 3)

    assert counted.batches[-1].origin.name == "shop"
    assert counted.batches[-1].origin.jails == ("wordpress", "shop")


def test_renamed_so_that_nobody_looks_it_is_left_and_taken_up_again(engine, counted):
    jails = (Jail("shop", containers=("shop",)),)
    with following(engine, counted, jails):
        shop = engine.run(Container("a", "shop"))
        engine.write(shop, b"1")
        counted.wait_lines(1)
        shop.name = "other"
        engine.run(shop)
        counted.wait(lambda: counted.told[-1] == ("removed", "shop"))
        engine.write(shop, b"2")
        shop.name = "shop"
        engine.run(shop)

        assert counted.wait_lines(2) == [b"1", b"2"]


def test_renamed_it_is_known_by_its_new_name_alone(engine, counted):
    status = Status()
    with following(engine, counted, listener=status):
        site = engine.run(Container("a", "blog"))
        engine.write(site, b"1")
        counted.wait_lines(1)
        engine.rename(site, "shop")
        wait_until(lambda: status.states == {"shop": "open"})
        engine.write(site, b"2")
        counted.wait_lines(2)

        assert status.series("blog") == []
        assert 'wp_sidecar_log_stream_up{container="shop"} 1.0' in status.series()
        assert 'wp_sidecar_log_lines_total{container="shop",stream="stdout"} 1.0' in status.series()


def test_removed_while_it_is_read_it_leaves_nothing(engine, counted):
    """As `docker rm --force` does."""
    status = Status()
    with following(engine, counted, listener=status) as source:
        for number, key in enumerate("0123456789abcdefghij"):
            site = engine.run(Container(key, f"job-{number}"))
            engine.write(site, b"hello")
            counted.wait_lines(number + 1)
            engine.remove(site)
        wait_until(lambda: not source._streams)

    assert (status.states, status.series()) == ({}, [])


@pytest.mark.parametrize(("code", "state"), [(200, "open"), (501, "unreadable")])
def test_a_name_goes_from_one_container_to_the_next(engine, counted, code, state):
    """As compose recreates: stop the old one, rename it, create the new one, remove the old one."""
    status = Status()
    with following(engine, counted, listener=status) as source:
        old = engine.run(Container("a", "blog"))
        engine.write(old, b"1")
        counted.wait_lines(1)
        engine.stop_container(old)
        wait_until(lambda: status.states == {"blog": "closed"})
        engine.rename(old, "a_blog")
        wait_until(lambda: status.states == {"a_blog": "closed"})
        new = engine.run(Container("b", "blog", status=code))
        engine.write(new, b"2")
        wait_until(lambda: status.states == {"a_blog": "closed", "blog": state})
        engine.remove(old)
        wait_until(lambda: old.id not in source._streams)

        assert status.states == {"blog": state}
        assert status.series("a_blog") == []
        assert f'wp_sidecar_log_stream_up{{container="blog"}} {code == 200:d}.0' in status.series()
        assert [name for name, sentence in counted.problems if sentence is None] == ["docker"]


def test_a_name_that_another_has_at_the_next_look_is_the_others(engine, counted):
    """The old one was unreadable, and is gone without our seeing it go: its trouble goes with it."""
    status = Status()
    with following(engine, counted, listener=status):
        old = engine.run(Container("a", "blog", status=501))
        wait_until(lambda: status.states == {"blog": "unreadable"})
        with engine.changed:
            del engine.containers[old.id]
            new = engine.run(Container("b", "blog"))
        engine.write(new, b"1")
        counted.wait_lines(1)

        assert (status.states, counted.problems[-1]) == ({"blog": "open"}, ("container blog", None))


def test_two_that_swap_their_names(engine, counted):
    status = Status()
    with following(engine, counted, listener=status):
        one, two = engine.run(Container("a", "one")), engine.run(Container("b", "two", status=501))
        engine.write(one, b"1")
        wait_until(lambda: status.states == {"one": "open", "two": "unreadable"})
        with engine.changed:
            one.name = "two"
            engine.rename(two, "one")
        wait_until(lambda: status.states == {"one": "unreadable", "two": "open"})


def test_an_unreadable_log_is_told_under_its_new_name(engine, counted):
    status = Status()
    with following(engine, counted, listener=status):
        site = engine.run(Container("a", "blog", status=501))
        wait_until(lambda: status.states == {"blog": "unreadable"})
        engine.rename(site, "shop")
        counted.wait(lambda: counted.problems[-1][0] == "container shop")

    assert [(name, bool(sentence)) for name, sentence in counted.problems[1:]] == [
        ("container blog", True),
        ("container blog", False),
        ("container shop", True),
    ]
    assert status.states == {"shop": "unreadable"}


def test_what_is_watched_no_longer_is_forgotten(engine, counted):
    """The first label says that only what has one is watched."""
    status = Status()
    with following(engine, counted, listener=status):
        engine.run(Container("a", "blog", status=501))
        wait_until(lambda: status.states == {"blog": "unreadable"})
        shop = engine.run(Container("b", "shop", labels={"wp-sidecar.enable": "true"}))
        engine.write(shop, b"1")
        wait_until(lambda: status.states == {"shop": "open"})

    assert counted.problems[-1] == ("container blog", None)


def test_a_docker_of_another_version_is_asked_for_its_own(engine, counted):
    """Replaced under us (live-restore), and a log is opened before anybody has connected anew. It is no trouble."""
    site = engine.run(Container("a", "site"))
    with following(engine, counted, idle=0.2, every=60.0):
        engine.write(site, b"one")
        counted.wait_lines(1)
        engine.api = "1.52"
        counted.wait(lambda: ("reopened", "site", "lost") in counted.told)
        engine.write(site, b"two")

        assert counted.wait_lines(2) == [b"one", b"two"]
    assert counted.problems == [("docker", None)]


@pytest.mark.parametrize("modern", [True, False])
def test_over_tcp_reading_ends_when_it_is_to(counted, modern):
    """Also before an old engine has sent its headers."""
    jails = (Jail("shop", containers=("shop",)),)
    engine = StandIn(modern=modern)
    try:
        with following(engine, counted, jails, idle=60, every=60):
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


def test_a_source_that_is_killed_goes_on_where_its_last_cursor_was_stored(engine, counted):
    site = engine.run(Container("a", "site"))
    for number in range(5):
        for line in range(10):
            engine.write(site, b"%d" % (10 * number + line), stream=1 + line % 2)
        with following(engine, counted):
            counted.wait_lines(10 * number + 10)

    assert sorted((text for _, _, text in counted.lines), key=int) == [b"%d" % number for number in range(50)]


def test_an_idle_log_is_opened_again(engine, counted):
    with following(engine, counted, idle=0.1):
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


def test_a_line_that_is_too_long_is_told(engine, counted):
    with following(engine, counted):
        site = engine.run(Container("a", "site"))
        engine.write(site, [b"x" * 16_384] * 9)
        counted.wait(lambda: ("truncated", "site", 1) in counted.told)


def test_a_log_that_cannot_be_read_is_one_clear_warning(engine, counted, caplog):
    with following(engine, counted, every=0.02):
        site = engine.run(Container("a", "site", status=501))
        other = engine.run(Container("b", "other"))
        engine.write(other, b"hello")
        counted.wait_lines(1)
        counted.wait(lambda: any(name == "container site" for name, _ in counted.problems))
        engine.run(site)
        opened(engine, 1)

        assert not counted.critical
    sentence = (
        "container site is not watched: its log driver none cannot be read. "
        "Use json-file, local or journald, or leave Docker's own cache on (cache-disabled=false)"
    )
    assert [each for each in counted.problems if each[1]] == [("container site", sentence)]
    assert [each for each in counted.told if each[1] == "site"] == [("unreadable", "site")]
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [sentence]


def test_a_log_that_docker_fails_to_read_is_told_until_it_can(engine, counted, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.source.FIRST", 0.01)
    with following(engine, counted):
        site = engine.run(Container("a", "site", status=500))
        counted.wait(lambda: counted.problems[-1:] and counted.problems[-1][0] == "container site")
        assert counted.critical
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


def test_who_was_frozen_knows_it_whoever_wakes_first():
    pulse = Pulse(now=0)
    pulse.beat(now=1)
    assert pulse.naps(now=1 + NAP) == 0
    assert pulse.naps(now=10) == 1

    pulse.beat(now=10)
    assert (pulse.naps(now=10), pulse.naps(now=11), pulse.naps(now=20)) == (1, 1, 2)


def test_whoever_does_not_read_for_long_opens_the_log_anew(engine, counted, monkeypatch):
    """Docker may have gone on after two rotations with what was left."""
    monkeypatch.setattr("sidecar.sources.docker.source.NAP", 0.3)
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


def test_an_old_docker_that_has_more_and_does_not_send_it(tmp_path, counted, monkeypatch):
    """Before 23, where a log is rotated just when it is opened."""
    monkeypatch.setattr("sidecar.sources.docker.source.SILENCE", 0.1)
    old = StandIn(tmp_path / "docker.sock", modern=False)
    site, quiet = old.run(Container("a", "site")), old.run(Container("b", "quiet", tty=True))
    site.stuck = 1
    old.write(site, b"one")
    old.write(quiet, b"hello")
    with following(old, counted):
        counted.wait_lines(2)
        old.write(site, b"two")
        counted.wait_lines(3)
        counted.wait(lambda: ("reopened", "site", "stuck") in counted.told)
        time.sleep(0.5)  # so that it is asked of the other as well

    assert sorted(text for _, _, text in counted.lines) == [b"hello", b"one", b"two"]
    assert [each for each in counted.told if each[0] == "reopened"] == [("reopened", "site", "stuck")]
    old.close()


def test_what_a_container_said_last_before_it_stopped_without_us(engine, counted):
    """It is read though it never runs again; of one that we never read, nothing."""
    site, other = engine.run(Container("a", "site")), engine.run(Container("b", "other"))
    engine.write(site, b"one")
    engine.stop_container(other)
    with following(engine, counted):
        counted.wait_lines(1)
    engine.write(site, b"two")
    engine.write(other, b"three")
    engine.stop_container(site)
    with following(engine, counted):
        assert counted.wait_lines(2) == [b"one", b"two"]


def test_an_old_docker_that_leaves_lines_out_of_what_it_follows(tmp_path, counted):
    """Before 23, where a log is rotated just when it is opened, and once more."""
    old, now = StandIn(tmp_path / "docker.sock", modern=False), time.time_ns()
    site = old.run(Container("a", "site"))
    site.hole = 2
    old.write(site, b"one", at=now)
    with following(old, counted):
        counted.wait_lines(1)
        for number, text in enumerate([b"two", b"three", b"four"]):
            old.write(site, text, at=now + (number + 5) * 10**9)

        assert counted.wait_lines(4) == [b"one", b"two", b"three", b"four"]
        old.write(site, b"five", at=now + 9 * 10**9)
        assert counted.wait_lines(5)[-1] == b"five"
    assert [each for each in counted.told if each[0] == "reopened"] == []
    old.close()


def test_whoever_was_cut_off_when_the_container_stopped_reads_the_rest(engine, counted):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    with following(engine, counted, every=60):
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


def test_a_clock_that_was_set_back_while_we_were_away(engine, counted):
    """Docker before 24 leaves out what is older than the time it is asked for."""
    now, ahead = time.time_ns(), time.time_ns() + 7200 * 10**9
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one", at=ahead)
    with following(engine, counted):
        counted.wait_lines(1)
    engine.write(site, b"two", at=now)
    with following(engine, counted):
        assert counted.wait_lines(2) == [b"one", b"two"]
        engine.write(site, b"three", at=now + 10**9)

        assert counted.wait_lines(3) == [b"one", b"two", b"three"]
    assert ("gap", "site") not in counted.told


def test_a_clock_of_ours_that_is_ahead_makes_nobody_blind(engine, counted):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"one")
    with following(engine, counted, since=time.time() + 7200):
        assert counted.wait_lines(1) == [b"one"]


def test_a_log_that_was_rotated_meanwhile_is_a_gap(engine, counted):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"1", at=AT)
    with following(engine, counted):
        counted.wait_lines(1)
    site.frames.clear()
    engine.write(site, b"2", at=AT + 10**9)
    with following(engine, counted):
        assert counted.wait_lines(2) == [b"1", b"2"]
        counted.wait(lambda: ("gap", "site") in counted.told)


def test_a_cursor_that_is_none_is_a_log_never_seen(engine, counted, caplog):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"1")
    counted.cursors[f"docker:{site.id}"] = b"what is this"

    with following(engine, counted):
        assert counted.wait_lines(1) == [b"1"]
    assert "a cursor is not understood" in caplog.text


def test_surroundings_are_told_when_they_change(engine, counted):
    with following(engine, counted):
        counted.wait(lambda: counted.around)
        engine.run(Container("a", "database", "mariadb", ports=[3306]))
        site = engine.run(Container("b", "site", ports=[8080, 8443]))
        counted.wait(lambda: counted.around[-1:] and counted.around[-1].published)
        engine.networks = [
            NETWORK,
            {"IPAM": {"Config": [{"Subnet": "2001:db8:1::/64", "Gateway": "2001:db8:1::1"}]}},
        ]
        engine.run(site)
        counted.wait(lambda: len(counted.around[-1].networks) > 2)
        engine.stop_container(site)
        counted.wait(lambda: not counted.around[-1].published)

    bridge = ("172.17.0.0/16", "172.17.0.1/32")
    both = (*bridge, "2001:db8:1::/64", "2001:db8:1::1/128")
    watched = (described(site.entry(), "wordpress:6"),)
    changes = [Topology(bridge, watched), Topology(both, watched), Topology(both)]
    assert counted.around == [Topology(bridge), *changes]
    assert Topology(bridge, watched).published == {8080, 8443}


def test_that_docker_is_away_for_long_is_told(tmp_path, counted, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.source.PATIENCE", 0.01)
    engine = StandIn(tmp_path / "docker.sock")
    with following(engine, counted):
        counted.wait(lambda: counted.around)
        engine.stop()
        counted.wait(lambda: counted.problems[-1:] and counted.problems[-1][1])
        engine.start()
        counted.wait(lambda: counted.problems[-1] == ("docker", None))
    engine.close()

    told = [sentence for _, sentence in counted.problems if sentence]
    assert told[0].startswith(f"Docker at {engine.url} is away (")


# The start


def check(url):
    Docker(url, JAILS, None, None, cursors={}, since=0).check()


def test_an_engine_that_answers_is_fine(engine):
    check(engine.url)


def test_no_socket(tmp_path):
    with pytest.raises(NoDocker) as said:
        check(f"unix://{tmp_path}/none.sock")

    assert str(said.value) == (
        f"no Docker socket at unix://{tmp_path}/none.sock: mount it into this container, or set DOCKER_HOST"
    )


def test_nobody_at_the_socket(engine):
    engine._server.shutdown()
    engine._server.server_close()
    engine._server = None

    with pytest.raises(
        NoDocker, match=r"does not answer \(.*Connection refused\): start it, or set DOCKER_HOST"
    ):
        check(engine.url)


def test_a_proxy_that_does_not_allow_it(engine):
    engine.refused["/networks"] = 403

    with pytest.raises(NoDocker, match=r"refuses to be asked \(refused\): a socket proxy has to allow"):
        check(engine.url)


# Pure


def test_subnets_and_gateways():
    listed = [
        NETWORK,
        {"IPAM": {"Config": None}},
        {"IPAM": None},
        {
            "IPAM": {
                "Config": [{"Subnet": "2001:db8::/64", "Gateway": "2001:db8::1/64"}, {"Gateway": "nonsense"}]
            }
        },
    ]

    assert networks(listed) == ("172.17.0.0/16", "172.17.0.1/32", "2001:db8::/64", "2001:db8::1/128")


BRIDGE = {"Gateway": "172.17.0.1", "IPv6Gateway": "", "GlobalIPv6Address": ""}
DUAL = {"Gateway": "172.18.0.1", "IPv6Gateway": "2001:db8:1::1", "GlobalIPv6Address": "2001:db8:1::2"}
BOTH = [{"IP": "0.0.0.0", "PublicPort": 8080}, {"IP": "::", "PublicPort": 8080}]


def test_a_container_as_docker_describes_it():
    entry = {
        "Id": "1", "Names": ["/site"], "Labels": None, "Ports": [{"PrivatePort": 443}, *BOTH],
        "NetworkSettings": {"Networks": {"bridge": BRIDGE, "dual": DUAL}},
    }  # fmt: skip

    assert described(entry, "wordpress") == selection.Container(
        "1", "site", "wordpress", {}, frozenset({8080}), ("172.17.0.1", "172.18.0.1", "2001:db8:1::1")
    )


@pytest.mark.parametrize(
    ("ports", "attached", "proxied"),
    [
        (BOTH, {"bridge": BRIDGE}, True),
        (BOTH, {"dual": DUAL}, False),
        (BOTH[:1], {"bridge": BRIDGE}, False),
        ([], {"bridge": BRIDGE}, False),
    ],
)
def test_ipv6_clients_of_a_container_without_ipv6_come_as_the_gateway(ports, attached, proxied):
    entry = {
        "Id": "1",
        "Names": ["/site"],
        "Labels": {},
        "Ports": ports,
        "NetworkSettings": {"Networks": attached},
    }

    assert described(entry, "wordpress").proxied == proxied


def test_which_containers_have_a_network_past_the_hosts_firewall():
    nets = [{"Id": driver, "Driver": driver} for driver in ("bridge", "macvlan", "ipvlan", "overlay")] + [{}]
    attached = {"1": ["bridge"], "2": ["bridge", "macvlan"], "3": ["ipvlan"], "4": ["overlay"], "5": []}
    entries = [
        {"Id": key, "NetworkSettings": {"Networks": {name: {"NetworkID": name} for name in names}}}
        for key, names in attached.items()
    ]

    assert going_past(nets, [*entries, {"Id": "6"}]) == {"2", "3"}


OWN = "ab" * 32


@pytest.mark.parametrize(
    ("mountinfo", "own"),
    [
        (
            f"1 2 8:1 /var/lib/docker/containers/{OWN}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw\n",
            OWN,
        ),
        (f"1 2 8:1 /containers/{OWN}/resolv.conf /etc/resolv.conf rw - ext4 /dev/sdb1 rw\n", OWN),
        # the host sees what other containers mount
        (f"1 2 0:9 / /var/lib/docker/containers/{OWN}/mounts/shm rw - tmpfs shm rw\n", ""),
        ("", ""),
    ],
)
def test_our_own_container_is_known_by_its_mounts(mountinfo, own):
    assert own_id(mountinfo) == own


def test_we_do_not_watch_ourselves(engine, counted, monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.source.own_id", lambda _: "a" * 64)
    engine.write(engine.run(Container("a", "wordpress-sidecar")), b"mine")
    engine.write(engine.run(Container("b", "site")), b"its")

    with following(engine, counted):
        assert counted.wait_lines(1) == [b"its"]


def test_a_log_never_seen_begins_where_it_is_told(engine, counted):
    engine.run(Container("a", "site"))
    source = Docker(engine.url, JAILS, counted.emit, counted.surroundings, cursors={}, since=12345.6)

    assert source._since == 12345
    assert Bookmark(source._since).start() == 12345


def test_other_jails_choose_anew_and_no_line_is_lost_or_doubled(engine, counted):
    site, shop = engine.run(Container("a", "site")), engine.run(Container("b", "shop", image="nginx"))
    with following(engine, counted, every=60) as source:
        engine.write(site, b"1")
        counted.wait_lines(1)
        source.reconfigure((Jail("shop", containers=("shop",)),), since=0)
        counted.wait(lambda: ("removed", "site") in counted.told)
        engine.write(site, b"2")
        engine.write(shop, b"3")
        counted.wait_lines(2)
        source.reconfigure(JAILS, since=0)
        counted.wait_lines(3)
        engine.write(site, b"4")

        assert counted.wait_lines(4) == [b"1", b"3", b"2", b"4"]
    assert [batch.origin.jails for batch in counted.batches] == [
        ("wordpress",),
        ("shop",),
        ("wordpress",),
        ("wordpress",),
    ]
    assert [sentence for _, sentence in counted.problems if sentence] == []  # Docker was never away


def test_who_is_still_watched_is_read_on_by_the_new_jails(engine, counted):
    site = engine.run(Container("a", "site"))
    with following(engine, counted, every=60) as source:
        engine.write(site, b"0")
        counted.wait_lines(1)
        source.reconfigure((Jail("one"), Jail("two")), since=0)
        for number in range(1, 200):
            engine.write(site, b"%d" % number)
            counted.wait_lines(number + 1)
            if counted.batches[-1].origin.jails == ("one", "two"):
                break

    assert counted.batches[-1].origin.jails == ("one", "two")
    assert [text for _, _, text in counted.lines] == [b"%d" % each for each in range(number + 1)]
    assert len(engine.opened) == 1


def test_a_container_that_is_chosen_late_is_read_from_where_its_lines_may_count(engine, counted):
    shop = engine.run(Container("b", "shop", image="nginx"))
    engine.write(shop, b"old", at=AT)
    engine.write(shop, b"new", at=AT + 100 * 10**9)
    with following(engine, counted, (Jail("wordpress"),), every=60) as source:
        counted.wait(lambda: counted.around)
        source.reconfigure((Jail("shop", containers=("shop",)),), since=AT / 10**9 + 50)

        assert counted.wait_lines(1) == [b"new"]
