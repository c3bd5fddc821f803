"""What sources are made by."""

from sidecar.config.settings import Settings, SourceSettings
from sidecar.core.containers import LabelTrust
from sidecar.core.jail import Jail
from sidecar.sources.factories import ConfiguredContainers, SourceConfig, needs_containers

NOW = 1_795_338_000.0
JAILS = (Jail("a", findtime=600.0), Jail("b", findtime=3600.0))


def test_reading_begins_where_a_line_may_count():
    assert SourceConfig.at(Settings(JAILS, {}), NOW).reading_start == NOW - 3_600


def test_containers_are_needed_unless_every_jail_names_its_files():
    files = Jail("files", logpath=("/a.log",))

    assert not needs_containers(Settings((files,), {}))
    assert needs_containers(Settings((files, Jail("a")), {}))
    assert needs_containers(Settings((Jail("both", logpath=("/a.log",), containers=("shop",)),), {}))
    assert needs_containers(Settings((Jail("absent", logpath=("/a.log",), absent=("/a.log",)),), {}))


class Source:
    name = "source"

    def __init__(self):
        self.configured = []

    def reconfigure(self, jails, since, labels):
        self.configured.append((jails, since, labels))

    def run(self): ...
    def close(self): ...


def test_a_source_of_containers_takes_over_jails_and_where_to_begin():
    source = Source()
    settings = Settings(JAILS, {}, sources=SourceSettings(labels=LabelTrust.NONE))
    ConfiguredContainers(source, (source,)).reconfigure(SourceConfig(settings, 5.0))

    assert source.configured == [(JAILS, 5.0, LabelTrust.NONE)]
