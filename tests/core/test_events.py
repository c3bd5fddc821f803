import math

from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.events import Ban, Topology


def test_a_ban_without_an_end_is_for_good():
    assert Ban("login", Address("203.0.113.7"), 0.0, math.inf, "manual").is_permanent
    assert not Ban("login", Address("203.0.113.7"), 0.0, 60.0, "manual").is_permanent


def test_the_ports_that_lead_to_what_is_watched():
    watched = (
        Container("a", "blog", "wordpress", published=frozenset({80, 443})),
        Container("b", "shop", "wordpress", published=frozenset({8080})),
        Container("c", "inside", "wordpress"),
    )

    assert Topology(containers=watched).published == {80, 443, 8080}
