from dataclasses import replace

import pytest

from sidecar.access.logs import AccessLogs
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.app.guard_inputs import GuardInputs
from sidecar.app.host_changes import HostChanges
from sidecar.app.host_names import WatchedNames
from sidecar.app.host_network import NAMESPACE_PROBLEM, HostNetwork
from sidecar.app.last_run import PendingHits
from sidecar.config.settings import Settings, SourceKind, SourceSettings
from sidecar.core.events import Topology
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.runtime.loop import Inbox, Loop
from sidecar.runtime.problems import Problems
from tests.app.world import ANN, BLOG, BOB, ReadableMetrics, hits

WEB = Jail("web", maxretry=2, ignore_names=("office.example",))


class World:
    """A loop that is turned by hand, with two failures of the last run for each of two clients."""

    def __init__(self, kind=SourceKind.DOCKER, own=("172.18.0.1",)):
        self.own = own
        settings, problems = Settings((WEB,), {}, sources=SourceSettings(kind)), Problems()
        self.problems = problems
        self.inbox, metrics = Inbox(), ReadableMetrics().metrics
        self.exposed = ExposedContainers(metrics.allowlist, problems)
        inputs = GuardInputs(settings, {}, WatchedNames(), self, problems=problems, access_logs=AccessLogs())
        pending = PendingHits(hits(2, ANN) + hits(2, BOB), ["web"])
        network = HostNetwork(lambda: self.own, problems)
        self.changes = HostChanges(self.inbox, inputs, self.exposed, network, pending, problems=problems)
        self.loop = Loop(Guard(settings.jails, inputs.allowlist), self.inbox, [], lambda: 5.0, problems)

    def set_topology(self, *_): ...
    def reconfigure(self, *_): ...

    def banned(self):
        answer = self.inbox.query(lambda view, _: [ban.address for ban in view.bans])
        self.loop.step(timeout=0)
        return answer.result(timeout=0)


def test_the_first_topology_has_the_failures_of_the_last_run_counted():
    world = World(SourceKind.CRI)
    assert world.banned() == []
    world.changes.on_topology_changed(Topology((f"{BOB}/32",), (BLOG,)))

    # Bob is an address of a node.
    assert world.banned() == [ANN]
    assert world.exposed.advice("blog")

    world.changes.on_topology_changed(Topology((), (replace(BLOG, ipv6_proxied=False),)))
    assert world.banned() == [ANN]
    assert world.exposed.advice("blog") is None


def test_resolved_names_reach_the_guard():
    world = World()
    world.changes.on_topology_changed(Topology())
    assert world.banned() == [ANN, BOB]
    world.changes.on_names_resolved({"office.example": (ANN,)})

    assert world.banned() == [BOB]


def test_a_wordpress_that_is_not_watched_is_a_problem_until_it_is():
    world = World()
    world.changes.on_topology_changed(Topology(unwatched=("shop",)))
    world.banned()
    [sentence] = world.problems.sentences
    assert sentence == (
        "the WordPress container shop is not watched: each jail has `logpath` or `containers`, and none names it. "
        'Add to a jail: `containers = shop`; or exclude it: `labels: wp-sidecar.enable: "false"`'
    )
    assert not world.problems.critical

    world.changes.on_topology_changed(Topology())
    world.banned()
    assert world.problems.sentences == ()


@pytest.mark.parametrize(
    ("own", "networks", "container", "is_outside"),
    [
        (["192.0.2.7", "172.18.0.1"], [], BLOG, False),
        # Another network's gateway shows it too: this container's may be of a kind without one on the host.
        (["192.0.2.7", "172.17.0.1"], ["172.17.0.0/16", "172.17.0.1/32"], BLOG, False),
        (["fd00::1"], ["fd00::/64", "fd00::1/128"], replace(BLOG, gateways=()), False),
        # A bridge network: of the gateways none is ours.
        (["172.18.0.3"], ["172.18.0.0/16", "172.18.0.1/32"], BLOG, True),
        # Nothing shows it.
        (["192.0.2.7"], [], replace(BLOG, gateways=()), False),
    ],
)
def test_a_network_that_no_packet_of_a_client_passes_is_a_critical_problem(
    own, networks, container, is_outside
):
    world = World(own=own)
    world.changes.on_topology_changed(Topology(tuple(networks), (container,)))
    world.banned()
    sentence = world.problems.about(NAMESPACE_PROBLEM)
    assert (world.problems.critical, sentence is not None) == (is_outside, is_outside)
    assert not sentence or "network_mode: host" in sentence

    # Without a watched container there may be no bridge yet.
    world.changes.on_topology_changed(Topology(tuple(networks)))
    world.banned()
    assert not world.problems.critical
