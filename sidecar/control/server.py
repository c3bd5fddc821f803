"""The control socket: HTTP on a unix socket of mode 0600, for the command line.

    POST / {"do": "ban", "who": "203.0.113.7"}  ->  200 {"banned": [...]}   or   409 {"error": "a sentence"}

The same file serves the daemon (`Control`) and its command line (`ask`). Who may open the socket may ban.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeAlias

log = logging.getLogger(__name__)

Answer: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

AT_ONCE = 8  # requests; a person and a health check are two
PATIENCE = 5.0  # seconds for a client to say what it wants, and to take the answer
BEAT = 5.0  # seconds between looks whether the socket is still where it was made
LARGEST = 64 * 1024  # bytes of a request; the largest true one is a ban's reason


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


class Control:
    """Serves requests until closed; `answer` is called in several threads at a time.

    Raises NoSocket where another wp-sidecar has it, or where it cannot be made.
    """

    name = "control"

    def __init__(self, path: Path, answer: Answer, beat: float = BEAT) -> None:
        self._path, self._answer, self._beat = path, answer, beat
        self._closed = threading.Event()
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._lock, self._socket = _claim(path)

    def run(self) -> None:
        while True:
            self._slots.acquire()  # all taken: the next one waits in the kernel's queue
            try:
                self._stay()
                connection, _ = self._socket.accept()
            except TimeoutError:
                self._slots.release()
                continue
            except OSError:
                self._slots.release()
                if self._closed.is_set():
                    return
                raise
            threading.Thread(target=self._serve, args=(connection,), name=self.name, daemon=True).start()

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() alone does not
        self._socket.close()
        os.close(self._lock)

    def _stay(self) -> None:
        """Listen anew where someone tidied the socket away: nobody could ask, nor a health check see a daemon."""
        if not self._path.exists() and not self._closed.is_set():
            log.warning("%s was taken away, and is made anew", self._path)
            gone, self._socket = self._socket, _listen(self._path)
            gone.close()
        self._socket.settimeout(self._beat)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):  # it went away, or was too slow
                _Request(connection, self._answer)
        finally:
            self._slots.release()


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


class _Request(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server_version, sys_version = "wp-sidecar", ""

    def __init__(self, connection: socket.socket, answer: Answer) -> None:
        self._answer = answer
        super().__init__(connection, "control", None)  # type: ignore[arg-type] # no server: nothing asks for it

    def do_POST(self) -> None:
        try:
            status, text = HTTPStatus.OK, _encoded(self._answer(self._read()))
        except Refused as err:
            status, text = HTTPStatus.CONFLICT, json.dumps({"error": str(err)}).encode()
        except Exception as err:  # one request's failure is no other's; whoever asked is told where to look
            log.exception("control: a request failed")
            sentence = f"the daemon failed at this ({type(err).__name__}); its log says why"
            status, text = HTTPStatus.INTERNAL_SERVER_ERROR, json.dumps({"error": sentence}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        log.debug("control: %s", format % args)

    def _read(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            raise Refused(f"the request has to say its Content-Length, at most {LARGEST}")
        try:
            request = json.loads(self.rfile.read(int(length)))
        except ValueError as err:
            raise Refused(f"the request is no JSON: {err}") from err
        if not isinstance(request, dict):
            raise Refused('the request has to be a JSON object, as {"do": "status"}')
        return request


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
