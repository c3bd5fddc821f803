import pytest

from sidecar.advice.exposure import doubt, exposure
from sidecar.core.containers import Container

PROXIED = Container("1", "blog", "wordpress", gateways=("172.18.0.1", "fd00::1"), proxied=True)
DUAL = Container("2", "shop", "wordpress", gateways=("172.19.0.1", "fd00:6::1"))


def test_a_container_whose_ipv6_clients_come_as_its_gateway():
    assert exposure(PROXIED) == (
        "IPv6 clients reach blog through Docker's proxy, as 172.18.0.1: they cannot be banned, and a forged "
        "X-Forwarded-For of theirs names whomever they like. Enable IPv6 on one of its networks, or publish its "
        "ports for IPv4 only (0.0.0.0:80:80)"
    )
    assert "as its gateway: " in exposure(Container("1", "blog", "wordpress", proxied=True))
    assert exposure(DUAL) is None


@pytest.mark.parametrize(
    ("container", "seen", "why"),
    [
        (PROXIED, False, "never seen by this host's network"),
        (PROXIED, True, None),  # the one it names has been here: he may be an attacker, or be slandered
        (PROXIED, None, "not known to this host's network"),
        (DUAL, False, None),  # its log shows who connected, whatever the kernel noted
        (None, False, None),
    ],
)
def test_who_never_came_is_a_forged_stranger(container, seen, why):
    assert doubt(container, seen) == why
