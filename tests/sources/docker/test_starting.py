"""The log of a container is opened while it starts, and read when it was listed."""

import json

import pytest

from sidecar.sources.docker.starting import MAX_EVENT_BYTES, ContainerEvent, EventDecoder
from sidecar.sources.docker.watched_logs import MAX_UNLISTED
from tests.sources.docker.running import following, opened
from tests.sources.docker.standin import Container
from tests.sources.recorder import Recorder

LABELS = {"name": "site", "image": "wordpress:6", "wp-sidecar.enable": "true"}


def event(action, kind="container", key="a", attributes=LABELS):
    actor = {"ID": key, "Attributes": attributes}
    return json.dumps({"Type": kind, "Action": action, "Actor": actor}).encode() + b"\n"


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_events_are_found_wherever_the_stream_is_cut(size):
    data = event("create") + event("connect", "network", "n", {"container": "a"}) + event("start")
    decoder = EventDecoder()

    assert [each for at in range(0, len(data), size) for each in decoder.feed(data[at : at + size])] == [
        ContainerEvent("create", "a", LABELS),
        ContainerEvent("connect", "a", {}),
        ContainerEvent("start", "a", LABELS),
    ]


@pytest.mark.parametrize(
    "data",
    [
        event("create", "network"), event("connect", "network"), event("start", key=7), b"{}\n", b"[]\n", b"12\n",
        b"\xff\n", b"null\n", b'{"Type":"container"}\n', event("start", attributes=7), event("start", attributes="x"),
    ],
)  # fmt: skip
def test_what_is_no_event_of_a_container_is_nothing(data):
    assert EventDecoder().feed(data) == []


def test_an_event_without_an_end_is_given_up():
    decoder = EventDecoder()
    for _ in range(2):
        assert decoder.feed(b"x" * MAX_EVENT_BYTES) == []

    assert len(decoder.feed(event("start"))) == 1


@pytest.fixture
def watching(engine, recorder):
    with following(engine, recorder, list_period_s=30.0) as source:
        recorder.wait(lambda: recorder.topologies)
        yield source


def started(engine, container, **how):
    """Its log is asked for before it runs."""
    asked = f"/containers/{container.id}/logs"
    engine.create(container)
    engine.connect(container)
    engine.wait_asked(asked)
    engine.write(container, b"one")
    engine.start_container(container, **how)


@pytest.mark.usefixtures("watching")
@pytest.mark.parametrize(
    ("image", "labels"), [("wordpress:6", {}), ("busybox", {"wp-sidecar.enable": "true"})]
)
def test_a_container_that_is_removed_as_soon_as_it_started_is_read(engine, recorder, image, labels):
    container = Container("a", "site", image, labels=labels)
    started(engine, container, then_remove=True)
    engine.write(container, b"two")

    assert recorder.wait_lines(2) == [b"one", b"two"]
    assert recorder.batches[0].origin.jails == ("wordpress",)
    recorder.wait(lambda: ("removed", "site") in recorder.events)


class Ordered(Recorder):
    """Knows how many topologies came before each batch."""

    def __init__(self):
        super().__init__()
        self.known = []

    def emit(self, batch, cursor):
        self.known.append(len(self.topologies))
        super().emit(batch, cursor)


def test_nothing_is_handed_on_before_the_networks_are_known(engine):
    """The gateway of its network could be banned by the first line."""
    recorder = Ordered()
    with following(engine, recorder, list_period_s=30.0):
        recorder.wait(lambda: recorder.topologies)
        engine.networks = [{"Name": "new", "IPAM": {"Config": [{"Subnet": "192.0.2.0/24"}]}}]
        started(engine, Container("a", "site"))
        recorder.wait_lines(1)

    assert "192.0.2.0/24" in str(recorder.topologies[recorder.known[0] - 1])


@pytest.mark.usefixtures("watching")
@pytest.mark.parametrize(
    ("image", "labels"), [("busybox", {}), ("wordpress:6", {"wp-sidecar.enable": "false"})]
)
def test_the_log_of_a_container_that_is_not_watched_is_not_asked_for(engine, recorder, image, labels):
    container = Container("a", "site", image, labels=labels, image_labels={})
    engine.create(container)
    engine.connect(container)
    engine.write(container, b"one")
    engine.start_container(container, then_remove=True)
    started(engine, Container("b", "shop"))

    assert recorder.wait_lines(1) == [b"one"]
    assert {name for name, _, _ in recorder.lines} == {"shop"}
    assert f"/containers/{container.id}/logs" not in engine.paths


@pytest.mark.usefixtures("watching")
def test_a_start_that_fails_may_be_repeated(engine, recorder):
    """Its log was opened in vain."""
    container = Container("a", "site")
    engine.create(container)
    for count in (1, 2):
        engine.connect(container)
        with engine.changed:
            container.starting = False
            engine.changed.notify_all()
        opened(engine, count)
    engine.connect(container)
    engine.start_container(container)
    engine.write(container, b"one")

    assert recorder.wait_lines(1) == [b"one"]


@pytest.mark.usefixtures("watching")
def test_more_containers_than_may_be_opened_early_are_read_once_they_are_listed(engine, recorder):
    containers = [Container(f"{number:02}", f"site-{number}") for number in range(MAX_UNLISTED + 5)]
    for each in containers:
        engine.create(each)
        engine.connect(each)
        engine.write(each, b"one")
    for each in containers:
        engine.start_container(each)

    recorder.wait_lines(len(containers))
    assert {name for name, _, _ in recorder.lines} == {each.name for each in containers}
