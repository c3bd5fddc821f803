"""What several stories begin with."""

import pytest

from tests.support.running import Running


@pytest.fixture
def daemon(request, tmp_path, monkeypatch, engine):
    """A daemon with the story's `JAILS`, which reads the containers of its `engine`; these are removed at the end."""
    monkeypatch.setenv("DOCKER_HOST", engine.base_url)
    running = Running(tmp_path)
    (tmp_path / "jails.conf").write_text(request.module.JAILS)
    running.start()
    yield running
    running.close()
    engine.clear()
