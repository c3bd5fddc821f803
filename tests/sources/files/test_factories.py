"""Which sources of files the settings need, and what they are made of."""

from sidecar.config.settings import Settings, SourceKind, SourceSettings
from sidecar.core.jail import Jail
from sidecar.sources.factories import SourceConfig, SourceInputs
from sidecar.sources.files.factories import CriSourceFactory, FileSourceFactory, logpaths
from tests.sources.recorder import Recorder

CONTAINERS = (Jail("a"),)
CLUSTER = SourceSettings(kind=SourceKind.CRI, kubernetes_api=True)
FILES = (Jail("a", logpath=("/a.log",)), Jail("b", logpath=("/a.log", "/b.log")))


def made(kind, settings):
    recorder = Recorder()
    return kind.make(SourceConfig(settings, 0.0), SourceInputs(recorder.outputs, recorder, {}, None)).services


def test_each_path_has_the_jails_that_name_it():
    assert logpaths(FILES) == {"/a.log": ("a", "b"), "/b.log": ("b",)}


def test_files_are_read_if_a_jail_names_some():
    assert FileSourceFactory().is_needed(Settings(FILES, {}))
    assert not FileSourceFactory().is_needed(Settings(CONTAINERS, {}))
    assert [service.name for service in made(FileSourceFactory(), Settings(FILES, {}))] == ["files"]


def test_outside_of_a_cluster_the_api_is_not_used(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    settings = Settings(CONTAINERS, {}, sources=CLUSTER)

    assert [service.name for service in made(CriSourceFactory(), settings)] == ["cri"]


def test_a_change_in_the_cluster_is_reported_to_the_source_of_logs(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    settings = Settings(CONTAINERS, {}, sources=CLUSTER, node="node-7")
    api, cri = made(CriSourceFactory(), settings)

    assert api._listener is cri
    assert api._node_pods == {"fieldSelector": "spec.nodeName=node-7"}
