import contextlib
import http.client
import logging
import socket
import threading
import time

import pytest
from prometheus_client import CollectorRegistry, Gauge

from sidecar.telemetry.http import CONNECTIONS, Health, Web
from tests.support.waiting import wait_until

WELL = Health(live=True, ready=True)


class Site:
    """A Web in its thread, with one gauge and a health to change."""

    def __init__(self, host="127.0.0.1", **options):
        self.health = WELL
        self.registry = CollectorRegistry()
        Gauge("wp_sidecar_answer", "The answer", registry=self.registry).set(42)
        self.web = Web((host, 0), self.registry, lambda: self.health, **options)
        self.address = self.web.address
        self._thread = threading.Thread(target=self.web.run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.web.close()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def ask(self, path, method="GET", headers=()):
        """Status, body and headers of the answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, headers=dict(headers))
            response = connection.getresponse()
            return response.status, response.read().decode(), dict(response.headers)

    def connect(self):
        return socket.create_connection(self.address, timeout=10)


@pytest.fixture
def site():
    with Site() as site:
        yield site


def test_metrics(site):
    status, text, headers = site.ask("/metrics")

    assert (status, text.splitlines()[-1]) == (200, "wp_sidecar_answer 42.0")
    assert headers["Content-Type"].startswith("text/plain; version=")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (
            "application/openmetrics-text; version=1.0.0, text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text",
        ),
        ("application/openmetrics-text; version=abc", "text/plain"),
        ("application/openmetrics-text; version=" + "9" * 5_000, "text/plain"),
        (",;=,;", "text/plain"),
    ],
)
def test_metrics_in_the_format_that_is_asked_for(site, accept, kind):
    status, _, headers = site.ask("/metrics", headers={"Accept": accept})

    assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind)


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
    site.health = health

    assert [site.ask(path)[:2] for path in ("/healthz", "/readyz?x=1")] == [healthz, readyz]


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../metrics", "*", "/%2e%2e/etc/passwd"])
def test_there_is_nothing_else(site, path):
    assert site.ask(path)[:2] == (404, "here are /metrics, /healthz and /readyz\n")


def test_head_is_get_without_the_body(site):
    status, text, headers = site.ask("/healthz", method="HEAD")

    assert (status, text, headers["Content-Length"]) == (200, "", "3")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "<script>"])
def test_other_methods_are_refused(site, method):
    status, text, headers = site.ask("/metrics", method=method)

    assert (status, text, headers["Allow"]) == (405, "Method Not Allowed\n", "GET, HEAD")


def test_nothing_says_what_serves_it(site):
    servers = {
        site.ask(path, method)[2]["Server"] for path in ("/healthz", "/x") for method in ("GET", "POST")
    }

    assert servers == {"wp-sidecar"}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"<script>alert(1)</script>\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/9.9\r\n\r\n", b"505"),
        (b"GET /healthz HTTP/1.0\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.0\r\n\r\n", b"414"),
    ],
)
def test_nonsense_is_refused_and_not_quoted(site, request_, status):
    with site.connect() as client:
        client.sendall(request_)
        answer = client.makefile("rb").read()

    assert answer.split()[1] == status
    assert b"script" not in answer and b"aaaa" not in answer


def test_who_stalls_keeps_nobody_waiting(site):
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS - 1):
            stack.enter_context(site.connect()).sendall(b"GET /met")
        start = time.monotonic()

        assert site.ask("/healthz")[0] == 200
        assert time.monotonic() - start < 2


def test_when_all_places_are_taken_the_oldest_is_hung_up_on(site):
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(site.connect()) for _ in range(3 * CONNECTIONS)]

        assert [site.ask("/healthz")[0] for _ in range(5)] == [200] * 5
        assert stalled[0].recv(100) == b""
        assert sum(thread.name == "web" for thread in threading.enumerate()) <= CONNECTIONS


def test_who_is_silent_is_hung_up_on():
    with Site(silence=0.1) as site, site.connect() as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n")

        assert client.recv(100) == b""


def test_who_drips_is_hung_up_on():
    with Site(longest=0.3) as site, site.connect() as client, contextlib.suppress(OSError):
        for _ in range(100):
            client.sendall(b"X")
            time.sleep(0.05)
        pytest.fail("five seconds, and still connected")


def test_who_does_not_read_is_hung_up_on():
    with Site(silence=0.1) as site:
        Gauge("wp_sidecar_filler", "x" * 2**24, registry=site.registry)  # more than a socket's buffers hold
        with site.connect() as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            wait_until(lambda: not any(thread.name == "web" for thread in threading.enumerate()))

        assert site.ask("/healthz")[0] == 200


def test_one_request_that_fails_is_no_others(site, caplog):
    caplog.set_level(logging.ERROR)
    site.health = None
    with pytest.raises(http.client.RemoteDisconnected):
        site.ask("/readyz")

    assert site.ask("/metrics")[0] == 200
    assert caplog.messages == ["web: a request failed"]


@pytest.mark.parametrize("host", ["::1", "::", "0.0.0.0", "localhost"])
def test_other_addresses(host):
    with Site(host) as site:
        assert site.ask("/healthz")[:2] == (200, "ok\n")


def test_all_addresses_are_both_families():
    with Site("::") as site:
        site.address = ("127.0.0.1", site.address[1])

        assert site.ask("/healthz")[:2] == (200, "ok\n")


def test_a_port_in_use_is_told_with_the_setting_to_change(site):
    with pytest.raises(OSError) as told:
        Web(site.address, site.registry, lambda: WELL)

    port = site.address[1]
    assert str(told.value) == (
        f"WP_SIDECAR_LISTEN: cannot listen on 127.0.0.1, port {port} (Address already in use); choose another"
    )


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 0), ("no.such.host.invalid", 0)])
def test_an_address_that_is_not_ours_is_told(host, port):
    with pytest.raises(
        OSError, match=rf"^WP_SIDECAR_LISTEN: cannot listen on {host}, port {port} \(.+\); choose another$"
    ):
        Web((host, port), CollectorRegistry(), lambda: WELL)


def test_closed_before_it_ran():
    web = Web(("127.0.0.1", 0), CollectorRegistry(), lambda: WELL)
    address = web.address
    web.close()
    web.close()
    web.run()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_who_stops_hangs_up_and_is_quick():
    with Site() as site:
        client = site.connect()
        client.sendall(b"GET /met")
        site.ask("/healthz")  # the one before was accepted, too
        start = time.monotonic()
    with client:
        assert client.recv(100) == b""
    assert time.monotonic() - start < 2
