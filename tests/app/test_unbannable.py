import pytest

from sidecar.advice.unbannable import FAILURES
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.app.unbannable import UnbannableFailures
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Turn
from tests.app.world import ANN, BLOG, Changes, ReadableMetrics, hits


class World:
    """The sink, an allowlist and metrics."""

    def __init__(self):
        self.changes, self.readable = Changes(), ReadableMetrics()
        self._allowlist = Allowlist({"a container network": ["172.18.0.0/16"], "ignoreip": ["192.0.2.1"]})
        problems = self.changes.problems()
        self.exposed = ExposedContainers(self.readable.metrics.allowlist, problems)
        self.sink = UnbannableFailures(self, self.exposed, self.readable.metrics.allowlist, problems)

    def allowlist_reason(self, hit):
        return self._allowlist.reason(hit.address)

    def failures(self, reason, container="blog"):
        self.readable.metrics.allowlist.update()
        return self.readable.value("allowlisted_failures_total", container=container, reason=reason)


@pytest.fixture
def world():
    return World()


def test_an_attack_from_an_allowlisted_address_is_reported_once(world):
    for at in range(3):
        ignored = hits(FAILURES, "172.18.0.1") + hits(5, "10.0.0.9")
        world.sink.apply(Turn(float(at), ignored=ignored))
        world.sink.report(float(at))

    ((name, sentence),) = world.changes
    assert name == "banning at blog"
    assert sentence.startswith(
        f"{2 * FAILURES} failures in blog within 10 minutes came from a container network, which is never banned."
    )
    assert world.failures("a container network") == 3 * FAILURES
    assert world.failures("a private address") == 15

    world.sink.report(10_000.0)
    assert world.changes[1:] == [("banning at blog", None)]


def test_for_an_exposed_container_its_exposure_is_the_remedy(world):
    world.exposed.replace([BLOG])
    world.changes.clear()
    world.sink.apply(Turn(0.0, ignored=hits(FAILURES + 1)))
    world.sink.report(0.0)

    ((_, sentence),) = world.changes
    assert world.exposed.advice("blog") in sentence


def test_of_two_reasons_at_one_log_the_most_frequent_is_reported(world):
    ignored = hits(FAILURES + 1, "10.0.0.9") + hits(FAILURES + 2, "172.18.0.1")
    world.sink.apply(Turn(0.0, ignored=ignored))
    world.sink.report(0.0)

    ((_, sentence),) = world.changes
    assert "a container network" in sentence


def test_an_operator_asked_for_ignoreip_so_its_failures_are_only_counted(world):
    world.sink.apply(Turn(0.0, ignored=hits(10 * FAILURES, "192.0.2.1")))
    world.sink.report(0.0)

    assert world.changes == []
    assert world.failures("ignoreip") == 10 * FAILURES


def test_ignored_hits_of_other_addresses_are_not_counted(world):
    world.sink.apply(Turn(0.0, ignored=hits(10 * FAILURES, ANN)))
    world.sink.report(0.0)

    assert world.changes == []


def test_clients_behind_a_proxy_are_counted_and_reported_and_the_proxy_is_not_charged(world):
    behind = [hit._replace(peer="198.51.100.9") for hit in hits(FAILURES + 1, ANN)]
    world.sink.apply(Turn(0.0, ignored=tuple(behind)))
    world.sink.report(0.0)

    ((name, sentence),) = world.changes
    assert name == "banning at blog"
    assert sentence.startswith(
        f"{FAILURES + 1} failures in blog within 10 minutes are of clients behind the proxy 198.51"
    )
    assert world.failures("the client is behind a proxy") == FAILURES + 1

    world.sink.report(10_000.0)
    assert world.changes[1:] == [("banning at blog", None)]
