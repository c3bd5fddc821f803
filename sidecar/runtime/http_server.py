"""A small HTTP server that clients can neither exhaust nor stall: one request a connection, a thread for each.

    listener ─▶ HttpServer ─HttpRequest─▶ Application ─HttpResponse─▶ client

The server reads the request, enforces the limits and writes the response. What is answered is the application's. The
listener decides where clients connect: a TCP port for probes and scrapers, a unix socket for the command line.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol, cast

log = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, read whole."""

    method: str
    # Without the query string.
    path: str
    headers: Mapping[str, str]
    # None: the request does not state its length, or it is longer than the limits allow.
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What the client is sent."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT


class Application(Protocol):
    """Answers requests, in several threads at a time. An exception is logged, and the client is hung up on."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The HTTP methods that `respond` is called for; all others are refused with 405."""

    def respond(self, request: HttpRequest) -> HttpResponse: ...


class Listener(Protocol):
    """Owns the listening socket. It listens from its construction, so a conflict is found before anything runs."""

    def socket(self) -> socket.socket:
        """Return the listening socket. It is asked for before each accept, so it may have been replaced."""

    def close(self) -> None:
        """Stop listening, and wake a thread that waits in accept(). May be called more than once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the server clients can take."""

    # Served at a time. When all are taken, `evict_oldest` decides.
    connections: int
    # Seconds without progress while the request is read, and for the client to take the response.
    silence_s: float
    # Seconds for one connection, from accept to the end of the response.
    connection_s: float = math.inf
    body_bytes: int = 0
    # True: hang up on the oldest connection when all are taken. False: the next client waits for one to end.
    evict_oldest: bool = False
    # Seconds between looks at connections that took too long, and at the listening socket.
    check_s: float = 0.5


class HttpServer:
    """A Service that serves until it is closed."""

    def __init__(self, name: str, listener: Listener, application: Application, limits: Limits) -> None:
        self.name = name
        self._listener = listener
        self._application = application
        self._limits = limits
        self._closed = threading.Event()
        self._slots = threading.BoundedSemaphore(limits.connections)
        # Connection -> when it was accepted, the oldest first.
        self._open: dict[socket.socket, float] = {}

    def run(self) -> None:
        while not self._closed.is_set():
            try:
                listening = self._listener.socket()
                listening.settimeout(self._limits.check_s)
                connection, _ = listening.accept()
            except TimeoutError:
                pass
            except OSError:
                if self._closed.is_set():
                    return
                raise
            else:
                self._start(connection)
            self._hang_up(before=time.monotonic() - self._limits.connection_s)

    def close(self) -> None:
        """Stop listening. May be called more than once.

        Where `connection_s` limits a connection, clients are disconnected. Otherwise a request under way is answered.
        """
        self._closed.set()
        self._listener.close()
        if self._limits.connection_s < math.inf:
            self._hang_up(before=math.inf)

    def _start(self, connection: socket.socket) -> None:
        """Serve the connection in a thread of its own, once a slot is free."""
        if not self._take_slot():
            connection.close()
            return
        self._open[connection] = time.monotonic()
        threading.Thread(target=self._serve, args=(connection,), name=self.name, daemon=True).start()

    def _take_slot(self) -> bool:
        """Wait for a slot. Return False once the server is closed."""
        if self._slots.acquire(blocking=False):
            return True
        if self._limits.evict_oldest:
            self._hang_up(before=min(list(self._open.values()), default=0.0))
        while not self._slots.acquire(timeout=self._limits.check_s):
            if self._closed.is_set():
                return False
            self._hang_up(before=time.monotonic() - self._limits.connection_s)
        return True

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(self._limits.silence_s)
                _Exchange(connection, self._application, self._limits.body_bytes)
                # close() alone may discard the response where the client sent more than was read (RFC 9112, 9.6).
                connection.shutdown(socket.SHUT_WR)
            except OSError as err:
                log.debug("%s: the client disconnected or was too slow: %s", self.name, err)
            except Exception:
                # One request's failure must not affect any other request.
                log.exception("%s: a request failed", self.name)
            finally:
                del self._open[connection]
                self._slots.release()

    def _hang_up(self, before: float) -> None:
        """Disconnect all clients accepted no later than this. Their threads then read the end of the stream."""
        for connection, accepted in list(self._open.items()):
            if accepted <= before:
                # It may have ended by itself.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class TcpListener:
    """A listening TCP socket. Raises OSError where the address cannot be used."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port. Where port 0 was asked for, this is the port the kernel chose."""
        return cast("tuple[str, int]", self._socket.getsockname()[:2])

    def socket(self) -> socket.socket:
        return self._socket

    def close(self) -> None:
        stop_listening(self._socket)


def stop_listening(listening: socket.socket) -> None:
    """Close a listening socket, and wake a thread that waits in its accept(), which close() alone does not."""
    with contextlib.suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
    listening.close()


class _Exchange(BaseHTTPRequestHandler):
    """Reads one request and writes its response. The constructor of the base class does all of it."""

    def __init__(self, connection: socket.socket, application: Application, max_body_bytes: int) -> None:
        self._application = application
        self._max_body_bytes = max_body_bytes
        super().__init__(connection, ("", 0), cast("Any", None))

    def do_GET(self) -> None:
        if self.command not in self._application.methods:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
            return
        path = self.path.partition("?")[0]
        self._write(
            self._application.respond(
                HttpRequest(self.command, path, cast("Any", self.headers), self._body())
            )
        )

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse the request without quoting it, unlike the base class. An unknown method is a 405, not a 501."""
        del message, explain
        status = HTTPStatus(code)
        if status == HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        # The base class sends no status line to a request line without a version (HTTP/0.9).
        self.request_version = "HTTP/1.0"
        self._write(HttpResponse(status, f"{status.phrase}\n".encode()))

    def version_string(self) -> str:
        return "wp-sidecar"

    def log_message(self, *args: object) -> None:
        """Log nothing: probes ask every few seconds, and a request line is text that any client chooses."""

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        # int() accepts digits of other alphabets, and refuses more than 4,300 of them.
        if not length.isascii() or not length.isdecimal() or len(length) > 10:
            return None
        return self.rfile.read(int(length)) if int(length) <= self._max_body_bytes else None

    def _write(self, response: HttpResponse) -> None:
        self.send_response(response.status)
        if response.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", ", ".join(self._application.methods))
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
