"""The HTTP endpoints: /metrics for Prometheus, /healthz and /readyz for the probes of an orchestrator."""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from prometheus_client import CollectorRegistry

from sidecar.runtime.http_server import HttpRequest, HttpResponse, HttpServer, Limits, TcpListener
from sidecar.runtime.known_hosts import KnownHosts
from sidecar.telemetry.exposition import CONTENT_TYPE, Exposition

# A scraper on the same network sends its request within milliseconds. Prometheus gives up after 10 s by default.
# Two Prometheus, two probes and a person need five connections; 16 is that three times over.
# A form of the status page has a token or an address, a reason and a key: 1 KB.
LIMITS = Limits(
    connections=16, silence_s=5.0, request_s=5.0, connection_s=10.0, body_bytes=4 * 1024, evict_oldest=True
)
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


def listen(host: str, port: int) -> TcpListener:
    """Listen for scrapers and probes. Raises OSError with a sentence that says what to change."""
    try:
        return TcpListener(host, port)
    except OSError as err:
        number = err.errno or 0
        # Errors of a name lookup have negative numbers, which strerror does not know.
        why = os.strerror(number) if number > 0 else err.strerror
        sentence = f"WP_SIDECAR_LISTEN: cannot listen on {host}, port {port} ({why}); choose another"
        raise OSError(sentence) from err


def telemetry_server(listener: TcpListener, endpoints: TelemetryEndpoints) -> HttpServer:
    return HttpServer("web", listener, endpoints, LIMITS)


def _probe(health: Health, *, passed: bool) -> HttpResponse:
    if passed:
        return HttpResponse(HTTPStatus.OK, b"ok\n")
    text = "\n".join(health.why) or "not yet"
    return HttpResponse(HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n".encode(errors="replace"))
