"""A backend that answers as WordPress does, and notes the guesses and logins that reached it."""

import re
import threading
import urllib.parse
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from io import BufferedIOBase
from socketserver import StreamRequestHandler, ThreadingTCPServer

RIGHT = b"pwd=right"
COOKIE = b"logged_in=1"
PAGE = b"<html>hello</html>"
MAX_LINE_BYTES = 1 << 20


class Backend(ThreadingTCPServer):
    """`guesses` and `pages` are by the number of the request (its header `X-Number`)."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Connection)
        # Wrong passwords that were checked, and pages of wp-admin that a user was served who is logged in.
        self.guesses: Counter[str] = Counter()
        self.pages: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answer(self, line: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes:
        """Return the answer to a request."""
        method, _, rest = line.rstrip(b"\r\n").partition(b" ")
        target = rest.rpartition(b" ")[0]
        number = headers.get(b"x-number", b"").decode("latin-1")
        path = resolved(target)
        status, more = HTTPStatus.NOT_FOUND, b""
        if re.match(rb"/wp-login\.php(?:/|$)", path):
            status = HTTPStatus.OK
            if method == b"POST" and RIGHT in body:
                status, more = HTTPStatus.FOUND, b"Location: /wp-admin/\r\n"
            elif method == b"POST":
                with self._lock:
                    self.guesses[number] += 1
        elif path == b"/wp-admin/index.php" and COOKIE in headers.get(b"cookie", b""):
            status = HTTPStatus.OK
            with self._lock:
                self.pages[number] += 1
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n"
        return head.encode() + more + b"\r\n" + (b"" if method == b"HEAD" else PAGE)


def resolved(target: bytes) -> bytes:
    """Return the path of a target as a web server finds its file; empty where there is none."""
    path = re.split(rb"[?#]", re.sub(rb"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", b"", target))[0]
    parts: list[bytes] = []
    for part in urllib.parse.unquote_to_bytes(path).split(b"/"):
        if b"\0" in part:
            return b""
        if part == b"..":
            if not parts:
                return b""
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/" + b"/".join(parts)


class _Connection(StreamRequestHandler):
    server: Backend

    def handle(self) -> None:
        with suppress(OSError, ValueError):
            while line := self.rfile.readline(MAX_LINE_BYTES):
                if line.strip():
                    headers = _headers(self.rfile)
                    self.wfile.write(self.server.answer(line, headers, _body(self.rfile, headers)))


def _headers(file: BufferedIOBase) -> dict[bytes, bytes]:
    found = {}
    while (line := file.readline(MAX_LINE_BYTES)).strip():
        name, _, value = line.partition(b":")
        found[name.strip().lower()] = value.strip()
    return found


def _body(file: BufferedIOBase, headers: dict[bytes, bytes]) -> bytes:
    if b"chunked" not in headers.get(b"transfer-encoding", b"").lower():
        return file.read(int(headers.get(b"content-length", b"0")))
    body = b""
    while size := int(file.readline(MAX_LINE_BYTES).split(b";")[0], 16):
        body += file.read(size)
        file.readline()
    while file.readline(MAX_LINE_BYTES).strip():
        pass
    return body
