import contextlib
import http.client
import logging
import select
import socket
import threading
import time
import tracemalloc
from dataclasses import replace
from http import HTTPStatus

import pytest

from sidecar.runtime.http_server import HttpRequest, HttpResponse, HttpServer, Limits, TcpListener
from tests.support.waiting import wait_until

LIMITS = Limits(
    connections=4,
    silence_s=5.0,
    request_s=5.0,
    connection_s=10.0,
    body_bytes=10,
    evict_oldest=True,
    check_s=0.1,
)


class Echo:
    """An application that keeps its requests, and has one response for all."""

    methods = ("GET", "HEAD", "POST")

    def __init__(self):
        self.requests: list[HttpRequest] = []
        self.response = HttpResponse(HTTPStatus.OK, b"ok\n")
        self.error: Exception | None = None
        self.go = threading.Event()
        self.go.set()

    def respond(self, request):
        self.requests.append(request)
        self.go.wait(60)
        if self.error:
            raise self.error
        return self.response


class Site:
    """A server in its thread."""

    def __init__(self, host="127.0.0.1", **limits):
        self.echo = Echo()
        listener = TcpListener(host, 0)
        self.address = listener.address
        self.server = HttpServer("echo", listener, self.echo, replace(LIMITS, **limits))
        self._thread = threading.Thread(target=self.server.run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.server.close()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def ask(self, path="/", method="GET", body=None):
        """Status, body and headers of the response."""
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode(), dict(response.headers)

    def connect(self):
        return socket.create_connection(self.address, timeout=60)

    def raw(self, text):
        with self.connect() as client:
            client.sendall(text)
            return client.makefile("rb").read()


@pytest.fixture
def site():
    with Site() as site:
        yield site


def serving():
    return sum(thread.name == "echo" for thread in threading.enumerate())


def test_a_request_and_its_response(site):
    site.echo.response = HttpResponse(HTTPStatus.CONFLICT, b"{}", "application/json")
    status, text, headers = site.ask("/x?y=z", "POST", body=b"some")

    assert (status, text, headers["Content-Type"]) == (409, "{}", "application/json")
    (request,) = site.echo.requests
    assert (request.method, request.path, request.body) == ("POST", "/x", b"some")
    assert request.headers["content-length"] == "4"


def test_head_is_get_without_the_body(site):
    status, text, headers = site.ask(method="HEAD")

    assert (status, text, headers["Content-Length"]) == (200, "", "3")


@pytest.mark.parametrize(
    "length", ["", "Content-Length: 11\r\n", "Content-Length: +1\r\n", f"Content-Length: {'9' * 5000}\r\n"]
)
def test_a_body_of_unknown_or_excessive_length_is_not_read(site, length):
    assert site.raw(f"POST / HTTP/1.0\r\n{length}\r\n".encode()).split()[1] == b"200"
    assert site.echo.requests[0].body is None


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "<script>"])
def test_unknown_methods_are_refused(site, method):
    status, text, headers = site.ask(method=method)

    assert (status, text, headers["Allow"]) == (405, "Method Not Allowed\n", "GET, HEAD, POST")
    assert site.echo.requests == []


def test_methods_that_the_application_does_not_serve_are_refused(site):
    site.echo.methods = ("GET",)

    assert site.ask(method="POST")[0] == 405
    assert site.echo.requests == []


def test_no_response_names_the_server_software(site):
    servers = {site.ask(method=method)[2]["Server"] for method in ("GET", "PUT")}

    assert servers == {"wp-sidecar"}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"<script>alert(1)</script>\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET / HTTP/1.0\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.0\r\n\r\n", b"414"),
    ],
)
def test_malformed_requests_are_refused_and_not_quoted(site, request_, status):
    response = site.raw(request_)

    assert response.split()[1] == status
    assert b"script" not in response and b"aaaa" not in response


def test_a_stalled_client_delays_no_other():
    stalled = []
    with Site(silence_s=100, request_s=100, connection_s=100) as site, contextlib.ExitStack() as stack:
        for _ in range(LIMITS.connections - 1):
            stalled.append(stack.enter_context(site.connect()))
            stalled[-1].sendall(b"GET /met")

        assert site.ask()[0] == 200
        # It did not wait until they were hung up on.
        assert select.select(stalled, [], [], 0) == ([], [], [])


def test_when_all_slots_are_taken_the_oldest_client_is_hung_up_on(site):
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(site.connect()) for _ in range(3 * LIMITS.connections)]

        assert [site.ask()[0] for _ in range(5)] == [200] * 5
        assert stalled[0].recv(100) == b""
        assert serving() <= LIMITS.connections


def test_when_all_slots_are_taken_the_next_client_waits():
    # Those of the test before.
    wait_until(lambda: not serving())
    with Site(evict_oldest=False, connections=1) as site:
        site.echo.go.clear()
        statuses: list[int] = []
        clients = [threading.Thread(target=lambda: statuses.append(site.ask()[0])) for _ in range(3)]
        for client in clients:
            client.start()
        wait_until(lambda: site.echo.requests)
        assert (len(site.echo.requests), serving()) == (1, 1)

        site.echo.go.set()
        for client in clients:
            client.join(60)
        assert statuses == [200] * 3


@pytest.mark.parametrize("header", [b"X: " + b"y" * 60_000 + b"\r\n", b"X: y\r\n" * 3_000, b"y" * 20_000])
def test_a_head_of_any_shape_is_bounded(site, header):
    with site.connect() as client:
        # The server hangs up while it is sent.
        with contextlib.suppress(OSError):
            client.sendall(b"GET / HTTP/1.1\r\n" + header)
        wait_until(lambda: not serving())

    assert site.echo.requests == []


def test_sixteen_clients_with_the_longest_headers_take_little_memory():
    head = b"GET / HTTP/1.1\r\n" + (b"X: " + b"y" * 65_000 + b"\r\n") * 95
    with Site(connections=16) as site, contextlib.ExitStack() as stack:
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for _ in range(16):
            client = stack.enter_context(site.connect())
            client.settimeout(1)
            with contextlib.suppress(OSError):
                client.sendall(head)
        peak_bytes = tracemalloc.get_traced_memory()[1]

    # Without a bound for all headers together it was 330 MB.
    assert peak_bytes < 8_000_000


def test_a_request_has_a_time_limit_of_its_own_however_steadily_it_comes():
    with (
        Site(request_s=0.3, connection_s=float("inf"), evict_oldest=False) as site,
        site.connect() as client,
        contextlib.suppress(OSError),
    ):
        for _ in range(2_000):
            client.sendall(b"X")
            time.sleep(0.05)
        pytest.fail("more than a minute, and still connected")


def test_a_slow_answer_is_no_slow_request():
    with Site(request_s=0.1, connection_s=float("inf")) as site:
        site.echo.go.clear()
        statuses: list[int] = []
        client = threading.Thread(target=lambda: statuses.append(site.ask()[0]))
        client.start()
        wait_until(lambda: site.echo.requests)
        # More than one look at connections that took too long.
        assert not site.server._closed.wait(0.4)
        site.echo.go.set()
        client.join(60)

    assert statuses == [200]


def test_where_requests_are_not_cut_short_silent_clients_make_room_for_those_that_ask():
    with Site(evict_oldest=False, connection_s=float("inf"), silence_s=1_000, request_s=1_000) as site:
        site.echo.go.clear()
        statuses: list[int] = []
        asking = threading.Thread(target=lambda: statuses.append(site.ask()[0]))
        asking.start()
        wait_until(lambda: site.echo.requests)
        with contextlib.ExitStack() as stack:
            for _ in range(5 * LIMITS.connections):
                stack.enter_context(site.connect())
            site.echo.go.set()
            assert site.ask()[0] == 200
        asking.join(60)

    assert statuses == [200]


def test_a_silent_client_is_hung_up_on():
    with Site(silence_s=0.1) as site:
        assert site.raw(b"GET / HTTP/1.0\r\n") == b""


def test_a_client_that_sends_a_byte_at_a_time_is_hung_up_on():
    with Site(connection_s=0.3) as site, site.connect() as client, contextlib.suppress(OSError):
        for _ in range(2_000):
            client.sendall(b"X")
            time.sleep(0.05)
        pytest.fail("more than a minute, and still connected")


def test_a_client_that_does_not_read_is_hung_up_on():
    with Site(silence_s=0.1) as site:
        # More than both sockets buffer.
        site.echo.response = HttpResponse(HTTPStatus.OK, b"x" * 2**24)
        with site.connect() as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            wait_until(lambda: site.echo.requests)
            wait_until(lambda: not serving())

        site.echo.response = HttpResponse(HTTPStatus.OK, b"ok")
        assert site.ask()[0] == 200


def test_a_request_that_fails_affects_no_other(site, caplog):
    caplog.set_level(logging.ERROR)
    site.echo.error = ValueError("a mistake")
    with pytest.raises(http.client.RemoteDisconnected):
        site.ask()

    site.echo.error = None
    assert site.ask()[0] == 200
    assert caplog.messages == ["echo: a request failed"]


@pytest.mark.parametrize("host", ["::1", "::", "0.0.0.0", "localhost"])
def test_it_listens_on_any_kind_of_address(host):
    with Site(host) as site:
        assert site.ask()[:2] == (200, "ok\n")


def test_the_ipv6_wildcard_serves_ipv4_too():
    with Site("::") as site:
        site.address = ("127.0.0.1", site.address[1])

        assert site.ask()[:2] == (200, "ok\n")


def test_a_server_closed_before_it_runs_returns_at_once():
    site = Site()
    site.server.close()
    site.server.close()
    site.server.run()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(site.address)


def test_closing_hangs_up_at_once_where_time_is_limited():
    with Site(silence_s=1_000, request_s=1_000, connection_s=1_000) as site:
        client = site.connect()
        client.sendall(b"GET /met")
        # By now the connection before was accepted, too.
        site.ask()
    with client:
        assert client.recv(100) == b""


def test_closing_lets_a_request_finish_where_time_is_not_limited():
    statuses: list[int] = []
    with Site(connection_s=float("inf")) as site, site.connect():
        site.echo.go.clear()
        client = threading.Thread(target=lambda: statuses.append(site.ask()[0]))
        client.start()
        wait_until(lambda: site.echo.requests)
    site.echo.go.set()
    client.join(60)

    assert statuses == [200]
