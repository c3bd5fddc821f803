"""What is asked of the Engine, and what it answers."""

import math
import threading
import time
from contextlib import closing

import pytest

from sidecar.sources.base import SourceUnavailable
from sidecar.sources.docker.api import DockerHost, EngineReplacedError, RequestRefusedError, check, reason
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.wire import EngineError, FrameDecoder
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


@pytest.fixture
def api(engine):
    with closing(DockerHost(engine.url, 5.0).open(Interrupt())) as api:
        yield api


def test_what_is_in_a_log_comes_at_once(engine, site, api):
    engine.write(site, b"hello", at=0)
    with closing(api.logs(site.id, 0)) as stream:
        assert FrameDecoder().feed(stream.read()) == [(1, stamp(0) + b" hello\n")]


def test_a_stream_can_be_read_on_after_a_timeout(engine, site, api):
    engine.write(site, b"one", at=0)
    with closing(api.logs(site.id, 0)) as stream:
        stream.read()
        with pytest.raises(TimeoutError):
            stream.read(0.01)
        engine.write(site, b"two", at=1)
        assert FrameDecoder().feed(stream.read()) == [(1, stamp(1) + b" two\n")]


def test_a_stream_ends_with_no_bytes(engine, site, api):
    engine.stop_container(site)
    with closing(api.logs(site.id, 0)) as empty:
        assert (empty.read(), empty.complete) == (b"", True)
    engine.write(site, b"hello")
    with closing(api.logs(site.id, 0)) as stream:
        assert stream.read() != b""
        assert (stream.read(), stream.complete) == (b"", True)


def test_a_log_that_is_cut_off_is_not_complete(engine, site, api):
    engine.write(site, b"hello")
    with closing(api.logs(site.id, 0)) as stream:
        stream.read()
        engine.cut()
        assert (stream.read(), stream.complete) == (b"", False)


def test_another_thread_ends_a_log(engine, site):
    """Also while an old Engine has not sent the head of its answer yet."""
    interrupt, ended = Interrupt(), []

    def read():
        with closing(DockerHost(engine.url, 60.0).open(interrupt)) as api:
            try:
                with closing(api.logs(site.id, 0)) as stream:
                    ended.append(stream.read())
            except OSError:
                ended.append(b"")

    thread = threading.Thread(target=read)
    thread.start()
    engine.wait(lambda: engine.opened)
    interrupt.set()
    thread.join(60)

    assert ended == [b""]


def test_an_interrupt_also_ends_later_requests_until_it_is_cleared(engine, site):
    interrupt = Interrupt()
    with closing(DockerHost(engine.url).open(interrupt)) as api:
        interrupt.set()
        for ask in (lambda: api.logs(site.id, 0), api.containers, api.now):
            with pytest.raises((OSError, EngineError)):
                ask()

        interrupt.clear()
        assert [entry["Id"] for entry in api.containers()] == [site.id]


def test_containers_and_networks_are_listed(engine, site, api):
    assert [entry["Id"] for entry in api.containers()] == [site.id]
    assert (api.is_running(site.id), api.inspect(site.id)["Config"]["Tty"]) == (True, False)
    assert api.networks() == engine.networks
    engine.stop_container(site)
    assert not api.is_running(site.id)


def test_the_last_line_of_a_log(engine, site, api):
    for number in range(3):
        engine.write(site, b"%d" % number, at=number)

    assert FrameDecoder().feed(api.last_bytes(site.id)) == [(1, stamp(2) + b" 2\n")]


@pytest.mark.parametrize(
    ("driver", "options", "file_bytes"),
    [
        ("json-file", {}, math.inf),
        ("json-file", {"max-size": "10m", "max-file": "3"}, 10e6),
        ("local", {}, 20e6),
        ("local", {"max-size": "1k"}, 1e3),
        # Docker's own cache of it.
        ("awslogs", {}, 20e6),
        ("awslogs", {"cache-max-size": "5m"}, 5e6),
        ("journald", {}, math.inf),
        ("json-file", {"max-size": "much"}, 0.0),
    ],
)
def test_at_which_size_a_log_is_rotated(site, api, driver, options, file_bytes):
    site.driver, site.log_options = driver, options

    assert api.log_file_bytes(site.id) == file_bytes


def test_the_engines_time_is_read_from_an_answer(api):
    began = time.time()

    # It is in whole seconds.
    assert began - 1 <= api.now() <= time.time() + 1


def test_the_version_is_asked_for_once(engine):
    host = DockerHost(engine.url)
    versions = [host.open(Interrupt()).version for _ in range(3)]

    assert versions == [engine.api] * 3
    assert engine.paths.count("/version") == 1


@pytest.mark.parametrize("status", [403, 404, 500, 501])
def test_a_refusal_says_why(engine, site, api, status):
    engine.refused |= {"/networks": status, f"/containers/{site.id}/logs": status}
    for ask in (api.networks, lambda: api.logs(site.id, 0)):
        with pytest.raises(RequestRefusedError, match=r"^refused$") as said:
            ask()
        assert said.value.status == status


def test_an_engine_that_was_replaced_is_asked_for_its_version_again(engine, site):
    host = DockerHost(engine.url)
    host.open(Interrupt()).close()
    before = host.open(Interrupt())
    engine.api = "1.52"
    for ask in (before.networks, lambda: before.logs(site.id, 0)):
        with pytest.raises(EngineReplacedError, match="too old"):
            ask()
    before.close()
    with closing(host.open(Interrupt())) as after:
        assert (after.version, after.networks()) == ("1.52", engine.networks)


def test_an_error_without_a_message_is_named_by_its_type(tmp_path):
    with pytest.raises(FileNotFoundError) as said:
        DockerHost(f"unix://{tmp_path}/none.sock").open(Interrupt())

    assert reason(said.value) == "[Errno 2] No such file or directory"
    assert reason(ValueError("oops")) == "oops"
    assert reason(ValueError()) == "ValueError"


# The start


def test_the_check_passes_when_the_engine_answers(engine):
    check(DockerHost(engine.url))


def test_the_check_names_a_missing_socket(tmp_path):
    with pytest.raises(SourceUnavailable) as said:
        check(DockerHost(f"unix://{tmp_path}/none.sock"))

    assert str(said.value) == (
        f"no Docker socket at unix://{tmp_path}/none.sock: mount it into this container, or set DOCKER_HOST"
    )


def test_the_check_names_a_socket_at_which_nobody_listens(engine):
    engine._server.shutdown()
    engine._server.server_close()
    engine._server = None

    with pytest.raises(
        SourceUnavailable, match=r"does not answer \(.*Connection refused\): start it, or set DOCKER_HOST"
    ):
        check(DockerHost(engine.url))


def test_the_check_names_what_a_proxy_has_to_allow(engine):
    engine.refused["/networks"] = 403

    with pytest.raises(
        SourceUnavailable, match=r"refuses to be asked \(refused\): a socket proxy has to allow"
    ):
        check(DockerHost(engine.url))
