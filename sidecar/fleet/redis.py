"""What a fleet keeps in Redis or Valkey, and the few commands on it.

    {prefix}:bans    a sorted set: `203.0.113.7 wordpress` -> when that ban ends
    {prefix}:lifts   a sorted set: address and jail of an unban -> its time; for nodes that were away
    {prefix}:events  a stream: what the nodes publish, in the order that holds on all of them
    {prefix}:nodes   a sorted set: each node -> when it last said hello
    {prefix}:epoch   set once; another value, or none, shows that the server was flushed
    {prefix}:w:...   a sorted set for each jail and address: its failures on all nodes

All times are the server's own, in milliseconds. The braces keep all keys on one node of a cluster.
Each call is one round trip, and each that writes more than once is one script, so it happens whole
or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from redis.exceptions import ResponseError

from sidecar.core.text import printable
from sidecar.fleet import scripts
from sidecar.fleet.connection import RedisClient, RedisConnection

# Entries that the stream keeps. A node that missed more reads the whole set of bans.
MAX_EVENTS = 10_000
READ_ENTRIES = 64

# Bans read at once: 1 ms of the server's time.
PAGE_SIZE = 5_000

# A node that says no hello for so long is gone.
NODE_GONE_MS = 60_000

# How the names of the policies begin that evict keys.
EVICTING_POLICIES = ("allkeys", "volatile")


class Hello(NamedTuple):
    """The server's answer to a hello."""

    epoch: str
    # The server's clock.
    now_ms: int
    # Nodes that are there, this one included.
    nodes: int


class Entry(NamedTuple):
    """What one node published at once. Anybody may have written it."""

    position: str
    node: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WindowFailures:
    """Some failures of one address in one jail, for the window that all nodes share."""

    # Jail and address.
    name: str
    maxretry: int
    findtime_ms: int
    # For each failure a name that no other failure has, and its age in milliseconds.
    failures: tuple[tuple[str, int], ...]


class FleetStore:
    """The fleet's keys on one server. Any thread may use it; every method raises StoreError."""

    def __init__(self, connection: RedisConnection, prefix: str) -> None:
        self.url = connection.url
        self._connection, self._prefix = connection, prefix

    def hello(self, node: str, new_epoch: str) -> Hello:
        """Announce this node. `new_epoch` becomes the fleet's where it has none: a new server, or one flushed."""
        keys = [self._key("epoch"), self._key("nodes"), self._key("bans")]
        found, now, nodes = self._connection.script(scripts.HELLO, keys, [node, new_epoch, NODE_GONE_MS])
        return Hello(_text(found), int(now), int(nodes))

    def positions(self) -> tuple[str, str]:
        """Return the positions of the stream's oldest entry and of the newest that it ever had."""
        with self._connection.client() as client:
            try:
                found = client.execute_command("XINFO STREAM", self._key("events"))
            except ResponseError as err:
                if "no such key" in str(err):
                    return "0-0", "0-0"
                raise
        last = _text(found["last-generated-id"])
        return (_text(found["first-entry"][0]) if found["first-entry"] else last), last

    def publish(
        self,
        node: str,
        lines: Sequence[str],
        bans: Sequence[tuple[int | str, str]],
        lifts: Sequence[tuple[str, str, int]],
    ) -> str:
        """Add one entry to the stream, and change the sets to match. Return the entry's position.

        `bans`: end and member of each. `lifts`: the ban's member, the lift's member, and its time.
        """
        keys = [self._key("bans"), self._key("lifts"), self._key("events")]
        flat: list[str | int] = [each for ban in bans for each in ban]
        flat += [each for lift in lifts for each in lift]
        arguments = [node, "\n".join(lines), MAX_EVENTS, len(bans), *flat]
        return _text(self._connection.script(scripts.PUBLISH, keys, arguments))

    def read(self, after: str, wait_s: float) -> list[Entry]:
        """Return up to 64 entries after this position; if there are none, wait for some up to `wait_s` seconds."""
        block: list[str | int] = ["BLOCK", max(1, round(wait_s * 1000))] if wait_s else []
        with self._connection.client() as client:
            found = client.execute_command(
                "XREAD", "COUNT", READ_ENTRIES, *block, "STREAMS", self._key("events"), after
            )
        return [_entry(position, fields) for _, entries in found or () for position, fields in entries]

    def bans(self) -> Iterator[list[tuple[str, float]]]:
        """Yield all bans in force, a page at a time: member and end. A ban may come twice."""
        return self._pages("bans")

    def lifts(self) -> Iterator[list[tuple[str, float]]]:
        """Yield all lifts that are remembered, a page at a time: member and time."""
        return self._pages("lifts")

    def ends(self, members: Sequence[str]) -> list[float | None]:
        """Return when each of these bans ends on the server; None where it has no such ban."""
        if not members:
            return []
        with self._connection.client() as client:
            found = client.execute_command("ZMSCORE", self._key("bans"), *members)
        return [None if each is None else float(each) for each in found]

    def ban_count(self) -> int:
        with self._connection.client() as client:
            return int(client.execute_command("ZCARD", self._key("bans")))

    def count(self, windows: Sequence[WindowFailures]) -> list[int]:
        """Count failures. Return the indexes of the windows that are full now; those begin again with nothing."""
        keys = [self._key(f"w:{each.name}") for each in windows]
        flat: list[str | int] = []
        for each in windows:
            flat += [each.maxretry, each.findtime_ms, len(each.failures)]
            flat += [part for failure in each.failures for part in failure]
        return [int(place) - 1 for place in self._connection.script(scripts.COUNT, keys, flat)]

    def clear(self, names: Sequence[str]) -> None:
        """Forget the failures of these windows (jail and address)."""
        with self._connection.client() as client:
            client.execute_command("DEL", *(self._key(f"w:{name}") for name in names))

    def warnings(self) -> dict[str, str]:
        """Return what about this server may cost the fleet its bans: a short name and a sentence for each."""
        with self._connection.client() as client:
            policy, other = _eviction_policy(client), self._foreign_key(client)
        found: dict[str, str] = {}
        if policy.startswith(EVICTING_POLICIES):
            found["eviction"] = (
                f"Redis may evict our bans when its memory is short (maxmemory-policy {policy}): "
                "set it to noeviction, or give the fleet a server of its own"
            )
        if other:
            found["other keys"] = (
                f"Redis holds keys of another program ({printable(other, 60)}) beside ours: if that is a cache, "
                "flushing it deletes the fleet's bans. Give the fleet a server, or at least a database, of its own"
            )
        return found

    def close(self) -> None:
        self._connection.close()

    def _pages(self, name: str) -> Iterator[list[tuple[str, float]]]:
        cursor = "0"
        while True:
            found, text = self._connection.script(scripts.LIST, [self._key(name)], [cursor, PAGE_SIZE])
            cursor, parts = _text(found), _text(text).split("\n")
            yield [(member, _score(score)) for member, score in zip(parts[::2], parts[1::2], strict=False)]
            if cursor == "0":
                return

    def _foreign_key(self, client: RedisClient) -> str:
        """Return a key that is not ours, if there is one among the first: a cache has thousands, a fleet few."""
        if self.url.kind == "cluster":
            return ""
        _, found = client.execute_command("SCAN", 0, "COUNT", 100)
        return next((key for key in map(_text, found) if not key.startswith(f"{{{self._prefix}}}:")), "")

    def _key(self, name: str) -> str:
        return f"{{{self._prefix}}}:{name}"


def _eviction_policy(client: RedisClient) -> str:
    """Return the server's maxmemory-policy; "" where managed services or the ACL do not permit the question."""
    try:
        found = client.execute_command("CONFIG GET", "maxmemory-policy")
    except ResponseError:
        return ""
    return str(found.get("maxmemory-policy", ""))


def _entry(position: bytes, fields: dict[bytes, bytes] | None) -> Entry:
    # Redis still lists an entry that was deleted by hand, without fields.
    fields = fields or {}
    return Entry(
        _text(position), _text(fields.get(b"n", b"")), tuple(_text(fields.get(b"t", b"")).split("\n"))
    )


def _text(found: object) -> str:
    """Return an answer as text. Anybody may have written it, so it may be no text."""
    return found.decode("ascii", "replace") if isinstance(found, bytes) else str(found)


def _score(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
