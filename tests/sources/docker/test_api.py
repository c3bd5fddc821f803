"""A log is read as it comes, and reading ends when it is told to."""

import threading
from contextlib import closing

import pytest
from docker.errors import DockerException

from sidecar.sources.docker.api import Engine, reason
from sidecar.sources.docker.wire import Frames
from tests.sources.docker.standin import Container, StandIn, stamp


@pytest.fixture(params=["modern", "old", "modern-tcp", "old-tcp"])
def engine(tmp_path, request):
    engine = StandIn(
        None if "tcp" in request.param else tmp_path / "docker.sock", modern="modern" in request.param
    )
    yield engine
    engine.close()


@pytest.fixture
def site(engine):
    return engine.run(Container("a", "site"))


def test_what_is_there_comes_at_once(engine, site):
    engine.write(site, b"hello", at=0)
    with closing(Engine(engine.url)) as api:
        body, terminal = api.logs(site.id, 0, idle=5)
        with closing(body):
            assert Frames().feed(body.read(5)) == [(1, stamp(0) + b" hello\n")]
            assert not terminal


def test_after_a_silence_one_may_read_on(engine, site):
    engine.write(site, b"one", at=0)
    with closing(Engine(engine.url)) as api:
        body, _ = api.logs(site.id, 0, idle=5)
        with closing(body):
            body.read(5)
            with pytest.raises(TimeoutError):
                body.read(0.01)
            engine.write(site, b"two", at=1)
            assert Frames().feed(body.read(5)) == [(1, stamp(1) + b" two\n")]


def test_the_end_is_no_bytes(engine, site):
    with closing(Engine(engine.url)) as api:
        engine.stop_container(site)
        empty, _ = api.logs(site.id, 0, idle=5)
        assert empty.read(5) == b""
        empty.close()
        engine.write(site, b"hello")
        body, _ = api.logs(site.id, 0, idle=5)
        assert body.read(5) != b""
        assert body.read(5) == b""
        body.close()


def test_another_thread_ends_it(engine, site):
    """Also while an old engine has not sent its headers yet."""
    with closing(Engine(engine.url)) as api:

        def read():
            try:
                body, _ = api.logs(site.id, 0, idle=60)
            except (OSError, DockerException):
                return
            assert body.read(60) == b""
            body.close()

        thread = threading.Thread(target=read)
        thread.start()
        engine.wait(lambda: engine.opened)
        api.stop()
        thread.join(5)

        assert not thread.is_alive()


def test_what_is_asked_after_the_end_ends_as_well(engine, site):
    with closing(Engine(engine.url)) as api:
        api.stop()
        with pytest.raises((OSError, DockerException)):
            api.logs(site.id, 0, idle=60)


def test_versions(engine):
    with closing(Engine(engine.url)) as api:
        assert (api.version, api.repeats) == (("1.47", False) if engine.modern else ("1.41", True))


def test_what_was_behind_it(tmp_path):
    with pytest.raises((OSError, DockerException)) as said:
        Engine(f"unix://{tmp_path}/none.sock")

    assert reason(said.value) == "[Errno 2] No such file or directory"
    assert reason(ValueError("oops")) == "oops"
    assert reason(ValueError()) == "ValueError"
