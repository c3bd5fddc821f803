"""A stand-in Engine, new and old, and what records the results of a source."""

import pytest

from tests.sources.docker.standin import StandIn
from tests.sources.recorder import Recorder


@pytest.fixture(params=["modern", "old"])
def engine(tmp_path, request):
    engine = StandIn(tmp_path / "docker.sock", modern=request.param == "modern")
    yield engine
    engine.close()


@pytest.fixture
def recorder():
    return Recorder()
