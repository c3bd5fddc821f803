"""Our own HTTP connections to the Docker Engine: a socket and a request each, which any thread may end.

docker-py's streams take a daemon that crashed for a clean end, wait without a limit, cannot be ended from another
thread and call several functions for each line. So `http.client` sends the request and parses the head of the answer
here, and the body is read from the same buffered socket, as much as is there at once.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from sidecar.core.text import redacted
from sidecar.sources.docker.wire import ChunkDecoder, ProtocolError, UnfinishedError

CONNECT_TIMEOUT_S = 5.0
# The Engine computes a list under locks that containers hold while they start.
ANSWER_TIMEOUT_S = 20.0

# The Engine sends a line as one chunk. One that began and does not end was no chunk, or its rest is lost.
MAX_CHUNK_S = 10.0
# A socket does not wait for less.
MIN_WAIT_S = 0.001

# A unix socket holds about 200 KB; larger reads gain nothing.
READ_SIZE_BYTES = 64 * 1024
# http.client limits a header and their number, but not how many interim answers (1xx) come before the real one.
MAX_HEAD_BYTES = 64 * 1024
# An answer that is not a stream: a list has some 3 KB for each container.
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class Interrupt:
    """Ends what one thread asks the Engine. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._sockets: set[socket.socket] = set()
        self._stopped = threading.Event()
        # Held while a socket is shut down or closed, so that its number cannot be another file's by then.
        self._lock = threading.Lock()

    @property
    def is_set(self) -> bool:
        return self._stopped.is_set()

    def set(self) -> None:
        """End what is being asked now, and whatever will be asked until `clear()`."""
        self._stopped.set()
        self.cut()

    def clear(self) -> None:
        self._stopped.clear()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, for this many seconds at most; return whether it is."""
        return self._stopped.wait(timeout_s)

    def cut(self) -> None:
        """End what is being asked now, and nothing else."""
        with self._lock:
            for sock in self._sockets:
                _shut_down(sock)

    def add(self, sock: socket.socket) -> None:
        """Have this socket ended as well."""
        with self._lock:
            self._sockets.add(sock)
            if self._stopped.is_set():
                _shut_down(sock)

    def close(self, sock: socket.socket) -> None:
        """Close a socket that was added."""
        with self._lock:
            self._sockets.discard(sock)
            sock.close()


def _shut_down(sock: socket.socket) -> None:
    # The other side may have closed it already.
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class Endpoint:
    """Where the Engine listens, by a URL as in DOCKER_HOST: `unix://`, `tcp://`, `http://` or `https://`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        # The URL as docker-py takes it; `str()` of the endpoint is what messages show.
        self.url = url
        self._unix = "unix" in parts.scheme
        self._path = parts.netloc + parts.path
        self.host, self.port = ("localhost", 80) if self._unix else (parts.hostname or "", parts.port or 0)
        # What every request's path begins with.
        self.prefix = "" if self._unix else parts.path.rstrip("/")
        self._tls = _tls_context() if parts.scheme == "https" else None

    def __str__(self) -> str:
        """Return the URL without a password."""
        return redacted(self.url)

    def connect(self) -> socket.socket:
        """Return a connected socket. Raises OSError, but no TimeoutError, which means that a stream is silent."""
        try:
            sock = self._unix_socket() if self._unix else self._tcp_socket()
        except TimeoutError:
            raise ConnectionError(f"no connection within {CONNECT_TIMEOUT_S:.0f} s") from None
        return sock

    def _unix_socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_TIMEOUT_S)
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        return sock

    def _tcp_socket(self) -> socket.socket:
        sock = socket.create_connection((self.host, self.port), CONNECT_TIMEOUT_S)
        try:
            return self._tls.wrap_socket(sock, server_hostname=self.host) if self._tls else sock
        except BaseException:
            sock.close()
            raise


def _tls_context() -> ssl.SSLContext:
    """Return a context that trusts the authorities that requests trusts."""
    bundle = (
        os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    )
    folder = os.path.isdir(bundle)  # noqa: PTH112  the text goes to OpenSSL
    return ssl.create_default_context(capath=bundle if folder else None, cafile=None if folder else bundle)


class PendingRequest:
    """Since when one thread waits for an answer, by the monotonic clock; None: it does not. Any thread may look."""

    since: float | None = None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for an answer within this block."""
        self.since = time.monotonic()
        try:
            yield
        finally:
            self.since = None


class Connections:
    """One thread's requests to the Engine, each over a connection of its own."""

    def __init__(
        self, endpoint: Endpoint, interrupt: Interrupt, pending: PendingRequest | None = None
    ) -> None:
        self.endpoint = endpoint
        self._interrupt = interrupt
        self._pending = pending or PendingRequest()

    def open(self, target: str, timeout_s: float) -> Answer:
        """Ask for this path and query, and return the answer when its head is there.

        Raises TimeoutError if nothing comes for this many seconds, other OSErrors, and ProtocolError.
        """
        with self._pending.waiting():
            sock = self.endpoint.connect()
        self._interrupt.add(sock)
        try:
            sock.settimeout(timeout_s)
            shared = _SharedSocket(sock)
            request = http.client.HTTPConnection(self.endpoint.host, self.endpoint.port)
            request.sock = shared
            with self._pending.waiting():
                head = _head(request, self.endpoint.prefix + target)
            shared.inlet.head_bytes_left = math.inf
            return Answer(head, shared.reader, sock, self._interrupt)
        except BaseException:
            self._interrupt.close(sock)
            raise

    def fetch(self, target: str) -> tuple[http.client.HTTPResponse, bytes]:
        """Ask for this path and query, and return head and body of the answer. Raises OSError and ProtocolError."""
        try:
            with contextlib.closing(self.open(target, ANSWER_TIMEOUT_S)) as answer, self._pending.waiting():
                return answer.head, answer.read_all(ANSWER_TIMEOUT_S)
        except TimeoutError:
            raise ConnectionError(f"no answer within {ANSWER_TIMEOUT_S:.0f} s") from None


def _head(request: http.client.HTTPConnection, target: str) -> http.client.HTTPResponse:
    try:
        request.request("GET", target)
        return request.getresponse()
    except OSError:
        # Also http.client's RemoteDisconnected: the connection ended before an answer.
        raise
    except http.client.HTTPException as err:
        raise ProtocolError(f"not an HTTP answer ({type(err).__name__}: {str(err)[:100]})") from err


class Answer:
    """An answer of the Engine. `head` has its status and headers; the body is read here, as it comes."""

    def __init__(
        self,
        head: http.client.HTTPResponse,
        reader: io.BufferedIOBase,
        sock: socket.socket,
        interrupt: Interrupt,
    ) -> None:
        # Kept for as long as the body is read: http.client closes the reader when the head is deleted.
        self.head = head
        self._reader, self._socket, self._interrupt = reader, sock, interrupt
        self._chunks = (
            ChunkDecoder() if "chunked" in head.headers.get("Transfer-Encoding", "").lower() else None
        )
        # Seconds that the rest of a chunk was waited for.
        self._chunk_waited_s = 0.0
        # Bytes of the body to come; None: until the connection ends.
        self._bytes_left = None if self._chunks else _content_length(head)

    def read(self, timeout_s: float) -> bytes:
        """Return what came; no bytes at the end.

        Raises TimeoutError if nothing came for this many seconds, and then one may read on. Raises UnfinishedError
        if a chunk began and did not end within MAX_CHUNK_S of waiting for it, and another ProtocolError.
        """
        while not self._ended:
            data = self._receive(timeout_s)
            if not data:
                break
            if self._bytes_left is not None:
                self._bytes_left = max(0, self._bytes_left - len(data))
            if body := self._chunks.feed(data) if self._chunks else data:
                self._chunk_waited_s = 0.0
                return body
        return b""

    def _receive(self, timeout_s: float) -> bytes:
        if not (self._chunks and self._chunks.is_inside):
            self._socket.settimeout(timeout_s)
            return self._reader.read1(READ_SIZE_BYTES)
        # Only what is spent here counts: who reads may be busy for longer.
        began, left_s = time.monotonic(), MAX_CHUNK_S - self._chunk_waited_s
        self._socket.settimeout(max(MIN_WAIT_S, min(timeout_s, left_s)))
        try:
            return self._reader.read1(READ_SIZE_BYTES)
        except TimeoutError:
            if left_s > timeout_s:
                raise
            raise UnfinishedError from None
        finally:
            self._chunk_waited_s += time.monotonic() - began

    def read_all(self, timeout_s: float) -> bytes:
        """Return the body. Raises OSError where it is cut off, and ProtocolError where it is too large."""
        parts, size = [], 0
        while data := self.read(timeout_s):
            parts.append(data)
            size += len(data)
            if size > MAX_ANSWER_BYTES:
                raise ProtocolError(f"an answer of over {MAX_ANSWER_BYTES} bytes")
        if not self.complete:
            raise ConnectionError("the connection ended in the middle of an answer")
        return b"".join(parts)

    @property
    def complete(self) -> bool:
        """Whether all of the body came, and not only as much as did before the connection ended."""
        return self._ended or (self._bytes_left is None and self._chunks is None)

    @property
    def _ended(self) -> bool:
        return self._bytes_left == 0 or (self._chunks is not None and self._chunks.ended)

    def close(self) -> None:
        self.head.close()
        self._interrupt.close(self._socket)


def _content_length(head: http.client.HTTPResponse) -> int | None:
    text = head.headers.get("Content-Length")
    if text is None:
        return None
    if not text.isdecimal():
        raise ProtocolError(f"not a Content-Length: {text[:20]!r}")
    return int(text)


class _Inlet(io.RawIOBase):
    """A socket's incoming bytes, limited as long as they are the head of an answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.head_bytes_left: float = MAX_HEAD_BYTES
        self._socket = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  whatever has a buffer
        size = self._socket.recv_into(buffer)
        self.head_bytes_left -= size
        if self.head_bytes_left < 0:
            raise ProtocolError(f"the head of an HTTP answer is over {MAX_HEAD_BYTES} bytes")
        return size


class _SharedSocket:
    """What http.client needs of a socket. Its reading side is ours as well, and stays open."""

    def __init__(self, sock: socket.socket) -> None:
        self.sendall = sock.sendall
        self.inlet = _Inlet(sock)
        self.reader: io.BufferedIOBase = io.BufferedReader(self.inlet)

    def makefile(self, _mode: str) -> io.BufferedIOBase:
        return self.reader

    def close(self) -> None:
        """Do nothing: http.client closes its socket before the body is read."""
