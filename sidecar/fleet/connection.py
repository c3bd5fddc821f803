"""A connection to Redis or Valkey: one server, a master that sentinels know, or a cluster.

Nothing is retried here: the caller knows when to try again. After an error of the connection the
client is given up, and the next call makes another one, which looks up names and the current master
again. Every error becomes a StoreError whose sentence says what to change; it contains host and
port, and no password.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from sidecar.config.redis_url import RedisUrl
from sidecar.core.text import printable, redacted
from sidecar.fleet.answer_limit import bound_answers
from sidecar.stores.base import StoreError

# For an answer, a connection included. No ban waits for it.
ANSWER_TIMEOUT_S = 2.0

# Of an error's sentence.
MAX_ERROR_CHARS = 400


class RedisClient(Protocol):
    """What we need of redis-py's classes."""

    # Answers have any shape.
    def execute_command(self, *words: str | int) -> Any: ...  # noqa: ANN401

    def close(self) -> None: ...


class RedisConnection:
    """The client for one URL. Any thread may use it. Nothing is opened before the first call."""

    def __init__(self, url: RedisUrl, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._client: RedisClient | None = None

    @contextlib.contextmanager
    def client(self) -> Iterator[RedisClient]:
        """Give the client. Its errors are raised as StoreError."""
        try:
            with self._lock:
                client = self._client = self._client or _connect(self.url, self._timeout_s)
            yield client
        except (RedisError, RedisClusterException, OSError, ValueError) as err:
            # An answer that refuses a command says nothing against the connection.
            if not isinstance(err, ResponseError):
                self.close()
            # The server chooses the words of its errors, and some repeat the command that they refuse, AUTH among them.
            why = redacted(printable(_explain(err), MAX_ERROR_CHARS), self.url.secrets)
            # Not `from err`, which a traceback would print.
            raise StoreError(f"Redis at {self.url} {why}") from None

    # Answers have any shape.
    def script(self, text: str, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:  # noqa: ANN401
        """Run a Lua script in one round trip; its text is only sent to a server that does not know it yet."""
        with self.client() as client:
            try:
                return client.execute_command("EVALSHA", _sha1(text), len(keys), *keys, *arguments)
            except NoScriptError:
                return client.execute_command("EVAL", text, len(keys), *keys, *arguments)

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            # It is given up, whatever it raises.
            with contextlib.suppress(Exception):
                client.close()


def _connect(url: RedisUrl, timeout_s: float) -> RedisClient:
    options: dict[str, Any] = {
        "username": url.user or None,
        "password": url.password or None,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s / 2,
        "retry": Retry(NoBackoff(), 0),
        # RESP3 has nothing that we need, and asks more of an ACL user.
        "protocol": 2,
        "redis_connect_func": bound_answers,
    }
    if url.path:
        return redis.Redis(unix_socket_path=url.path, db=url.database, **options)
    if url.tls:
        # Python 3.13 asks by default for extensions that private authorities often lack.
        lenient = [ssl.VERIFY_X509_STRICT]
        options |= {"ssl": True, "ssl_ca_certs": url.ca or None, "ssl_exclude_verify_flags": lenient}
    if url.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in url.hosts]  # type: ignore[no-untyped-call]
        return RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)
    options["db"] = url.database
    if url.kind == "sentinel":
        asking = options | {
            "db": 0,
            "username": url.sentinel_user or None,
            "password": url.sentinel_password or None,
        }
        sentinel = Sentinel([*url.hosts], sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        return cast(RedisClient, sentinel.master_for(url.master, **options))  # type: ignore[no-untyped-call]
    ((host, port),) = url.hosts
    return redis.Redis(host, port, **options)


def _explain(err: Exception) -> str:
    """Say what is wrong, and what to change."""
    match err:
        case AuthenticationError() | AuthorizationError():
            return f"refuses our user or password ({err}): correct them in the URL"
        case NoPermissionError():
            return f"does not permit this user a command that we need ({err}): docs/fleet.md has the ACL rule"
        case OutOfMemoryError():
            return "is full: raise its maxmemory, or give the fleet a server of its own"
        case ReadOnlyError():
            return "is a replica: name the master, or its sentinels"
        case _:
            return f"does not answer as it should: {str(err).rstrip('.')}"


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
