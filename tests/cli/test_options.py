from pathlib import Path

from sidecar.cli.options import socket_path


def test_the_socket_is_the_given_one_or_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_SOCKET", "/run/shop.sock")

    assert socket_path(Path("/run/blog.sock")) == Path("/run/blog.sock")
    assert socket_path(None) == Path("/run/shop.sock")
