from dataclasses import replace

import pytest

from sidecar.app.exposed_containers import ExposedContainers
from sidecar.core.events import Origin
from tests.app.world import BLOG, Changes, ReadableMetrics

SHOP = replace(BLOG, id="2", name="shop", ipv6_proxied=False)


@pytest.fixture
def changes():
    return Changes()


@pytest.fixture
def metrics():
    return ReadableMetrics()


@pytest.fixture
def exposed(changes, metrics):
    return ExposedContainers(metrics.metrics.allowlist, changes.problems())


def test_an_exposed_container_is_reported_until_it_is_corrected(exposed, changes, metrics):
    exposed.replace([BLOG, SHOP])
    assert metrics.value("exposed_containers") == 1
    assert changes == [("the client address at blog", exposed.advice("blog"))]
    assert changes[0][1].startswith("IPv6 clients reach blog through Docker's userland proxy")

    exposed.replace([replace(BLOG, ipv6_proxied=False), SHOP])
    assert metrics.value("exposed_containers") == 0
    assert changes[1:] == [("the client address at blog", None)]
    assert exposed.advice("blog") is None


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (Origin("docker", "blog"), "blog"),
        (Origin("docker", "shop"), None),
        # Any container may write to them.
        (Origin("syslog", "/run/log"), "blog"),
        (Origin("file", "/var/log/access.log"), "blog"),
    ],
)
def test_a_log_is_of_an_exposed_container_or_may_be(exposed, origin, name):
    assert exposed.container_of(origin) is None
    exposed.replace([BLOG, SHOP])
    container = exposed.container_of(origin)

    assert (container and container.name) == name
