"""When Docker is asked, and what by."""

import pytest

from sidecar.config.settings import Settings, SourceKind, SourceSettings
from sidecar.core.jail import Jail
from sidecar.sources.base import SourceUnavailable
from sidecar.sources.docker.factory import DockerSourceFactory
from sidecar.sources.factories import SourceConfig, SourceInputs


@pytest.mark.parametrize(
    ("source", "jail", "needed"),
    [
        (SourceKind.DOCKER, Jail("a"), True),
        (SourceKind.DOCKER, Jail("a", logpath=("/a.log",)), False),
        (SourceKind.CRI, Jail("a"), False),
    ],
)
def test_docker_is_needed_when_a_jail_looks_at_its_containers(source, jail, needed):
    assert (
        DockerSourceFactory().is_needed(Settings((jail,), {}, sources=SourceSettings(kind=source))) == needed
    )


def test_the_source_is_made_only_when_the_engine_answers(engine, recorder):
    settings = Settings((Jail("a"),), {}, sources=SourceSettings(docker_host=engine.url))
    inputs = SourceInputs(recorder.outputs, recorder, {}, None)
    made = DockerSourceFactory().make(SourceConfig(settings, 0.0), inputs)

    assert [service.name for service in made.services] == ["docker"]
    engine.stop()
    with pytest.raises(SourceUnavailable, match="no Docker socket"):
        DockerSourceFactory().make(SourceConfig(settings, 0.0), inputs)


def test_an_engine_that_accepts_and_does_not_answer_does_not_hold_up_the_start(engine, recorder):
    """It is reported after five seconds, as at any other time."""
    settings = Settings((Jail("a"),), {}, sources=SourceSettings(docker_host=engine.url))
    inputs = SourceInputs(recorder.outputs, recorder, {}, None)
    engine.silent.add("/version")
    made = DockerSourceFactory().make(SourceConfig(settings, 0.0, is_start=True), inputs)

    assert [service.name for service in made.services] == ["docker"]
    assert inputs.outputs.problems.sentences == ()
    engine.silent.clear()


def test_at_the_start_of_the_process_the_source_waits_for_an_engine_and_reports_that(engine, recorder):
    settings = Settings((Jail("a"),), {}, sources=SourceSettings(docker_host=engine.url))
    inputs = SourceInputs(recorder.outputs, recorder, {}, None)
    engine.stop()
    made = DockerSourceFactory().make(SourceConfig(settings, 0.0, is_start=True), inputs)

    assert [service.name for service in made.services] == ["docker"]
    (sentence,) = inputs.outputs.problems.sentences
    assert sentence.startswith("no Docker socket at")
    assert inputs.outputs.problems.critical
