import socket

import pytest

from sidecar.core.address import Address
from sidecar.runtime.dns import lookup_addresses


def test_an_address_is_its_own_answer():
    assert lookup_addresses("203.0.113.7") == (Address("203.0.113.7"),)
    assert lookup_addresses("2001:db8::7") == (Address("2001:db8::/64"),)


@pytest.mark.parametrize("name", ["no such name", "a" * 300, "a" * 70 + ".example"])
def test_a_name_that_no_server_can_know_has_no_address(name):
    assert lookup_addresses(name) == ()


def test_each_address_comes_once_in_the_resolvers_order(monkeypatch):
    """Against a real name server this is tested with the names of allowlists (tests/app/test_allowlist_names.py)."""
    texts = ("203.0.113.9", "2001:db8::1", "203.0.113.7", "2001:db8::2", "203.0.113.9", "::ffff:203.0.113.7")
    answer = [(socket.AF_UNSPEC, socket.SOCK_STREAM, 0, "", (text, 0)) for text in texts]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)

    assert lookup_addresses("crowd.example") == ("203.0.113.9", "2001:db8::/64", "203.0.113.7")
