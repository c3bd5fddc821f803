"""What may be asked over HTTP: /metrics for Prometheus, /healthz and /readyz for who restarts or routes."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from prometheus_client import CollectorRegistry, exposition

log = logging.getLogger(__name__)

SILENCE = 5.0  # seconds without a byte: a scraper on the same network answers in milliseconds
LONGEST = 10.0  # seconds for a whole request: Prometheus' own default time-out
CONNECTIONS = 16  # at a time: two Prometheus, two probes and a person, three times over
BEAT = 0.5  # seconds between looks for connections that took too long

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes are told."""

    live: bool  # the loop turns
    ready: bool  # logs are read and the firewall is in force
    why: tuple[str, ...] = ()  # what is wrong, in sentences; not all of it makes us unready


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
        self.registry, self.health = registry, health
        self._silence, self._longest = silence, longest
        self._closed = threading.Event()
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._open: dict[socket.socket, float] = {}  # since when; the oldest first
        self._socket = _listen(*listen)
        self._socket.settimeout(BEAT)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; the port is the one that was given out where 0 was asked for."""
        return cast("tuple[str, int]", self._socket.getsockname()[:2])

    def run(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                pass
            except OSError:
                if self._closed.is_set():
                    return
                raise
            else:
                self._take(connection)
            self._hang_up(before=time.monotonic() - self._longest)

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() alone does not
        self._socket.close()
        self._hang_up(before=float("inf"))

    def _take(self, connection: socket.socket) -> None:
        """Serve it in a thread of its own; when there are enough of them, the oldest is hung up on."""
        if not self._slots.acquire(blocking=False):
            self._hang_up(before=min(list(self._open.values()), default=0.0))
            if not self._slots.acquire(timeout=1.0):
                connection.close()
                return
        self._open[connection] = time.monotonic()
        threading.Thread(target=self._serve, args=(connection,), name=self.name, daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(self._silence)
                _Request(connection, self)
                connection.shutdown(socket.SHUT_WR)  # close() alone may cut the answer off
            except OSError as err:  # it went away, or was too slow
                log.debug("web: %s", err)
            except Exception:  # one request's failure is no other's
                log.exception("web: a request failed")
            finally:
                del self._open[connection]
                self._slots.release()

    def _hang_up(self, before: float) -> None:
        """On all who connected no later than that. Their threads see the end of the stream, and end."""
        for connection, since in list(self._open.items()):
            if since <= before:
                with contextlib.suppress(OSError):  # it is gone already
                    connection.shutdown(socket.SHUT_RDWR)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    except OSError as err:
        number = err.errno or 0
        why = os.strerror(number) if number > 0 else err.strerror  # those of looking up a name are below 0
        sentence = f"WP_SIDECAR_LISTEN: cannot listen on {host}, port {port} ({why}); choose another"
        raise OSError(sentence) from err


class _Request(BaseHTTPRequestHandler):
    def __init__(self, connection: socket.socket, web: Web) -> None:
        self._web = web
        super().__init__(connection, ("", 0), cast("Any", None))

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._metrics()
        elif path == "/healthz":
            health = self._web.health()
            self._health(health.live, health)
        elif path == "/readyz":
            health = self._web.health()
            self._health(health.live and health.ready, health)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"here are /metrics, /healthz and /readyz\n")

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The base class's, without the page that quotes the request; a method that it lacks is a 405."""
        del message, explain
        status = HTTPStatus(code)
        if status == HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self.request_version = "HTTP/1.0"  # a request line that says none would get no status line
        self._answer(status, f"{status.phrase}\n".encode())

    def version_string(self) -> str:
        return "wp-sidecar"

    def log_message(self, *args: object) -> None:
        """Probes ask every few seconds, and what strangers ask is theirs to word."""

    def _metrics(self) -> None:
        try:
            encode, kind = exposition.choose_encoder(self.headers.get("Accept", ""))
        except (TypeError, ValueError):  # a version that is no number
            encode, kind = exposition.choose_encoder("")
        self._answer(HTTPStatus.OK, encode(self._web.registry), kind)

    def _health(self, good: bool, health: Health) -> None:  # noqa: FBT001 - one of its two
        if good:
            self._answer(HTTPStatus.OK, b"ok\n")
        else:
            text = "\n".join(health.why) or "not yet"
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n".encode(errors="replace"))

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = TEXT) -> None:
        self.send_response(status)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
