"""Which sources there are, at the start and after a reload."""

import pytest

from sidecar.config import reader
from sidecar.config.settings import Settings
from sidecar.runtime.problems import Problems
from sidecar.runtime.supervisor import Every
from sidecar.sources.base import NullLogListener
from sidecar.sources.docker.api import NoDocker
from sidecar.sources.registry import Readers, logpaths, since
from tests.sources.docker.standin import StandIn

NOW = 1_795_338_000.0


@pytest.fixture
def engine(tmp_path):
    engine = StandIn(tmp_path / "docker.sock")
    yield engine
    engine.close()


@pytest.fixture
def read(tmp_path, engine):
    """The settings of a jails file like this."""

    def read(text: str, **environ: str) -> Settings:
        (tmp_path / "jails.conf").write_text(text)
        (tmp_path / "a.log").touch()
        given = {"WP_SIDECAR_JAILS": str(tmp_path / "jails.conf"), "DOCKER_HOST": engine.url}
        return reader.read(given | environ)

    return read


@pytest.fixture
def readers():
    resolver = Every("resolver", lambda: None, lambda: 60.0)
    return Readers(
        lambda *_: None, lambda _: None, resolver, cursors={}, listener=NullLogListener(), problems=Problems()
    )


def names(readers, settings):
    more = readers.more(settings, NOW)
    readers.take(settings, more, NOW)
    return [service.name for service in more]


def test_a_source_of_each_kind_that_some_jail_needs(readers, read, tmp_path):
    text = f"[wordpress]\n[wordpress-access]\nlogpath = {tmp_path}/a.log\nusedns = yes\n"
    settings = read(text, WP_SIDECAR_SYSLOG=f"{tmp_path}/log")
    more = readers.more(settings, NOW)

    assert [service.name for service in more] == ["resolver", "docker", "files", "syslog"]
    more[-1].close()
    more[-1].run()  # closed, it lets go of its socket


@pytest.mark.parametrize(
    ("environ", "sources"),
    [
        ({"WP_SIDECAR_SOURCE": "docker"}, ["docker"]),
        ({"WP_SIDECAR_SOURCE": "docker-files", "WP_SIDECAR_KUBERNETES_API": "true"}, ["docker-files"]),
        ({"WP_SIDECAR_SOURCE": "cri"}, ["cri"]),
        ({"WP_SIDECAR_SOURCE": "cri", "WP_SIDECAR_KUBERNETES_API": "true"}, ["kubernetes", "cri"]),
    ],
)
def test_containers_are_read_as_the_settings_say(readers, read, monkeypatch, environ, sources):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")

    assert names(readers, read("[wordpress]\n", **environ)) == sources
    assert readers.surround


def test_outside_of_a_cluster_no_api_is_asked(readers, read, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    environ = {"WP_SIDECAR_SOURCE": "cri", "WP_SIDECAR_KUBERNETES_API": "true"}

    assert names(readers, read("[wordpress]\n", **environ)) == ["cri"]


def test_the_clusters_word_has_the_logs_looked_at(readers, read, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    environ = {"WP_SIDECAR_SOURCE": "cri", "WP_SIDECAR_KUBERNETES_API": "true", "WP_SIDECAR_NODE": "node-7"}
    api, cri = readers.more(read("[wordpress]\n", **environ), NOW)

    assert api._listener is cri
    assert api._node_pods == {"fieldSelector": "spec.nodeName=node-7"}


def test_a_reload_adds_what_is_needed_and_ends_nothing(readers, read, tmp_path):
    files = f"[wordpress]\nlogpath = {tmp_path}/a.log\n"

    assert (names(readers, read(files)), readers.surround) == (["files"], False)
    assert (names(readers, read(files)), readers.surround) == ([], False)
    assert (names(readers, read("[wordpress]\n")), readers.surround) == (["docker"], True)
    assert names(readers, read(f"{files}usedns = yes\n")) == ["resolver"]
    assert names(readers, read(f"{files}usedns = yes\n[wordpress-access]\n")) == []


def test_without_an_engine_that_answers_nothing_has_changed(readers, read, tmp_path):
    settings = read("[wordpress]\n", DOCKER_HOST=f"unix://{tmp_path}/none")

    with pytest.raises(NoDocker, match="no Docker socket"):
        readers.more(settings, NOW)
    assert not readers.surround
    assert names(readers, read("[wordpress]\n")) == ["docker"]


def test_reading_begins_where_a_line_may_count(read):
    settings = read("[wordpress]\nfindtime = 10m\n[wordpress-access]\nfindtime = 1h\n")

    assert since(settings, NOW) == NOW - 3_600


def test_who_looks_at_which_file(read, tmp_path):
    paths = f"logpath = {tmp_path}/a.log"
    settings = read(f"[wordpress]\n{paths}\n  {tmp_path}/b.log\n[wordpress-access]\n{paths}\n")

    assert logpaths(settings.jails) == {
        f"{tmp_path}/a.log": ("wordpress", "wordpress-access"),
        f"{tmp_path}/b.log": ("wordpress",),
    }
