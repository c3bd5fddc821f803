from dataclasses import replace

import pytest

from sidecar.advice.exposure import NEVER_SEEN, UNKNOWN
from sidecar.advice.unbannable import UNVERIFIED_HITS
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.app.verification import SightingVerifier
from tests.app.world import BLOG, Changes, ReadableMetrics, hits


class World:
    """A verifier, an exposed container, and a kernel with one answer."""

    def __init__(self):
        self.changes, self.asked, self.answer = Changes(), [], False
        problems = self.changes.problems()
        self.exposed = ExposedContainers(ReadableMetrics().metrics.allowlist, problems)
        self.exposed.replace([BLOG])
        self.changes.clear()
        self.verifier = SightingVerifier(self.exposed, self, problems)

    def seen(self, address):
        self.asked.append(address)
        return self.answer


@pytest.fixture
def world():
    return World()


def test_the_kernel_is_asked_about_addresses_in_exposed_logs_and_no_others(world):
    (forged,), (plain,) = hits(1, "192.0.2.77"), hits(1, "192.0.2.78", "shop")

    assert world.verifier.unverified_reason(forged) == NEVER_SEEN
    assert world.verifier.unverified_reason(plain) is None
    assert world.asked == ["192.0.2.77"]


@pytest.mark.parametrize(("seen", "reason"), [(True, None), (False, NEVER_SEEN), (None, UNKNOWN)])
def test_an_address_is_believed_when_packets_of_it_came(world, seen, reason):
    world.answer = seen

    assert world.verifier.unverified_reason(hits(1)[0]) == reason


def test_without_exposed_containers_every_address_is_believed(world):
    world.exposed.replace([replace(BLOG, ipv6_proxied=False)])

    assert world.verifier.unverified_reason(hits(1)[0]) is None
    assert world.asked == []


def test_many_forged_addresses_are_reported_until_they_stop(world):
    for n in range(UNVERIFIED_HITS + 1):
        world.verifier.unverified_reason(hits(1, f"192.0.2.{n}")[0])
    world.verifier.report(2.0)

    ((name, sentence),) = world.changes
    assert name == "addresses in blog"
    assert sentence.startswith(f"blog logged {UNVERIFIED_HITS + 1} failures within 10 minutes of addresses")
    assert world.exposed.advice("blog") in sentence

    world.verifier.report(1_000.0)
    assert world.changes[1:] == [("addresses in blog", None)]
