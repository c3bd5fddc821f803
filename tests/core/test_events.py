import math
from dataclasses import replace

from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.events import Ban, Topology
from sidecar.core.watched import Watched


def test_a_ban_without_an_end_is_for_good():
    assert Ban("login", Address("203.0.113.7"), 0.0, math.inf, "manual").is_permanent
    assert not Ban("login", Address("203.0.113.7"), 0.0, 60.0, "manual").is_permanent


def test_a_ban_without_its_evidence_is_the_same_in_all_else():
    ban = Ban(
        "login", Address("203.0.113.7"), 1.0, 2.0, "manual", 3, "blog", ("line",), "why", 4,
        dry_run=True, decided_at=5.0,
    )  # fmt: skip
    kept = ban.without_evidence()

    assert (kept, kept.decided_at) == (replace(ban, evidence=()), 5.0)


def test_the_ports_that_lead_to_what_is_watched():
    watched = (
        Container("a", "blog", "wordpress", published=frozenset({80, 443})),
        Container("b", "shop", "wordpress", published=frozenset({8080})),
        Container("c", "inside", "wordpress"),
    )

    assert Topology(containers=watched).published == {80, 443, 8080}


def test_the_ports_of_front_ends_lead_to_the_site_also_where_those_are_not_watched():
    nginx = Container("2", "nginx", "nginx", published=frozenset({8080}))
    blog = Container("1", "blog", "wordpress", front_ends=(nginx,))

    assert Topology(containers=(blog,)).published == {8080}


def test_a_topology_names_the_front_ends_that_nobody_chose():
    watched = Watched((Container("1", "blog", ""), Container("2", "nginx", "")), {}, frozenset({"2"}))

    assert Topology.of(("192.0.2.0/24",), watched) == Topology(
        ("192.0.2.0/24",), watched.containers, frozenset({"nginx"})
    )
