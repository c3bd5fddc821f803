from dataclasses import replace

import pytest

from sidecar.app.exposed_containers import ExposedContainers
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


def test_a_way_in_is_reported_once_with_the_sites_behind_it(exposed, changes, metrics):
    nginx = replace(BLOG, id="3", name="nginx", published=frozenset({80}))
    sites = [replace(SHOP, id=name, name=name, front_ends=(nginx,)) for name in ("one", "two")]
    exposed.replace([*sites, nginx], frozenset({"nginx"}))

    [(name, sentence)] = changes
    assert name == "the client address at nginx"
    assert "in the logs of nginx, one, two. " in sentence
    assert metrics.value("exposed_containers") == 3
    assert exposed.advice("one")
    assert exposed.advice("nginx")


def test_a_database_on_the_sites_network_is_not_reported(exposed, changes):
    database = replace(BLOG, id="3", name="db", image="mariadb", published=frozenset({3306}))
    exposed.replace([replace(SHOP, front_ends=(database,)), database], frozenset({"db"}))

    assert changes == []
    assert exposed.advice("db") is None
