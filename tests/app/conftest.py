"""What tests of the whole daemon share."""

import os

import pytest

from tests.support.paths import ROOT
from tests.support.running import Running


@pytest.fixture
def environ(tmp_path):
    """The environment of a daemon with one jail, which reads a file."""
    log = tmp_path / "error.log"
    log.touch()
    (tmp_path / "jails.conf").write_text(f"[wordpress]\nlogpath = {log}\n")
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "WP_SIDECAR_JAILS": str(tmp_path / "jails.conf"),
        "WP_SIDECAR_STATE": str(tmp_path / "state"),
        "WP_SIDECAR_SOCKET": str(tmp_path / "control.sock"),
    }


@pytest.fixture
def daemon(tmp_path):
    """A daemon that a test configures and starts."""
    running = Running(tmp_path)
    yield running
    running.close()
