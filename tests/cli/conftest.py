from __future__ import annotations

import io
import sys
import threading

import pytest

from sidecar.cli import main
from sidecar.control.server import ControlApplication, ControlSocket, control_server
from sidecar.runtime import memory
from tests.cli.answering import Daemon

FAIL = r"""[Definition]
failregex = ^ ?fail <HOST>$
            ^wrong password for <F-USER>\S+</F-USER> from <HOST>$
"""
JAILS = "[wordpress]\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A filter and a jails file, and the environment that names them."""
    (tmp_path / "wordpress.conf").write_text(FAIL)
    (tmp_path / "broken.conf").write_text("[Definition]\nfailregex = ^(fail <HOST>$\n")
    (tmp_path / "jails.conf").write_text(JAILS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WP_SIDECAR_FILTERS", str(tmp_path))
    monkeypatch.setenv("WP_SIDECAR_JAILS", str(tmp_path / "jails.conf"))
    return tmp_path


@pytest.fixture
def wp(here, capsys, monkeypatch):
    """Runs a command, and returns its exit code and what it wrote to standard output and standard error."""

    # This process is not to be the first that the kernel ends.
    monkeypatch.setattr(memory, "OOM_SCORE", here / "oom_score_adj")

    def wp(*args: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as end:
            main(list(args))
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return wp


@pytest.fixture
def wp_lines(wp):
    """As `wp`, with standard output as a list of lines without the blanks at their ends."""

    def wp_lines(*args: str) -> tuple[int, list[str], str]:
        code, out, err = wp(*args)
        return code, [line.rstrip() for line in out.splitlines()], err

    return wp_lines


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    """A daemon at the socket that the environment names."""
    answering = Daemon()
    control = control_server(ControlSocket(tmp_path / "s"), ControlApplication(answering))
    thread = threading.Thread(target=control.run)
    thread.start()
    monkeypatch.setenv("WP_SIDECAR_SOCKET", str(tmp_path / "s"))
    yield answering
    control.close()
    thread.join(60)
