"""The daemon's side of the control socket: HTTP on a unix socket of mode 0600.

    POST / {"do": "ban", "who": "203.0.113.7"}  ->  200 {"banned": [...]}   or   409 {"error": "a sentence"}

Every process that may open the socket may ban. Requests and answers are in `protocol.py`, the other side is in
`client.py`.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import logging
import os
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from sidecar.control.protocol import LIST_BEGINS, LIST_ENDS, LIST_GOES_ON, MAX_REQUEST_BYTES, Refused
from sidecar.runtime import unix_socket
from sidecar.runtime.http_server import HttpRequest, HttpResponse, HttpServer, Limits, stop_listening

log = logging.getLogger(__name__)

# A person and a health check are two connections. A client has 5 s to send its request and 5 s to take the response,
# however slowly bytes come; the answer itself may take longer (a reload compiles filters), and each command limits
# that. Clients that connect and send nothing make room for those that ask, so 200 of them delay a health check by a
# second. The largest request is a piece of a list to import.
LIMITS = Limits(connections=32, silence_s=5.0, request_s=5.0, body_bytes=MAX_REQUEST_BYTES, check_s=1.0)


# Some 50 KB of bans.
VALUES_IN_A_PIECE = 256
# Clients that wait to be accepted.
BACKLOG = 1024


class NoSocket(Exception):  # noqa: N818 - it is an answer
    """The socket cannot be made. The message says why."""


class Answerer(Protocol):
    """Answers requests, in several threads at a time."""

    def answer(self, fields: dict[str, Any], /) -> Mapping[str, Any]:
        """Return the answer to a request. Raises Refused, with a sentence for the person who asked."""


class ControlSocket:
    """The listening unix socket, and the lock file beside it that makes it ours. A Listener.

    Raises NoSocket where another wp-sidecar has it, or where it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False
        self._lock, self._socket = _claim(path)

    def socket(self) -> socket.socket:
        """Return the socket; create it again where its file was removed, so that clients can connect."""
        if not self._path.exists() and not self._closed:
            log.warning("%s was removed and is created again", self._path)
            removed, self._socket = self._socket, _listen(self._path)
            removed.close()
        return self._socket

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._path.unlink(missing_ok=True)
        stop_listening(self._socket)
        os.close(self._lock)


class ControlApplication:
    """Carries JSON requests to the commands, and their answers or refusals back."""

    methods = ("POST",)

    def __init__(self, commands: Answerer) -> None:
        self._commands = commands

    def respond(self, request: HttpRequest) -> HttpResponse:
        try:
            answer = self._commands.answer(_decoded(request.body))
            pieces = _encoded(answer)
            # An answer that is made while it is sent cannot become an error any more; all others can.
            is_made = not any(isinstance(value, Iterator) for value in answer.values())
            body = b"".join(pieces) if is_made else pieces
            return HttpResponse(HTTPStatus.OK, body, "application/json")
        except Refused as err:
            return _error(HTTPStatus.CONFLICT, str(err))
        except Exception as err:
            # The loop and other requests go on, and the answer says where to look.
            log.exception("control: a request failed")
            sentence = f"the daemon failed at this ({type(err).__name__}); its log says why"
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)


def control_server(
    listener: ControlSocket, application: ControlApplication, limits: Limits = LIMITS
) -> HttpServer:
    return HttpServer("control", listener, application, limits)


def _decoded(body: bytes | None) -> dict[str, Any]:
    if body is None:
        raise Refused(f"the request has to state its Content-Length, at most {LIMITS.body_bytes}")
    try:
        request = json.loads(body)
    except ValueError as err:
        raise Refused(f"the request is not JSON: {err}") from err
    if not isinstance(request, dict):
        raise Refused('the request has to be a JSON object, as {"do": "status"}')
    return request


def _error(status: HTTPStatus, sentence: str) -> HttpResponse:
    return _json(status, json.dumps({"error": sentence}).encode())


def _json(status: HTTPStatus, text: bytes) -> HttpResponse:
    return HttpResponse(status, text, "application/json")


def _encoded(reply: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the answer as JSON, with each value of a list on a line of its own.

    A piece at a time: one call for 100,000 bans would hold the interpreter, and with it all threads, for a second, and
    take 20 MB.
    """
    for number, (key, value) in enumerate(reply.items()):
        yield b'%s"%s": ' % (b", " if number else b"{", key.encode())
        if isinstance(value, (list, Iterator)):
            yield from _encoded_list(value)
        else:
            yield json.dumps(value, allow_nan=False).encode()
    # Without its end the answer is not JSON, so a client notices that the daemon failed in the middle.
    yield b"}" if reply else b"{}"


def _encoded_list(values: Iterable[object]) -> Iterator[bytes]:
    values, encode = iter(values), json.JSONEncoder(allow_nan=False).encode
    yield LIST_BEGINS.encode()
    first = True
    while piece := list(itertools.islice(values, VALUES_IN_A_PIECE)):
        lines = LIST_GOES_ON.join(map(encode, piece))
        yield (lines if first else LIST_GOES_ON + lines).encode()
        first = False
    yield LIST_ENDS.encode()


def _claim(path: Path) -> tuple[int, socket.socket]:
    """Return a locked file beside the path, and a listening socket at it. What a dead daemon left is replaced."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise NoSocket(_unusable(path, err)) from err
    try:
        # The kernel releases the lock when its owner dies.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock, _listen(path)
    except BlockingIOError as err:
        os.close(lock)
        raise NoSocket(f"another wp-sidecar is running (it holds {path}); stop it first") from err
    except OSError as err:
        os.close(lock)
        raise NoSocket(_unusable(path, err)) from err


def _listen(path: Path) -> socket.socket:
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise FileExistsError("a file that is no socket is in its place")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        # It is never open wider, not even for a moment.
        unix_socket.bind(listener, path, 0o600)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _unusable(path: Path, err: OSError) -> str:
    why = err.strerror or err
    return f"the control socket {path} cannot be created: {why}; choose another place with WP_SIDECAR_SOCKET"
