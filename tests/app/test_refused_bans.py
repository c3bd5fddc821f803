from dataclasses import replace

import pytest

from sidecar.app.exposed_containers import ExposedContainers
from sidecar.app.host_network import HostNetwork
from sidecar.app.refused_bans import RefusedBansReport
from sidecar.core.allowlist import Allowlist
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from tests.app.world import BLOG, Changes, ReadableMetrics, hits

WEB = Jail("web", maxretry=3, findtime=10_000.0)


class World:
    """A report, and a guard with a kernel that saw nobody. `seen` is its answer."""

    def __init__(self):
        self.changes, self.readable, self.answer = Changes(), ReadableMetrics(), False
        problems = self.changes.problems()
        self.exposed = ExposedContainers(self.readable.metrics.allowlist, problems)
        self.guard = Guard([WEB], Allowlist(), witness=self)
        self.has_packets = True
        self.network = HostNetwork(list, problems)
        self._report = RefusedBansReport(
            self.exposed, self.network, self, self.readable.metrics.guard, problems
        )

    def seen(self, _):
        return self.answer

    def sees_packets(self):
        return self.has_packets

    def run(self, now):
        assert self._report.run(self.guard, now) == ()

    def refused(self, reason):
        return self.readable.value("refused_bans_total", reason=reason)


@pytest.fixture
def world():
    return World()


def test_a_log_that_names_strangers_is_reported_until_it_stops(world):
    for n in range(4):
        assert world.guard.hits(hits(3, f"192.0.2.{n}"), 1.0) == []
    world.run(2.0)

    ((name, sentence),) = world.changes
    assert name == "addresses in blog"
    assert sentence.startswith("12 failures in blog name addresses that sent no packet")
    assert "witness = off" in sentence
    assert world.refused("never seen by this host's network") == 4

    world.run(1_000.0)
    assert world.changes[1:] == [("addresses in blog", None)]


def test_a_few_of_them_are_no_problem(world):
    world.guard.hits(hits(3, "192.0.2.1"), 1.0)
    world.run(2.0)

    assert world.changes == []
    assert world.refused("never seen by this host's network") == 1


def test_for_an_exposed_container_its_exposure_is_the_remedy(world):
    world.exposed.replace([BLOG])
    world.changes.clear()
    world.guard.hits(hits(20, "192.0.2.1"), 1.0)
    world.run(2.0)

    ((_, sentence),) = world.changes
    assert world.exposed.advice("blog") in sentence
    world.exposed.replace([replace(BLOG, ipv6_proxied=False)])


def test_that_it_is_unknown_is_reported_as_such(world):
    world.answer = None
    world.guard.hits(hits(20, "192.0.2.1"), 1.0)
    world.run(2.0)

    ((_, sentence),) = world.changes
    assert "too many addresses send packets" in sentence
    assert world.refused("not known to this host's network") == 1


@pytest.mark.parametrize(
    ("is_ours", "said"),
    [
        (None, "If clients do reach the site, wp-sidecar is not on the host's network"),
        (False, "this is not the host's network, so no packet of a client passes the firewall"),
        # A quiet host: only the forged lines came.
        (
            True,
            "name addresses that sent no packet to the ports of a jail, so they are not banned. They are forged",
        ),
    ],
)
def test_where_no_packet_comes_at_all_it_depends_on_the_network(world, is_ours, said):
    world.has_packets = False
    world.network.is_ours = is_ours
    world.guard.hits(hits(20, "192.0.2.1"), 1.0)
    world.run(2.0)

    ((_, sentence),) = world.changes
    assert said in sentence
    assert ("network_mode: host" in sentence) is (is_ours is not True)


def test_a_probable_proxy_is_reported_at_once(world):
    world.answer = True
    proofs = [hit._replace(success=True) for hit in hits(40, "192.0.2.1")]
    assert world.guard.hits([*proofs, *hits(3, "192.0.2.1")], 1.0) == []
    world.run(2.0)

    ((name, sentence),) = world.changes
    assert name == "probable proxies of web"
    assert sentence.startswith("192.0.2.1 looks like a proxy or an office")
    assert world.refused("probably a proxy") == 1
