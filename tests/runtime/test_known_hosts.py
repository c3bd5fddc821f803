import socket

import pytest

from sidecar.runtime.known_hosts import KnownHosts

HOSTS = KnownHosts(["sidecar.example.net"])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9734", "127.0.0.1", "[::1]:9734", "192.0.2.7", "localhost", "LOCALHOST:9734", "localhost.",
        "host.docker.internal:9734", "sidecar.example.net:80", f"{socket.gethostname()}:9734",
        None,
    ],
)  # fmt: skip
def test_addresses_and_known_names_are_included(host):
    assert HOSTS.includes(host)


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example", "rebound.example:9734", "127.0.0.1.rebound.example", "localhost.rebound.example",
        "127.0.0.1@rebound.example", "rebound", "", " ", "[::1", "[rebound.example]", "127.0.0.1:port", "127.0.0.1\x00",
        "127.1", "0x7f.1", "sidecar.example.net.rebound.example", "\u0661\u0662\u0667.0.0.1",
    ],
)  # fmt: skip
def test_no_other_name_is_included_so_no_web_page_can_ask_by_its_own(host):
    assert not HOSTS.includes(host)


def test_every_name_may_be_allowed():
    assert KnownHosts(["*"]).includes("any.example")
