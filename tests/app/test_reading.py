import pytest

from sidecar.access.logs import AccessLogs
from sidecar.app.reading import LogReading
from sidecar.config.errors import ConfigErrors
from sidecar.config.settings import Settings
from sidecar.core.jail import Jail
from sidecar.filters.loader import load
from sidecar.runtime.problems import Problems
from sidecar.sources.base import SourceUnavailable
from sidecar.sources.registry import NewSources


def settings(failregex, notes=()):
    path = settings.folder / "web.conf"
    path.write_text(f"[Definition]\nfailregex = {failregex}\n")
    return Settings((Jail("web"),), {"web": load(str(path))}, notes=notes)


class Source:
    """A source that was made for new settings."""

    services = ("a service",)


class World:
    """Intake, sources and supervisor, which keep in one list what is asked of them."""

    def __init__(self, first):
        self.did, self.error = [], None
        self.reading = LogReading(
            filters=first.filters, access_logs=AccessLogs(), intake=Intake(self.did), sources=self,
            supervisor=self, problems=Problems(), clock=lambda: 5.0,
        )  # fmt: skip

    def prepare(self, _settings, now):
        assert now == 5.0
        if self.error:
            raise self.error
        return NewSources({"source": Source()})

    def reconfigure(self, _settings, new, now):
        self.did.append(("sources", [*new.by_name], now))

    def start(self, service):
        self.did.append(("started", service))


class Intake:
    """Keeps the expressions of the matcher it is given."""

    def __init__(self, did):
        self.did = did

    def reconfigure(self, matcher):
        self.did.append("matcher")
        matcher.close()


@pytest.fixture(autouse=True)
def _folder(tmp_path):
    settings.folder = tmp_path


def test_what_is_prepared_is_not_in_use_yet():
    world = World(settings("^one <HOST>$"))
    prepared = world.reading.prepare(settings("^two <HOST>$"))
    assert world.did == []

    world.reading.reconfigure(prepared, 6.0)
    assert world.did == ["matcher", ("sources", ["source"], 6.0), ("started", "a service")]


def test_the_same_filters_keep_their_matcher_and_what_it_remembers():
    world = World(settings("^one <HOST>$"))
    world.reading.reconfigure(world.reading.prepare(settings("^one <HOST>$", notes=("a note",))), 6.0)
    assert "matcher" not in world.did

    world.reading.reconfigure(world.reading.prepare(settings("^two <HOST>$")), 7.0)
    world.reading.reconfigure(world.reading.prepare(settings("^two <HOST>$")), 8.0)
    assert world.did.count("matcher") == 1


@pytest.mark.parametrize("error", [SourceUnavailable("no Docker socket"), OSError("the socket is in use")])
def test_a_source_that_cannot_be_made_is_an_error_of_the_configuration(error):
    world = World(settings("^one <HOST>$"))
    world.error = error
    with pytest.raises(ConfigErrors, match=str(error)) as raised:
        world.reading.prepare(settings("^two <HOST>$"))

    assert [each.file for each in raised.value.errors] == ["environment"]
    assert world.did == []
