"""The HTTP endpoints: /metrics for Prometheus, /healthz and /readyz for the probes of an orchestrator."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Container
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from prometheus_client import CollectorRegistry

from sidecar.runtime.http_server import HttpRequest, HttpResponse, HttpServer, Limits, Listener, TcpListener
from sidecar.runtime.known_hosts import KnownHosts
from sidecar.runtime.problems import Problem
from sidecar.telemetry.exposition import CONTENT_TYPE, Exposition

# A scraper on the same network sends its request within milliseconds. Prometheus gives up after 10 s by default.
# Two Prometheus, two probes and a person need five connections; 16 is that three times over.
# A form of the status page has a token or an address, a reason and a key: 1 KB.
LIMITS = Limits(
    connections=16, silence_s=5.0, request_s=5.0, connection_s=10.0, body_bytes=4 * 1024, evict_oldest=True
)
# Between tries to have the port.
RETRY_S: Final = 2.0
READ_METHODS: Final = ("GET", "HEAD")
READ_ONLY: Final = b"nothing is changed here\n"

UNKNOWN_HOST: Final = (
    b"this name is not known here: ask by the address, or add the name to WP_SIDECAR_LISTEN_NAMES\n"
)


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to both probes."""

    # The loop turns.
    live: bool
    # Logs are read and the firewall is in force.
    ready: bool
    # What is wrong, one sentence each. Not all of it makes the daemon unready.
    why: tuple[str, ...] = ()


class HealthCheck(Protocol):
    def health(self) -> Health:
        """Return the health as of now. Called from several threads at a time."""


class Page(Protocol):
    """Answers requests for a page."""

    @property
    def paths(self) -> Container[str]: ...
    @property
    def form_paths(self) -> Container[str]:
        """Those of `paths` that forms are sent to (POST)."""

    def respond(self, request: HttpRequest) -> HttpResponse: ...


class TelemetryEndpoints:
    """The application behind the web port: metrics, probes and the status page. Only the page takes forms."""

    methods = (*READ_METHODS, "POST")

    def __init__(
        self, registry: CollectorRegistry, check: HealthCheck, hosts: KnownHosts, page: Page | None = None
    ) -> None:
        self._exposition, self._check, self._hosts, self._page = Exposition(registry), check, hosts, page

    def respond(self, request: HttpRequest) -> HttpResponse:
        if not self._hosts.includes(request.headers.get("Host")):
            return HttpResponse(HTTPStatus.MISDIRECTED_REQUEST, UNKNOWN_HOST)
        if request.method not in READ_METHODS and not (self._page and request.path in self._page.form_paths):
            return HttpResponse(
                HTTPStatus.METHOD_NOT_ALLOWED, READ_ONLY, headers={"Allow": ", ".join(READ_METHODS)}
            )
        if self._page and request.path in self._page.paths:
            return self._page.respond(request)
        return self._endpoint(request)

    def _endpoint(self, request: HttpRequest) -> HttpResponse:
        match request.path:
            case "/metrics":
                return HttpResponse(HTTPStatus.OK, self._exposition.text(), CONTENT_TYPE)
            case "/healthz":
                health = self._check.health()
                return _probe(health, passed=health.live)
            case "/readyz":
                health = self._check.health()
                return _probe(health, passed=health.live and health.ready)
        return HttpResponse(HTTPStatus.NOT_FOUND, b"here are /metrics, /healthz and /readyz\n")


class WebPort:
    """The port of the endpoints, which any process of this host may hold. A Listener.

    Protection needs no port: while it cannot be had that is a problem, and it is tried again and again.
    """

    def __init__(self, host: str, port: int, problem: Problem, retry_s: float = RETRY_S) -> None:
        self._host, self._port, self._problem, self._retry_s = host, port, problem, retry_s
        self._listener: TcpListener | None = None
        self._closed = threading.Event()

    def socket(self) -> socket.socket:
        """Return the listening socket, once there is one. Raises OSError once it is closed."""
        while self._listener is None and not self._closed.is_set():
            try:
                self._listener = TcpListener(self._host, self._port)
            except OSError as err:
                self._problem.set(_not_served(self._host, self._port, err))
                self._closed.wait(self._retry_s)
        if self._listener is None or self._closed.is_set():
            self.close()
            raise OSError("the web port is closed")
        self._problem.clear()
        return self._listener.socket()

    def close(self) -> None:
        self._closed.set()
        if self._listener:
            self._listener.close()


def telemetry_server(listener: Listener, endpoints: TelemetryEndpoints) -> HttpServer:
    return HttpServer("web", listener, endpoints, LIMITS)


def _not_served(host: str, port: int, err: OSError) -> str:
    number = err.errno or 0
    # Errors of a name lookup have negative numbers, which strerror does not know.
    why = os.strerror(number) if number > 0 else err.strerror
    return (
        f"the web port is not served: cannot listen on {host}, port {port:d} ({why}). Bans go on; metrics, probes and "
        "the status page are not there, and what answers at that port is another program. Find it with `ss -ltnp`, "
        "or choose another address or port in WP_SIDECAR_LISTEN. It is tried again every few seconds."
    )


def _probe(health: Health, *, passed: bool) -> HttpResponse:
    if passed:
        return HttpResponse(HTTPStatus.OK, b"ok\n")
    text = "\n".join(health.why) or "not yet"
    return HttpResponse(HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n".encode(errors="replace"))
