from http import HTTPStatus

import pytest
from prometheus_client import CollectorRegistry, Gauge

from sidecar.runtime.http_server import HttpRequest
from sidecar.runtime.known_hosts import KnownHosts
from sidecar.telemetry.http import Health, TelemetryEndpoints, listen, telemetry_server

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


def test_a_port_in_use_is_reported_with_the_setting_to_change(site):
    listener = listen("127.0.0.1", 0)
    server = telemetry_server(listener, site.endpoints)
    port = listener.address[1]
    with pytest.raises(OSError) as raised:
        listen("127.0.0.1", port)
    server.close()

    assert str(raised.value) == (
        f"WP_SIDECAR_LISTEN: cannot listen on 127.0.0.1, port {port} (Address already in use); choose another"
    )


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 0), ("no.such.host.invalid", 0)])
def test_an_address_of_another_host_is_reported(host, port):
    with pytest.raises(
        OSError, match=rf"^WP_SIDECAR_LISTEN: cannot listen on {host}, port {port} \(.+\); choose another$"
    ):
        listen(host, port)
