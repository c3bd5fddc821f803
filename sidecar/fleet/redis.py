"""What a fleet keeps in Redis or Valkey, and the few things that are done with it.

    {prefix}:bans    a sorted set: `203.0.113.7 wordpress` -> when that ban ends
    {prefix}:lifts   a sorted set: whose ban was lifted by hand -> when; for nodes that were away
    {prefix}:events  a stream: what the nodes tell each other, in the order that holds everywhere
    {prefix}:nodes   a sorted set: who is there -> when they were last heard
    {prefix}:epoch   made once; another one, or none, says that the others were wiped
    {prefix}:w:...   a sorted set for each jail and address: its failures on all nodes

All times are the server's own, in milliseconds. The braces keep the keys on one node of a cluster. Known commands only,
each of them in one round trip; more than one write is one script, so that it happens whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

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
from sidecar.stores.base import StoreError

PATIENCE = 2.0  # seconds for an answer, a connection included; a ban never waits for it
EVENTS = 10_000  # entries of the stream; who missed more reads the whole set of bans
ENTRIES = 64  # entries read at once
PAGE = 5_000  # bans read at once: 1 ms of the server's time
LIFTS = 100_000  # liftings remembered
REMEMBERED = (
    7 * 86_400_000
)  # milliseconds for which they are: whoever was away for longer shares what was lifted
PRESENT = 60_000  # milliseconds after which a node that says nothing is gone
EVICTING = ("allkeys", "volatile")  # how the names of the policies begin that throw keys away

HELLO = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('SET', KEYS[1], ARGV[2], 'NX')
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
return {redis.call('GET', KEYS[1]), now, redis.call('ZCARD', KEYS[2])}
"""
TELL = """
local at = 5
for _ = 1, ARGV[4] do
  redis.call('ZADD', KEYS[1], 'GT', ARGV[at], ARGV[at + 1])
  at = at + 2
end
while at <= #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[at])
  redis.call('ZADD', KEYS[2], 'GT', ARGV[at + 2], ARGV[at + 1])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[at + 2] - %d)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -%d)
  at = at + 3
end
return redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'n', ARGV[1], 't', ARGV[2])
""" % (REMEMBERED, LIFTS + 1)  # noqa: UP031 - Lua's own braces
COUNT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local full, at = {}, 1
for i, key in ipairs(KEYS) do
  local most, span, n = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  for _ = 1, n do
    redis.call('ZADD', key, 'NX', now - ARGV[at + 1], ARGV[at])
    at = at + 2
  end
  redis.call('ZREMRANGEBYRANK', key, 0, -2 * most - 1)
  redis.call('PEXPIRE', key, span)
  if redis.call('ZCARD', key) >= most then
    local found = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for last = 2 * most, #found, 2 do
      if found[last] - found[last - 2 * (most - 1)] <= span then
        redis.call('DEL', key)
        full[#full + 1] = i
        break
      end
    end
  end
end
return full
"""
LIST = """
local found = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local told = {}
for at = 1, #found[2], 2 do
  local member = found[2][at]
  if #member < 256 and not string.find(member, '\\n', 1, true) then
    told[#told + 1] = member
    told[#told + 1] = found[2][at + 1]
  end
end
return {found[1], table.concat(told, '\\n')}
"""  # one text, and not 10,000: three times as fast to read; nobody of ours writes such members as are left out


class _Client(Protocol):
    """What we need of redis-py's, whichever of its classes it is."""

    def execute_command(self, *words: str | int) -> Any: ...  # noqa: ANN401 - its answers have any shape

    def close(self) -> None: ...


class Hello(NamedTuple):
    """What the server says of itself and of the fleet."""

    epoch: str
    now: int  # milliseconds, its own clock
    nodes: int  # that are there, this one included


class Entry(NamedTuple):
    """What one node told the others at once; anybody may have written it."""

    position: str
    node: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """Some of one address in one jail: for the window that all nodes share."""

    name: str  # jail and address
    most: int  # this many ...
    span: int  # ... within so many milliseconds are too many
    each: tuple[tuple[str, int], ...]  # a name that no other failure has, and its age in milliseconds


class Board:
    """The fleet's place in one engine. Any thread may use it; each call raises StoreError with a sentence."""

    def __init__(self, url: RedisUrl, prefix: str, patience: float = PATIENCE) -> None:
        """Nothing is opened until something is asked. `patience`: seconds for each answer."""
        self.url = url
        self._prefix, self._patience = prefix, patience
        self._lock = threading.Lock()
        self._client: _Client | None = None

    def hello(self, node: str, epoch: str) -> Hello:
        """We are here. `epoch` becomes the fleet's where it has none: where it is new, or was wiped."""
        keys = [self._key("epoch"), self._key("nodes"), self._key("bans")]
        found, now, nodes = self._script(HELLO, keys, [node, epoch, PRESENT])
        return Hello(_text(found), int(now), int(nodes))

    def position(self) -> tuple[str, str]:
        """Where the stream begins and ends now: the positions of its oldest and newest entry ever kept."""
        with self._told() as client:
            try:
                found = client.execute_command("XINFO STREAM", self._key("events"))
            except ResponseError as err:
                if "no such key" in str(err):
                    return "0-0", "0-0"
                raise
        last = _text(found["last-generated-id"])
        return (_text(found["first-entry"][0]) if found["first-entry"] else last), last

    def tell(
        self,
        node: str,
        lines: Sequence[str],
        bans: Sequence[tuple[int | str, str]],
        lifts: Sequence[tuple[str, str, int]],
    ) -> str:
        """Tell the others these lines; where they find it. At once the sets become as the lines say.

        `bans`: end and member. `lifts`: the ban's member, the lifting's own, and its time.
        """
        keys = [self._key("bans"), self._key("lifts"), self._key("events")]
        flat: list[str | int] = [each for ban in bans for each in ban]
        flat += [each for lift in lifts for each in lift]
        return _text(self._script(TELL, keys, [node, "\n".join(lines), EVENTS, len(bans), *flat]))

    def read(self, after: str, wait: float) -> list[Entry]:
        """What was told after this position; where there is nothing, wait at most so many seconds for it."""
        block: list[str | int] = ["BLOCK", max(1, round(wait * 1000))] if wait else []
        with self._told() as client:
            found = client.execute_command(
                "XREAD", "COUNT", ENTRIES, *block, "STREAMS", self._key("events"), after
            )
        return [_entry(position, fields) for _, entries in found or () for position, fields in entries]

    def bans(self) -> Iterator[list[tuple[str, float]]]:
        """All bans in force, a page at a time: member and end; one may come twice."""
        return self._pages("bans")

    def lifts(self) -> Iterator[list[tuple[str, float]]]:
        """All liftings that are remembered, a page at a time: member and time."""
        return self._pages("lifts")

    def ends(self, members: Sequence[str]) -> list[float | None]:
        """When each of these bans ends, as the others know it; None: they do not know it."""
        if not members:
            return []
        with self._told() as client:
            found = client.execute_command("ZMSCORE", self._key("bans"), *members)
        return [None if each is None else float(each) for each in found]

    def known(self) -> int:
        """How many bans all know of."""
        with self._told() as client:
            return int(client.execute_command("ZCARD", self._key("bans")))

    def count(self, failures: Sequence[Failures]) -> list[int]:
        """Count these failures; the places of those with whom it was one too many. Their count starts afresh."""
        keys = [self._key(f"w:{each.name}") for each in failures]
        flat: list[str | int] = []
        for each in failures:
            flat += [each.most, each.span, len(each.each), *(part for one in each.each for part in one)]
        return [int(place) - 1 for place in self._script(COUNT, keys, flat)]

    def forget(self, names: Sequence[str]) -> None:
        """What counted against these (jail and address) counts no more."""
        with self._told() as client:
            client.execute_command("DEL", *(self._key(f"w:{name}") for name in names))

    def doubts(self) -> list[str]:
        """What about this engine may cost the fleet its memory, a sentence each."""
        with self._told() as client:
            overrides, other = _policy(client), self._stranger(client)
        return [
            *([_evicts(overrides)] if overrides.startswith(EVICTING) else ()),
            *([_mixed(other)] if other else ()),
        ]

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # it is given up, whatever it says
                client.close()

    def _pages(self, name: str) -> Iterator[list[tuple[str, float]]]:
        cursor = "0"
        while True:
            found, text = self._script(LIST, [self._key(name)], [cursor, PAGE])
            cursor, parts = _text(found), _text(text).split("\n")
            yield [(address, _score(score)) for address, score in zip(parts[::2], parts[1::2], strict=False)]
            if cursor == "0":
                return

    def _stranger(self, client: _Client) -> str:
        """A key that is not ours, if there is one among the first: a cache has thousands, a fleet a handful."""
        if self.url.kind == "cluster":
            return ""
        _, found = client.execute_command("SCAN", 0, "COUNT", 100)
        return next((key for key in map(_text, found) if not key.startswith(f"{{{self._prefix}}}:")), "")

    def _script(self, text: str, keys: Sequence[str], values: Sequence[str | int]) -> Any:  # noqa: ANN401 - likewise
        with self._told() as client:
            try:
                return client.execute_command("EVALSHA", _digest(text), len(keys), *keys, *values)
            except NoScriptError:  # a new server, or one that was told to forget them
                return client.execute_command("EVAL", text, len(keys), *keys, *values)

    def _key(self, name: str) -> str:
        return f"{{{self._prefix}}}:{name}"

    @contextlib.contextmanager
    def _told(self) -> Iterator[_Client]:
        """The client; its errors become one sentence. After one of the connection it is made anew."""
        try:
            with self._lock:
                client = self._client = self._client or _connect(self.url, self._patience)
            yield client
        except (RedisError, RedisClusterException, OSError, ValueError) as err:
            if not isinstance(err, ResponseError):
                self.close()
            raise StoreError(f"Redis at {self.url} {_why(err)}") from err


def _connect(url: RedisUrl, patience: float) -> _Client:
    options: dict[str, Any] = {
        "username": url.user or None,
        "password": url.password or None,
        "socket_timeout": patience,
        "socket_connect_timeout": patience / 2,
        "retry": Retry(NoBackoff(), 0),  # whoever asks knows when to ask again
        "protocol": 2,  # the newer one has nothing that we need, and asks more of an ACL user
    }
    if url.path:
        return redis.Redis(unix_socket_path=url.path, db=url.database, **options)
    if url.tls:
        # From Python 3.13 on extensions are asked for by default that own authorities often lack.
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
        return cast(_Client, sentinel.master_for(url.master, **options))  # type: ignore[no-untyped-call]
    ((host, port),) = url.hosts
    return redis.Redis(host, port, **options)


def _why(err: Exception) -> str:
    """What is wrong, and what to change. The library's own words hold host and port, and no secret."""
    match err:
        case AuthenticationError() | AuthorizationError():
            return f"refuses our user or password ({err}): correct them in the URL"
        case NoPermissionError():
            return f"does not let this user do all that is needed ({err}): docs/fleet.md has the rule"
        case OutOfMemoryError():
            return "is full: raise its maxmemory, or give the fleet one of its own"
        case ReadOnlyError():
            return "is a replica: name the master, or its sentinels"
        case _:
            return f"does not answer as it should: {err}"


def _policy(client: _Client) -> str:
    """What is thrown away when memory is short; "" where we may not ask."""
    try:
        found = client.execute_command("CONFIG GET", "maxmemory-policy")
    except ResponseError:  # managed services and ACL users
        return ""
    return str(found.get("maxmemory-policy", ""))


def _evicts(overrides: str) -> str:
    return (
        f"Redis may throw our bans away when its memory is short (maxmemory-policy {overrides}): "
        "set it to noeviction, or give the fleet a server of its own"
    )


def _mixed(other: str) -> str:
    return (
        f"Redis holds keys of another program ({other[:60]!a}) beside ours: where that is a cache, "
        "flushing it wipes the fleet's bans; give the fleet a server, or at least a database number, of its own"
    )


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # what EVALSHA goes by


def _entry(position: bytes, fields: dict[bytes, bytes] | None) -> Entry:
    fields = fields or {}  # deleted by hand: Redis still tells of it
    return Entry(
        _text(position), _text(fields.get(b"n", b"")), tuple(_text(fields.get(b"t", b"")).split("\n"))
    )


def _text(found: object) -> str:
    """Anybody may have written it, so it may be no text."""
    return found.decode("ascii", "replace") if isinstance(found, bytes) else str(found)


def _score(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
