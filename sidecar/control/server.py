"""The control socket: HTTP on a unix socket of mode 0600, for the command line.

    POST / {"do": "ban", "who": "203.0.113.7"}  ->  200 {"banned": [...]}   or   409 {"error": "a sentence"}

The same file serves the daemon (`control_server`) and its command line (`ask`). Who may open the socket may ban.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import stat
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeAlias

from sidecar.runtime.http_server import HttpServer, Limits, Request, Response, stop_listening

log = logging.getLogger(__name__)

Answer: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

# A person and a health check are two connections. A client has 5 s to send its request and to take the response; the
# answer itself may take longer (a reload compiles filters). The largest request is a ban with a long reason.
LIMITS = Limits(connections=8, silence_s=5.0, body_bytes=64 * 1024, check_s=5.0)


class Refused(Exception):  # noqa: N818 - it is an answer
    """The request cannot be carried out; the message is for the person who asked."""


class NoDaemon(Exception):  # noqa: N818 - likewise
    """Nobody answers at the socket; the message says what to do."""


class NoSocket(Exception):  # noqa: N818 - likewise
    """The socket cannot be made; the message says why."""


def only_one() -> socket.socket:
    """Held for as long as we run, so that no second wp-sidecar fights over this host's firewall table.

    An abstract name belongs to the network namespace, as the table does: containers, folders and ports do not matter,
    and it goes with its owner. Raises NoSocket.
    """
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind("\0wp-sidecar")
    except OSError as err:
        held.close()
        raise NoSocket("another wp-sidecar is running on this host; stop it first") from err
    return held


class ControlSocket:
    """The listening unix socket, and the lock file beside it that makes it ours. A Listener.

    Raises NoSocket where another wp-sidecar has it, or where it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False
        self._lock, self._socket = _claim(path)

    def socket(self) -> socket.socket:
        """Return the socket; make it again where a tidy-up removed its file, or nobody could connect any more."""
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
    """Carries JSON requests to `answer`, and its replies or refusals back."""

    methods = ("POST",)

    def __init__(self, answer: Answer) -> None:
        """`answer` is called in several threads at a time."""
        self._answer = answer

    def respond(self, request: Request) -> Response:
        try:
            return _json(HTTPStatus.OK, _encoded(self._answer(_decoded(request.body))))
        except Refused as err:
            return _error(HTTPStatus.CONFLICT, str(err))
        except Exception as err:
            # The loop and other requests go on; the person who asked is told where to look.
            log.exception("control: a request failed")
            sentence = f"the daemon failed at this ({type(err).__name__}); its log says why"
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)


def control_server(
    listener: ControlSocket, application: ControlApplication, limits: Limits = LIMITS
) -> HttpServer:
    return HttpServer("control", listener, application, limits)


def ask(path: Path, request: dict[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Send one request to the daemon at this socket; its answer. `timeout` in seconds.

    Raises Refused with the daemon's own sentence, NoDaemon where nobody answers, PermissionError where
    the socket is someone else's.
    """
    connection = _Connection(path, timeout)
    try:
        connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
        response = connection.getresponse()
        reply: dict[str, Any] = json.loads(response.read())
    except (FileNotFoundError, ConnectionRefusedError) as err:
        raise NoDaemon(f"no wp-sidecar is running at {path}; start it, or say where with --socket") from err
    except PermissionError as err:
        raise PermissionError(f"{path} is another user's; ask as root (sudo, or docker exec)") from err
    except TimeoutError as err:
        raise NoDaemon(f"wp-sidecar at {path} did not answer within {timeout:g} s") from err
    except (OSError, HTTPException, ValueError) as err:
        raise NoDaemon(f"wp-sidecar at {path} broke off; its log says why ({err})") from err
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        raise Refused(reply["error"])
    return reply


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


def _error(status: HTTPStatus, sentence: str) -> Response:
    return _json(status, json.dumps({"error": sentence}).encode())


def _json(status: HTTPStatus, text: bytes) -> Response:
    return Response(status, text, "application/json")


def _encoded(reply: dict[str, Any]) -> bytes:
    """As JSON, a piece at a time: one call for 100,000 bans would hold all threads up for a second."""
    return b"{" + b", ".join(b'"%s": %s' % (key.encode(), _value(each)) for key, each in reply.items()) + b"}"


def _value(value: object) -> bytes:
    if isinstance(value, list):
        return b"[" + b", ".join(json.dumps(each, allow_nan=False).encode() for each in value) + b"]"
    return json.dumps(value, allow_nan=False).encode()


class _Connection(HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _claim(path: Path) -> tuple[int, socket.socket]:
    """A locked file beside the path, and a listening socket at it; what a dead daemon left is replaced."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise NoSocket(_unusable(path, err)) from err
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it when its owner dies
        return lock, _listen(path)
    except BlockingIOError as err:
        os.close(lock)
        raise NoSocket(f"another wp-sidecar is running (it holds {path}); stop it first") from err
    except OSError as err:
        os.close(lock)
        raise NoSocket(_unusable(path, err)) from err


def _listen(path: Path) -> socket.socket:
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise FileExistsError("there is a file there that is no socket")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    umask = os.umask(0o177)  # born with mode 0600, so that it is never open wider, not even for a moment
    try:
        listener.bind(str(path))
        listener.listen()
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(umask)
    return listener


def _unusable(path: Path, err: OSError) -> str:
    why = err.strerror or err
    return f"the control socket {path} cannot be made: {why}; choose another place with WP_SIDECAR_SOCKET"
