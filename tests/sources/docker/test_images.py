"""Labels of containers are told from those of their images."""

import contextlib

import pytest

from sidecar.core.containers import ENABLE_LABEL
from sidecar.sources.docker import images
from sidecar.sources.docker.api import DockerHost
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.inventory import Inventory
from tests.sources.docker.standin import Container

MODE, ALLOW = "wp-sidecar.mode", "wp-sidecar.allow"
OBSERVE = {MODE: "observe"}


@pytest.fixture
def asked(engine):
    """Returns what an inventory finds, and can be asked again."""
    with contextlib.closing(DockerHost(engine.url).open(Interrupt())) as way:
        inventories = {}

        def asked(*trusted):
            inventory = inventories.setdefault(trusted, Inventory("", trusted))
            return {each.name: each for each in inventory.listing(way).running}

        yield asked


def images_inspected(engine):
    return [path for path in engine.paths if path.startswith("/images/")]


def test_a_label_that_its_image_has_with_the_same_value_is_the_images(engine, asked):
    labels = {MODE: "observe", ALLOW: "192.0.2.7", ENABLE_LABEL: "true", "app": "blog"}
    of_image = {MODE: "observe", ALLOW: "0.0.0.0/8", "app": "blog"}
    engine.run(Container("a", "blog", labels=labels, image_labels=of_image))

    blog = asked()["blog"]

    assert (blog.image_labels, blog.image_error, blog.labels) == ({MODE}, "", labels)


def test_each_image_is_inspected_once_and_only_for_labels_of_ours(engine, asked):
    engine.run(Container("a", "blog", labels=OBSERVE, image_labels=OBSERVE))
    engine.run(Container("b", "shop", labels={"app": "shop"}, image_labels={"app": "shop"}))

    assert asked()["blog"].image_labels == asked()["blog"].image_labels == {MODE}
    assert len(images_inspected(engine)) == 1


def test_an_image_without_labels_sets_none(engine, asked):
    engine.run(Container("a", "blog", labels=OBSERVE))

    assert asked()["blog"].image_labels == frozenset()


@pytest.mark.parametrize(
    ("status", "error"), [(403, "refused; a socket proxy has to allow IMAGES"), (404, "refused")]
)
def test_every_label_may_be_of_an_image_that_cannot_be_inspected(engine, asked, monkeypatch, status, error):
    blog = engine.run(Container("a", "blog", labels={**OBSERVE, "app": "blog"}))
    path = f"/images/{blog.image_id}/json"
    engine.refused[path] = status
    for _ in range(3):
        assert (asked()["blog"].image_labels, asked()["blog"].image_error) == ({MODE}, error)
    assert len(images_inspected(engine)) == 1

    # It is asked again after a while.
    monkeypatch.setattr(images, "RETRY_AFTER_S", 0.0)
    del engine.refused[path]
    assert (asked()["blog"].image_labels, asked()["blog"].image_error) == (frozenset(), "")


def test_an_answer_of_another_shape_tells_nothing(engine, asked):
    engine.run(Container("a", "blog", labels=OBSERVE, image_labels=["mode"]))

    assert asked()["blog"].image_labels == {MODE}
    assert asked()["blog"].image_error


def test_the_labels_of_a_trusted_image_are_the_containers_own(engine, asked):
    engine.run(Container("a", "blog", "ghcr.io/acme/blog:6", labels=OBSERVE, image_labels=OBSERVE))
    engine.run(Container("b", "shop", "acme/blog", labels=OBSERVE, image_labels=OBSERVE))

    found = asked("ghcr.io/acme/*")

    assert (found["blog"].image_labels, found["shop"].image_labels) == (frozenset(), {MODE})


def test_an_image_is_forgotten_with_its_last_container(engine, asked):
    blog = engine.run(Container("a", "blog", labels=OBSERVE, image_labels=OBSERVE))
    asked()
    engine.remove(blog)
    asked()
    blog.state = "running"
    engine.run(blog)
    asked()

    assert len(images_inspected(engine)) == 2
