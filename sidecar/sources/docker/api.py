"""The Docker Engine's API, as far as it is needed here.

What runs and what networks there are is asked through docker-py, over our own connections; logs and events are
streams of `connection.py`. docker-py and its exceptions appear in this module only.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import docker
import requests
from docker.errors import APIError, DockerException
from requests.adapters import BaseAdapter

from sidecar.core.text import printable, redacted
from sidecar.sources.base import SourceUnavailable
from sidecar.sources.docker import shapes
from sidecar.sources.docker.connection import (
    ANSWER_TIMEOUT_S,
    MAX_CHUNK_S,
    Answer,
    Connections,
    Endpoint,
    Interrupt,
    PendingRequest,
)
from sidecar.sources.docker.wire import EngineError, ProtocolError, UnfinishedError

# Asking for the version needs none, but docker-py wants one that it knows.
ANY_VERSION = "1.24"
VERSION_OF_23 = (1, 42)
EVENTS = {
    "type": ["container", "network"],
    "event": ["start", "die", "destroy", "rename", "create", "remove", "connect", "disconnect"],
}

# The `max-size` and `max-file` of log drivers; Docker's sizes are decimal.
ROTATED_BY_DEFAULT = {"json-file": ("0", "1"), "local": ("20m", "5")}
# What other drivers send elsewhere, Docker keeps in files of the `local` driver as well, to be read.
CACHE_OPTION_PREFIX = "cache-"
# Of what the Engine says when it refuses something.
MAX_MESSAGE_CHARS = 200
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)i?b?", re.IGNORECASE)
THOUSANDS = "kmgt"


class RequestRefusedError(EngineError):
    """The Engine, or a proxy before it, answered with an HTTP error."""

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message)
        self.status = status


class EngineReplacedError(EngineError):
    """Another Engine answers now, which does not speak the version of the one before."""


class DockerHost:
    """The Engine at one URL. Opens a way to it for each thread, and remembers the API version that it speaks."""

    def __init__(self, url: str, idle_timeout_s: float = 240.0, check_interval_s: float = 5.0) -> None:
        """`check_interval_s`: a log without a byte for this long is asked whether it has more lines.

        `idle_timeout_s`: the same before Docker 23, which goes on with a file that was truncated.
        """
        self.endpoint = Endpoint(url)
        self.idle_timeout_s, self.check_interval_s = idle_timeout_s, check_interval_s
        self._version = ""

    def open(self, interrupt: Interrupt, pending: PendingRequest | None = None) -> Engine:
        """Return a way to the Engine for the calling thread. Raises OSError and EngineError.

        `pending` has since when an answer is waited for.
        """
        connections = Connections(self.endpoint, interrupt, pending)
        if version := self._version:
            return Engine(self, connections, version, negotiated=False)
        self._version = version = negotiated_version(connections)
        return Engine(self, connections, version, negotiated=True)

    def forget_version(self) -> None:
        """Have the next `open` ask for the version."""
        self._version = ""


class Engine:
    """One thread's way to the Engine. docker-py stands on a requests.Session, which threads must not share.

    Every method raises OSError where the Engine is away, and EngineError where it answers something else.
    """

    def __init__(self, host: DockerHost, connections: Connections, version: str, *, negotiated: bool) -> None:
        """`negotiated`: the Engine was just asked for this version."""
        self.version = version
        self._host, self._connections, self._negotiated = host, connections, negotiated

    def containers(self) -> list[dict[str, Any]]:
        """Return all containers, with what each is doing in "State"."""
        with self._translated():
            found: list[dict[str, Any]] = shapes.checked(
                self._client.containers(all=True), shapes.CONTAINERS, "a list of containers"
            )
        return found

    def is_running(self, container: str) -> bool:
        with self._translated():
            return bool(self._client.containers(filters={"id": container}))

    def inspect(self, container: str) -> dict[str, Any]:
        with self._translated():
            found: dict[str, Any] = shapes.checked(
                self._client.inspect_container(container), shapes.CONTAINER, "a container"
            )
        return found

    def inspect_image(self, image: str) -> dict[str, Any]:
        with self._translated():
            found: dict[str, Any] = shapes.checked(
                self._client.inspect_image(image), shapes.IMAGE, "an image"
            )
        return found

    def networks(self) -> list[dict[str, Any]]:
        with self._translated():
            found: list[dict[str, Any]] = shapes.checked(
                self._client.networks(), shapes.NETWORKS, "a list of networks"
            )
        return found

    def restart_policy(self, container: str) -> str:
        """Return when the Engine starts the container again, by Docker's names."""
        return str((self.inspect(container)["HostConfig"].get("RestartPolicy") or {}).get("Name") or "")

    def has_live_restore(self) -> bool:
        """Return whether containers go on while the Engine is away."""
        with self._translated():
            found: dict[str, Any] = shapes.checked(self._client.info(), shapes.INFO, "what the Engine is")
        return bool(found.get("LiveRestoreEnabled"))

    @property
    def idle_timeout_s(self) -> float:
        return self._host.idle_timeout_s

    @property
    def check_interval_s(self) -> float:
        return self._host.check_interval_s

    @property
    def is_before_23(self) -> bool:
        """Whether the Engine is older than Docker 23."""
        return tuple(map(int, self.version.split("."))) < VERSION_OF_23

    def log_driver(self, container: str) -> str:
        """Return the name of the container's log driver."""
        return str(self.inspect(container)["HostConfig"]["LogConfig"]["Type"])

    def bytes_before_loss(self, container: str) -> float:
        """Return how many bytes the container's log has at least when a rotation has removed lines.

        Infinite where none does: json-file keeps all unless told.
        """
        size, files = self._rotation(container)
        if size == math.inf:
            return math.inf
        # All files but the newest are full, up to the record that no longer fitted.
        return max(0, files - 1) * size / 2

    def log_file_bytes(self, container: str) -> float:
        """Return at which size a file of the container's log is rotated: infinite where that does not happen."""
        return self._rotation(container)[0]

    def _rotation(self, container: str) -> tuple[float, int]:
        """Return at which size the log's files are rotated, and how many there are; no size where it is not known."""
        found = self.inspect(container)["HostConfig"]["LogConfig"]
        options, driver = found.get("Config") or {}, found["Type"]
        if driver == "journald" or (driver == "json-file" and "max-size" not in options):
            return math.inf, 1
        prefix = "" if driver in ROTATED_BY_DEFAULT else CACHE_OPTION_PREFIX
        size, files = ROTATED_BY_DEFAULT.get(driver, ROTATED_BY_DEFAULT["local"])
        try:
            return _bytes(options.get(f"{prefix}max-size", size)), int(
                options.get(f"{prefix}max-file", files)
            )
        except ValueError:
            return 0.0, 1

    def now(self) -> float:
        """Return the Engine's unix time, from the head of an answer; ours where a proxy leaves that out."""
        head, body = self._connections.fetch("/version")
        if head.status != 200:
            raise self._refusal(head.status, _message(body))
        try:
            return parsedate_to_datetime(head.headers["Date"]).timestamp()
        except (KeyError, TypeError, ValueError):
            # The Engine is on this host, in nearly all cases.
            return time.time()

    def events(self) -> Answer:
        """Return a stream that says that something happened to a container or a network; what, a list says better."""
        return self._stream("/events", {"filters": json.dumps(EVENTS)}, ANSWER_TIMEOUT_S)

    def logs(
        self,
        container: str,
        since: int,
        *,
        follow: bool = True,
        tail: int | None = None,
        timeout_s: float | None = None,
    ) -> LogStream:
        """Return a log from this unix time on, as it grows (`follow`) or as it is.

        `tail`: only this many of the entries that the log has now. Raises TimeoutError if nothing comes: before Docker
        27, the head of the answer comes with the first byte.
        """
        idle_timeout_s = timeout_s or self._host.idle_timeout_s
        params = {"stdout": 1, "stderr": 1, "follow": int(follow), "timestamps": 1, "since": since}
        if tail is not None:
            params["tail"] = tail
        answer = self._stream(f"/containers/{container}/logs", params, idle_timeout_s)
        try:
            return LogStream(answer, idle_timeout_s)
        except BaseException:
            answer.close()
            raise

    def last_bytes(self, container: str) -> bytes:
        """Return the last line of a log, as the body of an answer; no bytes where there is none."""
        params = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": 1}
        with contextlib.closing(
            self._stream(f"/containers/{container}/logs", params, ANSWER_TIMEOUT_S)
        ) as answer:
            return answer.read_all(ANSWER_TIMEOUT_S)

    def close(self) -> None:
        # Not made unless it was needed.
        if "_client" in vars(self):
            self._client.close()

    @functools.cached_property
    def _client(self) -> Any:  # noqa: ANN401  the stubs lack some of its methods
        return _client(self._connections, self.version)

    def _stream(self, path: str, params: Mapping[str, object], timeout_s: float) -> Answer:
        answer = self._connections.open(f"/v{self.version}{path}?{urlencode(params)}", timeout_s)
        if answer.head.status == 200:
            return answer
        with contextlib.closing(answer):
            raise self._refusal(answer.head.status, _message(answer.read_all(ANSWER_TIMEOUT_S)))

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise docker-py's exceptions as ours."""
        try:
            yield
        except APIError as err:
            raise self._refusal(err.status_code, _shown(str(err.explanation or err))) from None
        except (DockerException, requests.RequestException) as err:
            # Also what is not JSON.
            raise ProtocolError(_shown(str(err))) from err

    def _refusal(self, status: int | None, message: str) -> EngineError:
        if status == 400 and not self._negotiated:
            self._host.forget_version()
            return EngineReplacedError(message)
        return RequestRefusedError(status, message)


class LogStream:
    """A container's log as it comes."""

    def __init__(self, answer: Answer, idle_timeout_s: float) -> None:
        self._answer, self._idle_timeout_s = answer, idle_timeout_s
        self._frame_due_at = math.inf

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return what came; no bytes at the end. Raises TimeoutError if nothing comes, and then one may read on.

        Raises UnfinishedError where a part began and does not end, and another ProtocolError.
        """
        timeout_s = timeout_s or self._idle_timeout_s
        left_s = self._frame_due_at - time.monotonic()
        if left_s <= 0:
            raise UnfinishedError
        try:
            return self._answer.read(min(timeout_s, left_s))
        except TimeoutError:
            if left_s > timeout_s:
                raise
            raise UnfinishedError from None

    def note_frame(self, *, is_inside: bool) -> None:
        """Have a frame that began end soon. Of random bytes it may be the beginning that takes in all further lines."""
        if not is_inside:
            self._frame_due_at = math.inf
        elif self._frame_due_at == math.inf:
            self._frame_due_at = time.monotonic() + MAX_CHUNK_S

    @property
    def complete(self) -> bool:
        """Whether the Engine ended the stream; if not, the connection was cut."""
        return self._answer.complete

    def close(self) -> None:
        self._answer.close()


class _Transport(BaseAdapter):
    """Carries docker-py's requests over our connections, which other threads may end."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections

    def send(self, request: requests.PreparedRequest, *_args: object, **_kwargs: object) -> requests.Response:
        target = request.path_url.removeprefix(self._connections.endpoint.prefix)
        head, body = self._connections.fetch(target)
        response = requests.Response()
        response.status_code, response.reason = head.status, head.reason
        response.headers.update(head.headers.items())
        response.raw, response.encoding = io.BytesIO(body), "utf-8"
        response.request, response.url = request, request.url or ""
        return response

    def close(self) -> None:
        """Do nothing: no connection outlives its answer."""


def _client(connections: Connections, version: str) -> docker.APIClient:
    client = docker.APIClient(connections.endpoint.url, version=version, timeout=int(ANSWER_TIMEOUT_S))
    client.mount(client.base_url, _Transport(connections))
    return client


def negotiated_version(connections: Connections) -> str:
    """Return the API version that the Engine speaks. Raises OSError and EngineError."""
    try:
        with contextlib.closing(_client(connections, ANY_VERSION)) as client:
            return str(client.version(api_version=False)["ApiVersion"])
    except APIError as err:
        raise RequestRefusedError(err.status_code, _shown(str(err.explanation or err))) from None
    except (DockerException, requests.RequestException, LookupError, TypeError) as err:
        raise ProtocolError(f"it does not say which API it speaks ({_shown(repr(err))})") from err


def _message(body: bytes) -> str:
    """Return what an answer with an HTTP error says."""
    try:
        text = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        text = body.decode(errors="replace")
    return _shown(text)


def _shown(text: str) -> str:
    """Return what the Engine says, or a program in its place, as our messages may repeat it."""
    return printable(text.strip(), MAX_MESSAGE_CHARS)


def check(host: DockerHost, interrupt: Interrupt | None = None) -> None:
    """Raises SourceUnavailable, with the reason and the remedy, if no Engine answers."""
    url = str(host.endpoint)
    try:
        with contextlib.closing(host.open(interrupt or Interrupt())) as engine:
            engine.containers()
            engine.networks()
    except FileNotFoundError:
        raise SourceUnavailable(
            f"no Docker socket at {url}: mount it into this container, or set DOCKER_HOST"
        ) from None
    except PermissionError:
        raise SourceUnavailable(
            f"Docker's socket at {url} may not be opened: run as root, which owns it"
        ) from None
    except RequestRefusedError as err:
        raise SourceUnavailable(
            f"Docker at {url} refuses to be asked ({err}): "
            "a socket proxy has to allow CONTAINERS, NETWORKS and EVENTS"
        ) from None
    except (OSError, EngineError) as err:
        raise SourceUnavailable(
            f"Docker at {url} does not answer ({reason(err)}): start it, or set DOCKER_HOST"
        ) from None


def reason(err: BaseException) -> str:
    """Return what an error says, or its kind where it says nothing."""
    return redacted(str(err)) or type(err).__name__


def _bytes(text: str) -> float:
    """Return a size as Docker's options have it: `20m`. Raises ValueError."""
    if not (found := SIZE.fullmatch(text.strip())):
        raise ValueError(f"no size: {text}")
    return float(found[1]) * 1000.0 ** (THOUSANDS.find(found[2].lower()) + 1 if found[2] else 0)
