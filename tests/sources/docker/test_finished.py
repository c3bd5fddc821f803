"""Containers that start, log and stop between two lists."""

from sidecar.core.jail import Jail
from tests.sources.docker.running import AT, following
from tests.sources.docker.standin import Container


def finish(engine, key, name, text, *, at=None, **options):
    """A container that started, wrote a line and stopped, and that no event mentioned."""
    container = Container(key, name, **options)
    container.state, container.finished_at = "exited", "2026-11-18T13:20:00.000000000Z"
    engine.write(container, text, at=at)
    engine.containers[container.id] = container
    return container


def test_a_container_that_stopped_before_it_was_seen_is_read_to_its_end_once(engine, recorder):
    with following(engine, recorder, list_period_s=0.05):
        recorder.wait(lambda: recorder.topologies)
        finish(engine, "a", "job", b"failed", at=AT)
        assert recorder.wait_lines(1) == [b"failed"]
        finish(engine, "b", "second", b"failed too", at=AT)
        assert recorder.wait_lines(2) == [b"failed", b"failed too"]

    assert sorted({name for name, _ in engine.opened}) == ["job", "second"]
    assert len(recorder.lines) == 2


def test_a_hundred_short_lived_containers_are_all_read(engine, recorder):
    with following(engine, recorder):
        recorder.wait(lambda: recorder.topologies)
        for number in range(100):
            container = Container("a", f"job-{number}")
            container.id = f"{number:064x}"
            engine.run(container)
            engine.write(container, b"%d" % number)
            engine.stop_container(container)

        assert sorted(recorder.wait_lines(100), key=int) == [b"%d" % number for number in range(100)]


def test_a_container_that_stopped_too_long_ago_is_not_read(engine, recorder):
    """Its lines count in no jail, and reading it costs Docker time."""
    finish(engine, "a", "old", b"old", at=AT)
    old = engine.containers["a" * 64]
    old.finished_at = "2026-01-01T00:00:00.000000000Z"
    finish(engine, "b", "young", b"young", at=AT)
    with following(engine, recorder, since=AT / 10**9 - 600):
        assert recorder.wait_lines(1) == [b"young"]
        engine.run(engine.containers["b" * 64])

    assert {name for name, _ in engine.opened} == {"young"}


def test_only_selected_containers_are_read(engine, recorder):
    engine.run(Container("a", "labelled", "nginx", labels={"wp-sidecar.enable": "true"}))
    finish(engine, "b", "excluded", b"no", labels={"wp-sidecar.enable": "false"}, at=AT)
    finish(engine, "c", "database", b"no", image="mariadb", at=AT)
    finish(engine, "d", "job", b"yes", image="nginx", labels={"wp-sidecar.enable": "true"}, at=AT)
    with following(engine, recorder):
        assert recorder.wait_lines(1) == [b"yes"]

    assert {name for name, _ in engine.opened} == {"labelled", "job"}


def test_a_reload_may_choose_a_stopped_container(engine, recorder):
    finish(engine, "a", "shop", b"yes", image="nginx", at=AT)
    with following(engine, recorder, (Jail("wordpress"),)) as source:
        recorder.wait(lambda: recorder.topologies)
        source.reconfigure((Jail("shop", containers=("shop",)),), since=0)

        assert recorder.wait_lines(1) == [b"yes"]


def test_a_container_that_never_ran_is_not_opened(engine, recorder):
    site = Container("a", "site")
    site.state = "created"
    engine.containers[site.id] = site
    with following(engine, recorder, list_period_s=0.05):
        recorder.wait(lambda: recorder.topologies)
        site.state = "running"
        engine.run(site)
        engine.write(site, b"hello")
        assert recorder.wait_lines(1) == [b"hello"]

    assert len(engine.opened) == 1


def test_a_front_end_that_stopped_while_nobody_read_is_read_to_its_end(engine, recorder):
    jails = (Jail("access", reads_requests=True),)
    engine.run(Container("a", "site", "wordpress:fpm", networks=["inner"]))
    nginx = engine.run(Container("b", "nginx", "nginx", ports=[80], networks=["inner"]))
    with following(engine, recorder, jails):
        engine.write(nginx, b"1")
        recorder.wait_lines(1)
    engine.write(nginx, b"2")
    engine.stop_container(nginx)
    with following(engine, recorder, jails):
        assert recorder.wait_lines(2) == [b"1", b"2"]
