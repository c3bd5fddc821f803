"""The command line's side of the control socket."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, TypeVar, cast

from sidecar.control.protocol import LIST_GOES_ON, ControlRequest, Refused

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
    with _answered(path, fields, timeout) as response:
        return json.loads(response.read())


def stream(path: Path, request: ControlRequest[Any], timeout: float = DEFAULT_TIMEOUT_S) -> Iterator[str]:
    """Send one request, and yield the values of the list in its answer as they come, each as JSON.

    So a list of 100,000 bans takes no memory. Raises what `ask` does.
    """
    with _answered(path, request.as_json(), timeout) as response:
        response.readline()
        for line in response:
            value = line.decode().rstrip(LIST_GOES_ON)
            if value.startswith("]"):
                return
            if value:
                yield value
        raise ValueError("the answer has no end")


@contextlib.contextmanager
def _answered(path: Path, fields: Mapping[str, Any], timeout: float) -> Iterator[HTTPResponse]:
    """Send a request, and give the response, if it is not a refusal."""
    connection = _UnixConnection(path, timeout)
    try:
        connection.request("POST", "/", json.dumps(fields), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            raise Refused(json.loads(response.read())["error"])
        yield response
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
