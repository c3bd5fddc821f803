from __future__ import annotations

import io
import sys

import pytest

from sidecar.cli import main

FAIL = r"""[Definition]
failregex = ^ ?fail <HOST>$
            ^wrong password for <F-USER>\S+</F-USER> from <HOST>$
"""
JAILS = "[wordpress]\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A filter, a jails file, and nothing of ours in the environment."""
    (tmp_path / "wordpress.conf").write_text(FAIL)
    (tmp_path / "broken.conf").write_text("[Definition]\nfailregex = ^(fail <HOST>$\n")
    (tmp_path / "jails.conf").write_text(JAILS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WP_SIDECAR_FILTERS", str(tmp_path))
    monkeypatch.setenv("WP_SIDECAR_JAILS", str(tmp_path / "jails.conf"))
    return tmp_path


@pytest.fixture
def wp(here, capsys, monkeypatch):
    """Runs a command: its exit code, what it wrote, what it said of errors."""

    def wp(*args: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as end:
            main(list(args))
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return wp
