import contextlib
import http.client
import socket
import threading
from http import HTTPStatus

import pytest
from prometheus_client import CollectorRegistry, Gauge

from sidecar.runtime.http_server import HttpRequest
from sidecar.runtime.known_hosts import KnownHosts
from sidecar.runtime.problems import Problems
from sidecar.telemetry.http import Health, TelemetryEndpoints, WebPort, telemetry_server
from tests.support.waiting import wait_until

WELL = Health(live=True, ready=True)


class Site:
    """The endpoints, with one gauge and a health to change."""

    def __init__(self):
        self.now = WELL
        self.registry = CollectorRegistry()
        Gauge("wp_sidecar_answer", "The answer", registry=self.registry).set(42)
        self.endpoints = TelemetryEndpoints(self.registry, self, KnownHosts(["sidecar.example.net"]))

    def health(self):
        return self.now

    def ask(self, path, headers=()):
        response = self.endpoints.respond(HttpRequest("GET", path, dict(headers)))
        return response.status, response.body.decode(), response.content_type


@pytest.fixture
def site():
    return Site()


def test_metrics(site):
    status, text, content_type = site.ask("/metrics")

    assert (status, text.splitlines()[-1]) == (200, "wp_sidecar_answer 42.0")
    assert content_type.startswith("text/plain; version=")


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=1.0.0", "text/html", ",;=,;"])
def test_metrics_are_in_one_format_whatever_is_asked_for(site, accept):
    status, _, found = site.ask("/metrics", {"Accept": accept})

    assert (status, found.partition(";")[0]) == (200, "text/plain")


@pytest.mark.parametrize(
    ("health", "healthz", "readyz"),
    [
        (WELL, (200, "ok\n"), (200, "ok\n")),
        (
            Health(live=True, ready=False, why=("nft is gone", "no daemon at /run/docker.sock")),
            (200, "ok\n"),
            (503, "nft is gone\nno daemon at /run/docker.sock\n"),
        ),
        (
            Health(live=False, ready=True, why=("the loop has stood still for 40 s",)),
            (503, "the loop has stood still for 40 s\n"),
            (503, "the loop has stood still for 40 s\n"),
        ),
        (Health(live=True, ready=False), (200, "ok\n"), (503, "not yet\n")),
        (Health(live=True, ready=False, why=("bad \udcff byte",)), (200, "ok\n"), (503, "bad ? byte\n")),
    ],
)
def test_health(site, health, healthz, readyz):
    site.now = health

    assert [site.ask(path)[:2] for path in ("/healthz", "/readyz")] == [healthz, readyz]


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../metrics", "*", "/%2e%2e/etc/passwd"])
def test_there_is_nothing_else(site, path):
    assert site.ask(path)[:2] == (HTTPStatus.NOT_FOUND, "here are /metrics, /healthz and /readyz\n")


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1:9734", 200), ("sidecar.example.net", 200), ("rebound.example:9734", 421)]
)
def test_a_web_page_with_a_name_of_its_own_reads_nothing(site, host, status):
    asked = site.ask("/metrics", {"Host": host})

    assert asked[0] == status
    if status != 200:
        assert asked[1] == (
            "this name is not known here: ask by the address, or add the name to WP_SIDECAR_LISTEN_NAMES\n"
        )


@pytest.mark.parametrize("path", ["/metrics", "/", "/login"])
def test_only_the_page_takes_forms(site, path):
    response = site.endpoints.respond(HttpRequest("POST", path, {"Host": "127.0.0.1"}, b"x=1"))

    assert (response.status, response.headers["Allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "GET, HEAD")


class Port:
    """A web port with its server in a thread, and what is reported of it."""

    def __init__(self, host, number):
        self.problems = Problems()
        self._port = WebPort(host, number, self.problems.problem("web port", critical=False), retry_s=0.01)
        self._server = telemetry_server(self._port, Site().endpoints)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.close()
        self._thread.join(60)
        assert not self._thread.is_alive()

    @property
    def sentence(self):
        return "".join(self.problems.sentences)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_port_that_another_process_holds_is_reported_and_had_once_it_is_free():
    number = free_port()
    with socket.create_server(("127.0.0.1", number)) as squatter, Port("127.0.0.1", number) as port:
        wait_until(lambda: port.sentence)
        assert port.sentence.startswith(
            f"the web port is not served: cannot listen on 127.0.0.1, port {number} (Address already in use). Bans go on;"
        )
        assert not port.problems.critical
        squatter.close()
        wait_until(lambda: not port.sentence)
        client = http.client.HTTPConnection("127.0.0.1", number, timeout=60)
        with contextlib.closing(client):
            client.request("GET", "/healthz")
            assert client.getresponse().read() == b"ok\n"


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
def test_an_address_of_another_host_is_reported(host):
    with Port(host, 0) as port:
        wait_until(lambda: port.sentence)
        assert port.sentence.startswith(f"the web port is not served: cannot listen on {host}, port 0 (")


def test_a_port_that_is_closed_first_is_never_had():
    port = WebPort("127.0.0.1", 0, Problems().problem("web port"))
    port.close()
    with pytest.raises(OSError, match="the web port is closed"):
        port.socket()
