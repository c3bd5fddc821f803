"""Which sources there are, at the start and after a reload."""

import threading
from dataclasses import dataclass, field

import pytest

from sidecar.config import reader
from sidecar.config.settings import Settings
from sidecar.core.events import Batch, Framing, Origin
from sidecar.runtime.supervisor import PeriodicTask
from sidecar.sources.base import SourceUnavailable
from sidecar.sources.factories import SourceInputs
from sidecar.sources.registry import FACTORIES, SourceRegistry
from tests.sources.docker.standin import StandIn
from tests.sources.recorder import Recorder

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
def inputs():
    recorder = Recorder()
    return SourceInputs(recorder.outputs, recorder, {}, PeriodicTask("resolver", lambda: None, 60.0))


@pytest.fixture
def registry(inputs):
    return SourceRegistry(inputs)


def names(registry, settings):
    """The services that these settings add."""
    new = registry.prepare(settings, NOW)
    registry.reconfigure(settings, new, NOW)
    return [service.name for service in new.services]


def test_there_is_a_source_of_each_kind_that_some_jail_needs(registry, read, tmp_path):
    text = f"[wordpress]\n[wordpress-access]\nlogpath = {tmp_path}/a.log\nusedns = yes\n"
    settings = read(text, WP_SIDECAR_SYSLOG=f"{tmp_path}/log")
    new = registry.prepare(settings, NOW)

    assert [service.name for service in new.services] == ["resolver", "docker", "files", "syslog"]
    new.services[-1].close()
    new.services[-1].run()  # closed, it lets go of its socket


@pytest.mark.parametrize(
    ("environ", "sources"),
    [
        ({"WP_SIDECAR_SOURCE": "docker"}, ["docker"]),
        ({"WP_SIDECAR_SOURCE": "docker-files", "WP_SIDECAR_KUBERNETES_API": "true"}, ["docker-files"]),
        ({"WP_SIDECAR_SOURCE": "cri"}, ["cri"]),
        ({"WP_SIDECAR_SOURCE": "cri", "WP_SIDECAR_KUBERNETES_API": "true"}, ["kubernetes", "cri"]),
    ],
)
def test_containers_are_read_as_the_settings_say(registry, read, monkeypatch, environ, sources):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")

    assert names(registry, read("[wordpress]\n", **environ)) == sources
    assert registry.reports_topology


def test_a_reload_adds_what_is_needed_and_ends_nothing(registry, read, tmp_path):
    files = f"[wordpress]\nlogpath = {tmp_path}/a.log\n"

    assert (names(registry, read(files)), registry.reports_topology) == (["files"], False)
    assert (names(registry, read(files)), registry.reports_topology) == ([], False)
    assert (names(registry, read("[wordpress]\n")), registry.reports_topology) == (["docker"], True)
    assert names(registry, read(f"{files}usedns = yes\n")) == ["resolver"]
    assert names(registry, read(f"{files}usedns = yes\n[wordpress-access]\n")) == []


def test_a_reload_that_needs_an_engine_which_does_not_answer_changes_nothing(registry, read, tmp_path):
    names(registry, read(f"[wordpress]\nlogpath = {tmp_path}/a.log\n"))
    settings = read("[wordpress]\n", DOCKER_HOST=f"unix://{tmp_path}/none")

    with pytest.raises(SourceUnavailable, match="no Docker socket"):
        registry.prepare(settings, NOW)
    assert not registry.reports_topology
    assert names(registry, read("[wordpress]\n")) == ["docker"]


# A new source: its file, and a line in FACTORIES


@dataclass
class Pigeons:
    """A source of our own: each jail's name is a line."""

    emit: object
    jails: list[str]
    name: str = "pigeons"
    closed: threading.Event = field(default_factory=threading.Event)

    def run(self):
        origin = Origin(self.name, "loft", jails=tuple(self.jails))
        self.emit(Batch(origin, b"".join(b"%s\n" % jail.encode() for jail in self.jails), Framing.NONE), None)

    def close(self):
        self.closed.set()

    @property
    def services(self):
        return (self,)

    def reconfigure(self, source_config):
        self.jails = [jail.name for jail in source_config.settings.jails]


class PigeonFactory:
    name = "pigeons"
    reports_topology = False

    def is_needed(self, settings):
        return bool(settings.jails)

    def make(self, source_config, inputs):
        return Pigeons(inputs.outputs.emit, [jail.name for jail in source_config.settings.jails])


def test_a_source_of_a_new_kind_is_one_class_and_one_entry(inputs, read):
    registry = SourceRegistry(inputs, (*FACTORIES, PigeonFactory()))
    first, second = read("[wordpress]\n"), read("[wordpress-access]\n")
    new = registry.prepare(first, NOW)
    registry.reconfigure(first, new, NOW)
    pigeons = new.services[-1]
    pigeons.run()
    registry.reconfigure(second, registry.prepare(second, NOW), NOW)
    pigeons.run()

    assert [service.name for service in new.services] == ["docker", "pigeons"]
    read_by = inputs.outputs.listener.batches
    assert [batch.data for batch in read_by] == [b"wordpress\n", b"wordpress-access\n"]
