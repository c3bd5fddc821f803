"""What may be asked over HTTP: /metrics for Prometheus, /healthz and /readyz for whoever restarts or routes."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from prometheus_client import CollectorRegistry, exposition

log = logging.getLogger(__name__)

SILENCE = 5.0  # seconds without a byte: a scraper on the same network answers in milliseconds
LONGEST = 10.0  # seconds for a whole request: Prometheus' own default time-out
CONNECTIONS = 16  # at a time: two Prometheus, two probes and a person, three times over
BEAT = 0.25  # seconds between looks at the clock: how late `close()` is seen

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes are told."""

    live: bool  # the loop turns
    ready: bool  # logs are read and the firewall is in force
    why: tuple[str, ...] = ()  # sentences, where one of the two is not so


class Web:
    """A Service. It listens from the start, so a port that is taken is found before anything else runs.

    Raises OSError with a sentence where it cannot listen. `health` is called in several threads at a time.
    """

    name = "web"

    def __init__(
        self,
        listen: tuple[str, int],
        registry: CollectorRegistry,
        health: Callable[[], Health],
        *,
        silence: float = SILENCE,
        longest: float = LONGEST,
    ) -> None:
        host, port = listen
        try:
            self._server = _Server(listen, registry, health, silence)
        except (OSError, OverflowError) as err:
            why = getattr(err, "strerror", None) or err
            raise OSError(f"WP_SIDECAR_LISTEN: cannot listen on {host}, port {port}: {why}. Choose another.") from err
        self._longest = longest
        self._running = self._closed = False

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; the port is the one that was given out where 0 was asked for."""
        return cast("tuple[str, int]", self._server.socket.getsockname()[:2])

    def run(self) -> None:
        self._running = True
        while not self._closed:
            self._server.handle_request()
            self._server.hang_up(before=time.monotonic() - self._longest)
        self._server.server_close()

    def close(self) -> None:
        self._closed = True
        if not self._running:
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    """A thread for each of at most so many connections; when all are taken, the oldest is hung up on."""

    daemon_threads = True
    block_on_close = False
    timeout = BEAT
    request_queue_size = 64

    def __init__(
        self, listen: tuple[str, int], registry: CollectorRegistry, health: Callable[[], Health], silence: float
    ) -> None:
        self.registry, self.health, self.silence = registry, health, silence
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._open: dict[Any, float] = {}  # connection -> since when, the oldest first
        super().__init__(listen, _Request)

    def server_bind(self) -> None:
        """As the base class, without its look-up of our own name: a slow resolver would hold up the start."""
        super(ThreadingHTTPServer.__mro__[1], self).server_bind()

    def hang_up(self, before: float) -> None:
        """On all connections that were made before then."""
        for connection, since in list(self._open.items()):
            if since < before:
                _cut(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            for oldest in list(self._open)[:1]:
                _cut(oldest)
            if not self._slots.acquire(timeout=1.0):
                self.shutdown_request(request)
                return
        self._open[request] = time.monotonic()
        super().process_request(request, client_address)
