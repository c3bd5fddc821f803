"""The command line's side of the control socket."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar, cast

from sidecar.control.protocol import ControlRequest, Refused

A = TypeVar("A")

DEFAULT_TIMEOUT_S = 5.0


class NoDaemon(Exception):  # noqa: N818 - it is an answer
    """No daemon answers at the socket. The message says what to do."""


def ask(path: Path, request: ControlRequest[A], timeout: float = DEFAULT_TIMEOUT_S) -> A:
    """Send one request to the daemon at this socket, and return its answer. `timeout` is in seconds.

    Raises Refused with the daemon's own sentence, NoDaemon where none answers, and PermissionError where the socket
    is another user's.
    """
    answer: A = send(path, request.as_json(), timeout)
    return answer


def send(path: Path, fields: Mapping[str, Any], timeout: float = DEFAULT_TIMEOUT_S) -> Any:  # noqa: ANN401 - JSON
    """Send a JSON object as it is, and return the JSON object that is answered. Raises what `ask` does."""
    connection = _UnixConnection(path, timeout)
    try:
        connection.request("POST", "/", json.dumps(fields), {"Content-Type": "application/json"})
        response = connection.getresponse()
        reply = json.loads(response.read())
    except (FileNotFoundError, ConnectionRefusedError) as err:
        raise NoDaemon(
            f"no wp-sidecar is running at {path}; start it, or name its socket with --socket"
        ) from err
    except PermissionError as err:
        raise PermissionError(f"{path} is another user's; ask as root (sudo, or docker exec)") from err
    except TimeoutError as err:
        raise NoDaemon(f"wp-sidecar at {path} did not answer within {timeout:g} s") from err
    except (OSError, HTTPException, ValueError) as err:
        raise NoDaemon(f"wp-sidecar at {path} closed the connection; its log says why ({err})") from err
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        raise Refused(reply["error"])
    return reply


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        # While many others wait for the daemon to accept them, a connect() without blocking fails at once (unix(7)).
        # This timeout bounds one that blocks.
        seconds, microseconds = divmod(round(cast(float, self.timeout) * 1_000_000), 1_000_000)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", seconds, microseconds))
        try:
            self.sock.connect(str(self._path))
        except BlockingIOError as err:
            raise TimeoutError from err
        self.sock.settimeout(self.timeout)
