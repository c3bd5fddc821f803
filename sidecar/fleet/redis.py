"""What a fleet keeps in Redis or Valkey, and the few commands on it.

    {prefix}:bans    a sorted set: `203.0.113.7 wordpress` -> when that ban ends
    {prefix}:seals   a hash, in a fleet with a key: the same -> the ban's end and time, sealed
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

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from redis.exceptions import ResponseError

from sidecar.core.text import printable
from sidecar.fleet import scripts
from sidecar.fleet.connection import RedisClient, RedisConnection
from sidecar.fleet.protocol import MAX_ENTRY_LINES
from sidecar.stores.base import StoreError

# Entries that the stream keeps. A node that missed more reads the whole set of bans.
MAX_EVENTS = 10_000
READ_ENTRIES = 64

# Bans read at once: 1 ms of the server's time.
PAGE_SIZE = 5_000
# 20 million bans. The server says itself where its list ends.
MAX_PAGES = 4_000

# A node that says no hello for this long is gone.
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


class StreamState(NamedTuple):
    """What the server says about the stream: the positions of its oldest entry and of the newest that it ever had."""

    oldest: str
    newest: str
    length: int


class StoredBan(NamedTuple):
    """A ban as the server has it. Anybody may have written it."""

    member: str
    # When it ends, in milliseconds of the server's clock.
    score: float
    # Its end and its time, sealed; "" where there is nothing.
    times: str = ""


class Publication(NamedTuple):
    """What one entry of the stream changes in the sets."""

    bans: Sequence[BanChange] = ()
    lifts: Sequence[LiftChange] = ()


class BanChange(NamedTuple):
    """A ban that is added to the set. `untimed` is a member that it replaces; "": none."""

    end_ms: str
    member: str
    times: str = ""
    untimed: str = ""


class LiftChange(NamedTuple):
    """A ban that is removed from the set, and the unban that is remembered for it."""

    ban_member: str
    lift_member: str
    at_ms: int
    untimed: str = ""


class Entry(NamedTuple):
    """What one node published at once. Anybody may have written it: what follows on the most lines is one more."""

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


class FullWindow(NamedTuple):
    """A window that holds enough failures, as the server says."""

    # Among the windows that were counted.
    place: int
    # Of its failures, in a fleet with a key. Anybody may have written them.
    names: tuple[str, ...] = ()


P = ParamSpec("P")
T = TypeVar("T")


def _answered(
    method: Callable[Concatenate[FleetStore, P], T],
) -> Callable[Concatenate[FleetStore, P], T]:
    """Have the method raise StoreError where an answer has another shape than Redis gives it: not Redis, or a liar."""

    @functools.wraps(method)
    def checked(self: FleetStore, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as err:
            raise StoreError(
                f"Redis at {self.url} does not answer as Redis does ({type(err).__name__}): is another program there?"
            ) from None

    # `wraps` gives it a type of its own.
    return checked  # type: ignore[return-value]


class FleetStore:
    """The fleet's keys on one server. Any thread may use it; every method raises StoreError."""

    def __init__(self, connection: RedisConnection, prefix: str) -> None:
        self.url = connection.url
        self._connection, self._prefix = connection, prefix

    def _sealed_keys(self, *, sealed: bool) -> list[str]:
        """Return the key of the sealed times, for a fleet with a key: its scripts use commands that others need not."""
        return [self._key("seals")] if sealed else []

    @_answered
    def hello(self, node: str, new_epoch: str, *, sealed: bool = False) -> Hello:
        """Announce this node. `new_epoch` becomes the fleet's where it has none: a new server, or one flushed."""
        keys = [self._key("epoch"), self._key("nodes"), self._key("bans"), *self._sealed_keys(sealed=sealed)]
        found, now, nodes = self._connection.script(scripts.HELLO, keys, [node, new_epoch, NODE_GONE_MS])
        return Hello(_text(found), int(now), int(nodes))

    @_answered
    def stream_state(self) -> StreamState:
        with self._connection.client() as client:
            try:
                found = client.execute_command("XINFO STREAM", self._key("events"))
            except ResponseError as err:
                if "no such key" in str(err):
                    return StreamState("0-0", "0-0", 0)
                raise
        last = _text(found["last-generated-id"])
        oldest = _text(found["first-entry"][0]) if found["first-entry"] else last
        return StreamState(oldest, last, int(found["length"]))

    @_answered
    def publish(self, node: str, lines: Sequence[str], change: Publication, *, sealed: bool = False) -> str:
        """Add one entry to the stream, and change the sets to match. Return the entry's position.

        Without lines only the sets are changed.
        """
        keys = [self._key("bans"), self._key("lifts"), self._key("events"), *self._sealed_keys(sealed=sealed)]
        flat: list[str | int] = [each for ban in change.bans for each in ban]
        for lift in change.lifts:
            flat += [lift.ban_member, lift.untimed, lift.lift_member, lift.at_ms]
        arguments = [node, "\n".join(lines), MAX_EVENTS, len(change.bans), *flat]
        return _text(self._connection.script(scripts.PUBLISH, keys, arguments))

    @_answered
    def read(self, after: str, wait_s: float) -> list[Entry]:
        """Return up to 64 entries after this position; if there are none, wait for some up to `wait_s` seconds."""
        block: list[str | int] = ["BLOCK", max(1, round(wait_s * 1000))] if wait_s else []
        with self._connection.client() as client:
            found = client.execute_command(
                "XREAD", "COUNT", READ_ENTRIES, *block, "STREAMS", self._key("events"), after
            )
        return [_entry(position, fields) for _, entries in found or () for position, fields in entries]

    def bans(self, *, sealed: bool = False) -> Iterator[list[StoredBan]]:
        """Yield all bans in force, a page at a time. A ban may come twice."""
        return self._pages("bans", *self._sealed_keys(sealed=sealed))

    def lifts(self) -> Iterator[list[tuple[str, float]]]:
        """Yield all lifts that are remembered, a page at a time: member and time."""
        return ([(found.member, found.score) for found in page] for page in self._pages("lifts"))

    @_answered
    def stored(self, members: Sequence[str], *, sealed: bool = False) -> list[StoredBan | None]:
        """Return these bans as the server has them; None where it has no such ban."""
        if not members:
            return []
        if not sealed:
            with self._connection.client() as client:
                scores = client.execute_command("ZMSCORE", self._key("bans"), *members)
            times = [None] * len(members)
        else:
            keys = [self._key("bans"), self._key("seals")]
            scores, times = self._connection.script(scripts.STORED, keys, members)
        return [
            None if score is None else StoredBan(member, float(score), _text(text or ""))
            for member, score, text in zip(members, scores, times, strict=True)
        ]

    @_answered
    def ban_count(self) -> int:
        with self._connection.client() as client:
            return int(client.execute_command("ZCARD", self._key("bans")))

    @_answered
    def count(self, windows: Sequence[WindowFailures], *, sealed: bool = False) -> list[FullWindow]:
        """Count failures. Return the windows that are full now; without a key those begin again with nothing."""
        keys = [self._key(f"w:{each.name}") for each in windows]
        flat: list[str | int] = [int(sealed)]
        for each in windows:
            flat += [each.maxretry, each.findtime_ms, len(each.failures)]
            flat += [part for failure in each.failures for part in failure]
        places, names = self._connection.script(scripts.COUNT, keys, flat)
        texts = [_text(text).split("\n") for text in names] or [[]] * len(places)
        return [FullWindow(int(place) - 1, tuple(each)) for place, each in zip(places, texts, strict=True)]

    @_answered
    def clear(self, names: Sequence[str]) -> None:
        """Forget the failures of these windows (jail and address)."""
        with self._connection.client() as client:
            client.execute_command("DEL", *(self._key(f"w:{name}") for name in names))

    @_answered
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

    def _pages(self, name: str, *sealed_keys: str) -> Iterator[list[StoredBan]]:
        cursor = 0
        for _ in range(MAX_PAGES):
            cursor, page = self._page([self._key(name), *sealed_keys], cursor)
            yield page
            if not cursor:
                return
        raise StoreError(f"Redis at {self.url} never ends its list of {name}: is another program there?")

    @_answered
    def _page(self, keys: Sequence[str], cursor: int) -> tuple[int, list[StoredBan]]:
        """Return where the next page begins, 0 where there is none, and what stands on this page."""
        found, text = self._connection.script(scripts.LIST, keys, [cursor, PAGE_SIZE])
        parts = _text(text).split("\n")
        columns = zip(parts[::3], parts[1::3], parts[2::3], strict=False)
        return int(found), [StoredBan(member, _score(score), times) for member, score, times in columns]

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
    # What no node writes is not taken apart: of 8 MiB of line ends each would be an object.
    lines = _text(fields.get(b"t", b"")).split("\n", MAX_ENTRY_LINES)
    return Entry(_text(position), _text(fields.get(b"n", b"")), tuple(lines))


def _text(found: object) -> str:
    """Return an answer as text. Anybody may have written it, so it may be no text."""
    return found.decode("ascii", "replace") if isinstance(found, bytes) else str(found)


def _score(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
