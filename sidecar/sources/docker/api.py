"""The Docker Engine's API as it is needed here: what runs, what happens, and a log read as it comes."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from sidecar.sources.docker.wire import STAMP, Chunks, Frames

READ = 64 * 1024  # a unix socket holds about 200 KB; larger reads gain nothing
CONNECT = 5.0  # seconds until a daemon that does not answer counts as away
ANSWER = 20.0  # seconds for a list: the Engine computes it under locks that starting containers hold
UNKNOWN = "1.24"  # to ask for the version one needs none; docker-py wants one that it knows
EVENTS = {
    "type": ["container", "network"],
    "event": ["start", "die", "destroy", "rename", "create", "remove", "connect", "disconnect"],
}
AWAY = (OSError, DockerException)  # what each method here raises; requests' own errors are OSErrors


class NoDocker(Exception):  # noqa: N818
    """There is no Docker Engine to ask; the message says what to change."""


class Engine:
    """One thread's way to the Engine: it stands on a requests.Session, which threads must not share."""

    def __init__(self, url: str, version: str = "") -> None:
        """Asks for the API's version unless it is known."""
        self._sockets: list[socket.socket] = []
        self._stopped = False
        self._api = self._client(url, version or UNKNOWN)
        self.version = version
        if not version:
            try:
                self.version = self._api.version(api_version=False)["ApiVersion"]
            finally:
                self._api.close()
            self._api = self._client(url, self.version)

    @property
    def repeats(self) -> bool:
        """Docker before 23, which sends lines twice when it rotates a log."""
        return tuple(map(int, self.version.split("."))) < (1, 42)

    def close(self) -> None:
        self._api.close()

    def stop(self) -> None:
        """End what is being asked, and what will be. Any thread may call this."""
        self._stopped = True
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):  # it was closed
                sock.shutdown(socket.SHUT_RDWR)

    def _connected(self, sock: socket.socket) -> None:
        self._sockets = [*(other for other in self._sockets if other.fileno() >= 0), sock]
        if self._stopped:
            self.stop()

    def _client(self, url: str, version: str) -> Any:  # noqa: ANN401  what is called on it, the stubs do not have
        client = docker.APIClient(url, version=version, timeout=int(ANSWER), max_pool_size=1)
        if url.startswith(("unix://", "http+unix://")):
            client.mount("http+docker://", _Unix(url, int(ANSWER), self._connected))
        else:
            client.mount("http://", _Web(self._connected))
            client.mount("https://", _Web(self._connected))
        return client

    def now(self) -> float:
        """What time it is there, in unix seconds."""
        response = self._api._get(self._api._url("/version", versioned_api=False))  # noqa: SLF001
        return parsedate_to_datetime(response.headers["Date"]).timestamp()

    def containers(self) -> list[dict[str, Any]]:
        """All of them, with what they are doing in "State"."""
        found: list[dict[str, Any]] = self._api.containers(all=True)
        return found

    def runs(self, container: str) -> bool:
        return bool(self._api.containers(filters={"id": container}))

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = self._api.inspect_container(container)
        return found

    def networks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._api.networks()
        return found

    def events(self) -> Body:
        """That something happened to a container or a network; what, is better asked."""
        return self._open(self._api._url("/events"), {"filters": json.dumps(EVENTS)}, ANSWER)  # noqa: SLF001

    def logs(self, container: str, since: int, idle: float, *, follow: bool = True) -> tuple[Body, bool]:
        """A log from this unix time on, as it grows or as it is, and whether it is a terminal's (without frames).

        Raises TimeoutError where nothing came for so long: before 27.0, headers come with the first byte.
        """
        params = {"stdout": 1, "stderr": 1, "follow": int(follow), "timestamps": 1, "since": since}
        body = self._open(self._api._url("/containers/{0}/logs", container), params, idle)  # noqa: SLF001
        if "multiplexed" in body.type or "raw-stream" in body.type:
            return body, "raw-stream" in body.type
        try:  # before API 1.42 the answer did not say
            return body, bool(self.inspect(container)["Config"]["Tty"])
        except BaseException:
            body.close()
            raise

    def last(self, container: str, *, terminal: bool) -> bytes:
        """The timestamp of the last line in a log; nothing where there is none."""
        params = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": 1}
        url = self._api._url("/containers/{0}/logs", container)  # noqa: SLF001
        with contextlib.closing(self._open(url, params, ANSWER)) as body:
            data = b"".join(iter(lambda: body.read(ANSWER), b""))
        return data[:STAMP] if terminal else b"".join(line[:STAMP] for _, line in Frames().feed(data)[-1:])

    def _open(self, url: str, params: Mapping[str, object], idle: float) -> Body:
        try:
            response = self._api._get(url, params=params, stream=True, timeout=(CONNECT, idle))  # noqa: SLF001
        except requests.ReadTimeout as err:
            raise TimeoutError("no answer yet") from err
        try:
            self._api._raise_for_status(response)  # noqa: SLF001
            return Body(response)
        except BaseException:
            response.close()
            raise


class _Connection(UnixHTTPConnection):
    """One that closes its socket if it cannot connect, and lets others end it."""

    told: Callable[[socket.socket], None]

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self.unix_socket)
        except BaseException:
            sock.close()
            raise
        self.sock = sock
        self.told(sock)


class _Unix(UnixHTTPAdapter):
    """docker-py's, with our connections."""

    def __init__(self, url: str, timeout: int, told: Callable[[socket.socket], None]) -> None:
        super().__init__(url.replace("http+unix://", "unix://").replace("unix://", "http+unix://"), timeout)
        self._told = told

    def get_connection(self, url: str | bytes, proxies: object = None) -> Any:  # noqa: ANN401
        pool: Any = super().get_connection(url, proxies)
        pool._new_conn = self._connection  # noqa: SLF001
        return pool

    def _connection(self) -> _Connection:
        connection = _Connection("http://localhost", self.socket_path, self.timeout)
        connection.told = self._told
        return connection


class _Web(HTTPAdapter):
    """requests' own, for tcp://, likewise."""

    def __init__(self, told: Callable[[socket.socket], None]) -> None:
        self._told = told
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _telling(HTTPConnectionPool, self._told),
            "https": _telling(HTTPSConnectionPool, self._told),
        }


def _telling(pool: Any, told: Callable[[socket.socket], None]) -> Any:  # noqa: ANN401
    """A kind of pool whose connections tell their sockets."""
    plain = pool.ConnectionCls

    def connect(connection: Any) -> None:  # noqa: ANN401
        plain.connect(connection)
        told(connection.sock)

    return type("Pool", (pool,), {"ConnectionCls": type("Connection", (plain,), {"connect": connect})})


class Body:
    """A response's body: whatever is there, at once.

    docker-py's own streams take a daemon that crashed for a clean end, wait without a limit, and call for
    every line; so this reads the socket below them.
    """

    def __init__(self, response: requests.Response) -> None:
        self.type = response.headers.get("Content-Type", "")
        self._response = response
        self._chunks = Chunks() if "chunked" in response.headers.get("Transfer-Encoding", "") else None
        self._left = int(response.headers.get("Content-Length", -1))  # -1: until the connection ends
        raw: Any = response.raw
        file = raw._fp.fp  # noqa: SLF001  None where the body is empty
        self._socket: socket.socket | None = file.raw._sock if file else None  # noqa: SLF001
        self._early = _buffered(file, self._socket) if file and self._socket else b""

    def read(self, timeout: float) -> bytes:
        """What came; no bytes at the end. Raises TimeoutError if nothing came for so long; then read on."""
        if self._socket is None:
            return b""
        self._socket.settimeout(timeout)
        while not self._ended():
            data, self._early = self._early or self._socket.recv(READ), b""
            if not data:
                return b""
            if self._left > 0:
                self._left = max(0, self._left - len(data))
            if body := self._chunks.feed(data) if self._chunks else data:
                return body
        return b""

    @property
    def whole(self) -> bool:
        """Did all of it come, and not only as much as did before the connection ended?"""
        return self._socket is None or self._ended() or (self._left < 0 and self._chunks is None)

    def _ended(self) -> bool:
        return self._left == 0 or (self._chunks is not None and self._chunks.ended)

    def close(self) -> None:
        self._response.close()


def _buffered(file: Any, sock: socket.socket) -> bytes:  # noqa: ANN401
    """What came together with the headers, and so is above the socket already."""
    sock.setblocking(False)  # noqa: FBT003
    try:
        return bytes(file.read1(READ) or b"")
    except OSError:  # nothing is there yet; a real error comes again
        return b""


def check(url: str) -> None:
    """Raises NoDocker with the reason and the remedy if no Engine answers."""
    try:
        if url.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(CONNECT)
                sock.connect(url.removeprefix("unix://"))
        with contextlib.closing(Engine(url)) as engine:
            engine.containers()
            engine.networks()
    except FileNotFoundError:
        raise NoDocker(
            f"no Docker socket at {url}: mount it into this container, or set DOCKER_HOST"
        ) from None
    except PermissionError:
        raise NoDocker(f"Docker's socket at {url} may not be opened: run as root, which owns it") from None
    except APIError as err:
        raise NoDocker(
            f"Docker at {url} refuses to be asked ({reason(err)}): "
            "a socket proxy has to allow CONTAINERS, NETWORKS and EVENTS"
        ) from None
    except AWAY as err:
        raise NoDocker(
            f"Docker at {url} does not answer ({reason(err)}): start it, or set DOCKER_HOST"
        ) from None


def reason(err: BaseException) -> str:
    """What was behind an error that docker-py, requests and urllib3 each wrapped in one of their own."""
    if isinstance(err, APIError):
        return str(err.explanation or err)
    chain = [err]
    while chain[-1].__context__ is not None:
        chain.append(chain[-1].__context__)
    plain = [each for each in chain if isinstance(each, OSError) and type(each).__module__ == "builtins"]
    return str((plain or chain)[-1 if plain else 0]) or type(err).__name__
