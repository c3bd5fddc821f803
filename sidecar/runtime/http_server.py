"""A small HTTP server that clients can neither exhaust nor stall: one request a connection, a thread for each.

    listener ─▶ HttpServer ─HttpRequest─▶ Application ─HttpResponse─▶ client

The server reads the request, enforces the limits and writes the response. What is answered is the application's. The
listener decides where clients connect: a TCP port for probes and scrapers, a unix socket for the command line.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol, cast

log = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"

# While all slots are taken, a client has this long to send its request before it has to make room. A request is sent in
# one piece, so an honest client needs a millisecond.
MIN_REQUEST_S = 0.1


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, read whole."""

    method: str
    # Without the query string.
    path: str
    headers: Mapping[str, str]
    # None: the request does not state its length, or it is longer than the limits allow.
    body: bytes | None = None
    # What follows the path's question mark, as it was sent.
    query: str = ""
    # The address of the TCP client; "": a unix socket's.
    client: str = ""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What the client is sent.

    A body in pieces is sent as it is made: then its length is not stated, and the end of the connection ends it.
    """

    status: HTTPStatus
    body: bytes | Iterable[bytes]
    content_type: str = TEXT
    # Other headers.
    headers: Mapping[str, str] = field(default_factory=dict)


class Application(Protocol):
    """Answers requests, in several threads at a time. An exception is logged, and the client is hung up on."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The HTTP methods that `respond` is called for; all others are refused with 405."""

    def respond(self, request: HttpRequest) -> HttpResponse: ...


class Listener(Protocol):
    """Owns the listening socket."""

    def socket(self) -> socket.socket:
        """Return the listening socket, once there is one. It is asked for before each accept: it may be another one."""

    def close(self) -> None:
        """Stop listening, and wake a thread that waits in accept(). May be called more than once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the server clients can take."""

    # Served at a time. When all are taken, `evict_oldest` decides.
    connections: int
    # Seconds without progress while the request is read, and for the client to take the whole response.
    silence_s: float
    # Seconds for a client to send its whole request, from accept to the last byte of the body.
    request_s: float
    # Seconds for one connection, from accept to the end of the response.
    connection_s: float = math.inf
    # The request line and the headers together. http.client alone bounds each line, and allows 6 MB of headers.
    head_bytes: int = 16 * 1024
    body_bytes: int = 0
    # Which clients are hung up on when all slots are taken. True: the oldest. False: those that have not sent their
    # request; where all have, the next client waits for one to be answered.
    evict_oldest: bool = False
    # Seconds between looks at connections that took too long, and at the listening socket.
    check_s: float = 0.5


@dataclass(slots=True)
class _Client:
    """One connection. Written by the thread that serves it."""

    # When it was accepted, in seconds of the monotonic clock.
    accepted: float
    # Whether its request was read whole.
    has_asked: bool = False


class HttpServer:
    """A Service that serves until it is closed."""

    def __init__(self, name: str, listener: Listener, application: Application, limits: Limits) -> None:
        self.name = name
        self._listener = listener
        self._application = application
        self._limits = limits
        self._closed = threading.Event()
        self._slots = threading.BoundedSemaphore(limits.connections)
        # The oldest first.
        self._open: dict[socket.socket, _Client] = {}

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
            self._hang_up_on_late()

    def close(self) -> None:
        """Stop listening. May be called more than once.

        Where `connection_s` limits a connection, clients are disconnected. Otherwise a request that was sent is
        answered.
        """
        self._closed.set()
        self._listener.close()
        self._hang_up(before=math.inf, only_silent=self._limits.connection_s == math.inf)

    def _start(self, connection: socket.socket) -> None:
        """Serve the connection in a thread of its own, once a slot is free."""
        if not self._take_slot():
            connection.close()
            return
        client = self._open[connection] = _Client(time.monotonic())
        threading.Thread(target=self._serve, args=(connection, client), name=self.name, daemon=True).start()

    def _take_slot(self) -> bool:
        """Wait for a slot. Return False once the server is closed."""
        if self._slots.acquire(blocking=False):
            return True
        if self._limits.evict_oldest:
            oldest = min((each.accepted for each in list(self._open.values())), default=0.0)
            self._hang_up(before=oldest, only_silent=False)
        check_s = min(self._limits.check_s, MIN_REQUEST_S)
        while not self._slots.acquire(timeout=check_s):
            if self._closed.is_set():
                return False
            self._hang_up(before=time.monotonic() - MIN_REQUEST_S, only_silent=True)
            self._hang_up_on_late()
        return True

    def _serve(self, connection: socket.socket, client: _Client) -> None:
        with connection:
            try:
                connection.settimeout(self._limits.silence_s)
                _Exchange(connection, client, self._application, self._limits)
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

    def _hang_up_on_late(self) -> None:
        """Disconnect the clients that took too long."""
        now = time.monotonic()
        self._hang_up(before=now - self._limits.request_s, only_silent=True)
        self._hang_up(before=now - self._limits.connection_s, only_silent=False)

    def _hang_up(self, before: float, *, only_silent: bool) -> None:
        """Disconnect all clients accepted no later than this. Their threads then read the end of the stream."""
        for connection, client in list(self._open.items()):
            if client.accepted <= before and not (only_silent and client.has_asked):
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


class _HeadTooLargeError(Exception):
    """The request line and the headers are longer than the limit."""


class _BoundedHead(io.BufferedIOBase):
    """Reads a connection. Its lines, which are the head of the request, have a bounded size together."""

    def __init__(self, connection: io.BufferedIOBase, max_bytes: int) -> None:
        self._connection, self._left = connection, max_bytes

    def readline(self, size: int | None = -1, /) -> bytes:
        del size
        line = self._connection.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise _HeadTooLargeError
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        return self._connection.read(size)

    def close(self) -> None:
        self._connection.close()
        super().close()


class _Exchange(BaseHTTPRequestHandler):
    """Reads one request and writes its response. The constructor of the base class does all of it."""

    # Until the request line was read.
    command = requestline = ""

    def __init__(
        self, connection: socket.socket, client: _Client, application: Application, limits: Limits
    ) -> None:
        self._client, self._application, self._limits = client, application, limits
        super().__init__(connection, ("", 0), cast("Any", None))

    def setup(self) -> None:
        super().setup()
        self.rfile = cast("Any", _BoundedHead(self.rfile, self._limits.head_bytes))

    def handle(self) -> None:
        try:
            super().handle()
        except _HeadTooLargeError:
            self.send_error(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                if self.command
                else HTTPStatus.REQUEST_URI_TOO_LONG
            )

    def do_GET(self) -> None:
        if self.command not in self._application.methods:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
            return
        path, _, query = self.path.partition("?")
        request = HttpRequest(
            self.command, path, cast("Any", self.headers), self._body(), query, self._peer()
        )
        self._client.has_asked = True
        self._write(self._application.respond(request))

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

    def _peer(self) -> str:
        # A client that has hung up has none any more, and a unix socket's has no address.
        with contextlib.suppress(OSError):
            if isinstance(name := self.connection.getpeername(), tuple):
                return str(name[0])
        return ""

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        # int() accepts digits of other alphabets, and refuses more than 4,300 of them.
        if not length.isascii() or not length.isdecimal() or len(length) > 10:
            return None
        return self.rfile.read(int(length)) if int(length) <= self._limits.body_bytes else None

    def _write(self, response: HttpResponse) -> None:
        self.send_response(response.status)
        if response.status == HTTPStatus.METHOD_NOT_ALLOWED and "Allow" not in response.headers:
            self.send_header("Allow", ", ".join(self._application.methods))
        self.send_header("Content-Type", response.content_type)
        for name, value in response.headers.items():
            self.send_header(name, value)
        body = response.body
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in (body,) if isinstance(body, bytes) else body:
            self.wfile.write(piece)
