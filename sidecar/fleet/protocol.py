"""What the nodes of a fleet tell each other, and how much of that one believes.

One decision is one line: `B 203.0.113.7 wordpress 1787486460000 1787400060000 3 -` (a ban: who, jail, until, at,
failures, seal) or `U 203.0.113.7 wordpress - 1787400060000 0 -` (lifted). Times are milliseconds of the engine's clock,
so that hosts whose clocks differ agree. Whoever may write to the engine may write anything: all that is read is an
attacker's until it was checked.
"""

from __future__ import annotations

import hmac
import itertools
import math
import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sidecar.core.address import Address, first_and_last, ip_version, parse_canonical
from sidecar.core.events import Ban, BanCause, Unban

ANY = "*"
LONGEST = 256  # characters of a line; ours have at most 170
MOST = 128  # lines of one entry: 64 such entries are the most that a reader holds at once
NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")  # as long as Kubernetes' and DNS' names
_WHO, _JAIL, _SEAL = r"[0-9a-f:./]{2,49}", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", r"[0-9a-f]{16}"
LINE = re.compile(
    rf"([BU]) ({_WHO}|\*) ({_JAIL}|\*) (\d{{1,15}}|inf|-) (\d{{1,15}}) (\d{{1,7}}) ({_SEAL}|-)", re.ASCII
)
MEMBER = re.compile(rf"({_WHO}|\*) ({_JAIL}|\*)(?: ({_SEAL}))?", re.ASCII)
STALE = 86_400.0  # seconds for which a sealed lifting is believed: one that is replayed is older some day
CLOCKS = 0.1  # seconds to which each host's clock is compared with the engine's: half a round trip
FOREVER = 900e9  # seconds: 15 digits of milliseconds reach the year 33,658, with room for clocks that differ
NARROW = {4: 24, 6: 48}  # IP version -> the widest network that is let in where nothing is sealed

PEER_BURST, PEER_RATE = 20_000, 100.0  # bans of one peer believed at once, and a second after that
ALL_BURST, ALL_RATE = 100_000, 1_000.0  # of all together: as many as a node joins, and ten peers at work
REPEATED = 0.1  # of a ban, for one that is known already: it costs time, and bans nobody
LIFT_BURST, LIFT_RATE = 1_000, 1.0  # liftings where nothing is sealed: a person's, and not a gate that opens
PEERS = 4_096  # peers whose budget is remembered


class Unsound(ValueError):  # noqa: N818 - an answer
    """Not what one of us would have written; its text is the reason, a label's value."""


@dataclass(frozen=True, slots=True)
class Lift:
    """Let them in again, on every node: this one, all who lie in this network, or (None) everyone; "" is every jail."""

    address: Address | None
    jail: str
    at: float


Told: TypeAlias = Ban | Lift
Key: TypeAlias = tuple[str, str]  # who and jail, as a line has them


class Clock(NamedTuple):
    """How the engine's clock and ours stand to each other."""

    ahead: float = 0.0  # seconds by which the engine's is ahead

    def theirs(self, ours: float) -> int:
        """Milliseconds of the engine's clock."""
        return round((ours + self.ahead) * 1000)

    def ours(self, theirs: float) -> float:
        """Seconds of our clock, from milliseconds of the engine's."""
        return theirs / 1000 - self.ahead


def key(told: Told | Unban) -> Key:
    """What of two tellings the later replaces."""
    return told.address or ANY, told.jail or ANY


def line(told: Told | Unban, node: str, clock: Clock, secret: bytes = b"") -> str:
    """One decision as it is written down, sealed where there is a secret."""
    whom, jail = key(told)
    at = clock.theirs(told.at)
    if isinstance(told, Ban):
        text = f"B {whom} {jail} {end(told, clock)} {at} {told.failures}"
    else:
        text = f"U {whom} {jail} - {at} 0"
    return f"{text} {seal(secret, node, text)}"


def end(ban: Ban, clock: Clock) -> str:
    """When it ends, in the engine's milliseconds; what no line has room for is `inf`."""
    return str(clock.theirs(ban.until)) if ban.until < FOREVER else "inf"


def about(line: str) -> Key:
    """Whom and which jail a line of our own is about."""
    return tuple(line.split(" ", 3)[1:3])  # type: ignore[return-value]


def told(text: str, node: str, clock: Clock, now: float, secret: bytes = b"") -> Told:
    """What a line says, in our time; the Ban's site is the node that told it. Raises Unsound."""
    found = LINE.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise Unsound("malformed")
    kind, whom, jail, until, at, failures, given = found.groups()
    _check(given, secret, node, text.rpartition(" ")[0])
    when = min(now, clock.ours(int(at)))
    if kind == "U":
        if secret and when < now - STALE:
            raise Unsound("expired")
        return _lift(whom, jail, when, secret)
    ban = Ban(
        jail,
        Address(whom),
        when,
        _end(until, clock),
        BanCause.FLEET,
        failures=int(failures),
        origin_name=node,
    )
    return _sound(ban, now)


def member(name: Key, secret: bytes = b"", kind: str = "B") -> str:
    """What stands for a ban (or, `U`, its lifting) in the set of all of them; its score is its end (or its time)."""
    text = f"{name[0]} {name[1]}"
    return f"{text} {seal(secret, kind, text)}" if secret else text


def listed(text: str, until: float, clock: Clock, now: float, secret: bytes = b"") -> Ban:
    """The ban that a member of the set of bans and its score stand for. Raises Unsound."""
    whom, jail = _named(text, secret, "B")
    return _sound(Ban(jail, Address(whom), now, _end(until, clock), BanCause.FLEET), now)


def listed_lift(text: str, at: float, clock: Clock, now: float, secret: bytes = b"") -> Lift:
    """The lifting that a member of the set of liftings and its score stand for. Raises Unsound."""
    whom, jail = _named(text, secret, "U")
    return _lift(whom, jail, min(now, clock.ours(at)), secret)


def seal(secret: bytes, *parts: str) -> str:
    """64 bits that only who knows the secret can make; `-` without one."""
    if not secret:
        return "-"
    return hmac.digest(secret, "\n".join(parts).encode(), "sha256")[:8].hex()


class Lifts:
    """Liftings, asked whether a ban was lifted by one of them. Any number of either: a question costs microseconds."""

    def __init__(self, lifts: Iterable[Lift]) -> None:
        self._exact: dict[Key, float] = {}  # when the last of them was
        self._wide: dict[
            tuple[int, int], dict[tuple[int, str], float]
        ] = {}  # version and prefix -> network, jail
        for lift in lifts:
            name = key(lift)
            self._exact[name] = max(lift.at, self._exact.get(name, -math.inf))
            if lift.address and "/" in lift.address:
                version, length, bits = _bits(lift.address)
                table = self._wide.setdefault((version, length), {})
                table[bits, lift.jail] = max(lift.at, table.get((bits, lift.jail), -math.inf))

    def over(self, ban: Ban) -> bool:
        """Was it lifted after it was made, as far as two hosts' clocks can say? Where they cannot, it was."""
        made = max(ban.at, ban.decided_at) - CLOCKS
        return any(at >= made for at in self._times(ban))

    def _times(self, ban: Ban) -> Iterator[float]:
        for name in itertools.product((ban.address, ANY), (ban.jail, ANY)):
            yield self._exact.get(name, -math.inf)
        if self._wide:
            version, length, bits = _bits(ban.address)
            for (their_version, wider), table in self._wide.items():
                if their_version == version and wider <= length:
                    for jail in (ban.jail, ""):
                        yield table.get((bits >> length - wider, jail), -math.inf)


def _bits(address: Address) -> tuple[int, int, int]:
    """IP version, prefix length, and that many leading bits."""
    version, first, last = first_and_last(address)
    rest = (last - first).bit_length()
    return version, (32 if version == 4 else 128) - rest, first >> rest


def _named(text: str, secret: bytes, kind: str) -> Key:
    found = MEMBER.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise Unsound("malformed")
    _check(found[3] or "-", secret, kind, f"{found[1]} {found[2]}")
    return found[1], found[2]


def _lift(whom: str, jail: str, at: float, secret: bytes) -> Lift:
    """Where nothing is sealed nobody is believed who opens the gate to everyone, or to a wide network."""
    address = None if whom == ANY else _canonical(whom)
    if wide(address) and not secret:
        raise Unsound("too wide")
    return Lift(address, "" if jail == ANY else jail, at)


def wide(whom: Address | None) -> bool:
    """Is this everyone, or a network so wide that only who knows the secret lets it in?"""
    if whom is None:
        return True
    _, _, prefix = whom.partition("/")
    return bool(prefix) and int(prefix) < NARROW[ip_version(whom)]


def _sound(ban: Ban, now: float) -> Ban:
    _canonical(ban.address)
    if ban.jail == ANY:
        raise Unsound("malformed")
    if not ban.until > now:
        raise Unsound("expired")
    return ban


def _end(until: str | float, clock: Clock) -> float:
    """The end of a ban in our time, from milliseconds of the engine's. Raises Unsound."""
    try:
        ends = float(until)
    except ValueError:
        raise Unsound("malformed") from None
    return ends if ends == math.inf else clock.ours(ends)


def _check(given: str, secret: bytes, *parts: str) -> None:
    if secret and not hmac.compare_digest(seal(secret, *parts), given):
        raise Unsound("unsealed")


def _canonical(text: str) -> Address:
    """Only what we ourselves would have written; anything else may be read in two ways. Raises Unsound."""
    if (address := parse_canonical(text)) is None:
        raise Unsound("malformed")
    return address


class Budget:
    """How many bans of others are believed: so many at once, then so many a second, of each peer and of all.

    A node that was taken over can then keep out its share of strangers, and not the world. The time is an argument.
    """

    def __init__(
        self,
        peer: tuple[float, float] = (PEER_BURST, PEER_RATE),
        everyone: tuple[float, float] = (ALL_BURST, ALL_RATE),
    ) -> None:
        self._peer = peer
        self._all, self._lifts = _Bucket(*everyone), _Bucket(LIFT_BURST, LIFT_RATE)
        self._peers: OrderedDict[str, _Bucket] = OrderedDict()  # the longest silent first

    def take(self, wanted: int, now: float, peer: str | None = None) -> int:
        """How many of these are believed; the rest is not. Without a peer only what holds for all counts: a join."""
        allowed = min(wanted, self.room(now, peer))
        if peer is not None:
            self._peers[peer].left -= allowed
        self._all.left -= allowed
        return allowed

    def room(self, now: float, peer: str | None = None) -> int:
        """How many would be believed now."""
        room = self._all.has(now)
        if peer is None:
            return room
        bucket = self._peers.setdefault(peer, _Bucket(*self._peer))
        self._peers.move_to_end(peer)
        if len(self._peers) > PEERS:
            self._peers.popitem(last=False)
        return min(room, bucket.has(now))

    def give(self, peer: str, repeated: int) -> None:
        """So many of what was taken were nothing new, as after a flush, when all is told again: they cost little."""
        for bucket in (self._all, self._peers.get(peer)):
            if bucket:
                bucket.left += repeated * (1 - REPEATED)  # never over the burst: it was taken before

    def lifts(self, wanted: int, now: float) -> int:
        """How many of these liftings are believed, where nothing is sealed."""
        allowed = min(wanted, self._lifts.has(now))
        self._lifts.left -= allowed
        return allowed


class _Bucket:
    def __init__(self, burst: float, rate: float) -> None:
        self.left, self._burst, self._rate = burst, burst, rate
        self._at: float | None = None

    def has(self, now: float) -> int:
        since = 0.0 if self._at is None else now - self._at
        self.left = min(self._burst, self.left + max(0.0, since) * self._rate)
        self._at = now
        return int(self.left)


class Outbox:
    """Own decisions on their way to the others: waiting, then in flight until they come back in the engine's order.

    The order in which the engine has them is the one that holds everywhere. So what somebody else says about an address
    does not hold where ours about it comes later: it is still waiting, or in flight. Bounded; the oldest go first.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._waiting: OrderedDict[Key, Told | Unban] = OrderedDict()
        self._flying: Counter[Key] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, decision: Told | Unban) -> int:
        """It is to be told, instead of what was to be told about the same one. How many were dropped for it."""
        name = key(decision)
        self._waiting.pop(name, None)
        self._waiting[name] = decision
        if len(self._waiting) <= self._most:
            return 0
        self._waiting.popitem(last=False)
        return 1

    def take(self, most: int = MOST) -> list[Told | Unban]:
        """The oldest that wait; they are in flight from now on."""
        taken = [self._waiting.popitem(last=False)[1] for _ in range(min(most, len(self._waiting)))]
        self._flying.update(map(key, taken))
        return taken

    def back(self, decisions: Iterable[Told | Unban]) -> None:
        """They were not taken: they wait again, before the others, but for those of whom there is newer."""
        for decision in reversed([*decisions]):
            name = key(decision)
            self.landed(name)
            if name not in self._waiting:
                self._waiting[name] = decision
                self._waiting.move_to_end(name, last=False)

    def landed(self, name: Key) -> None:
        """Ours came by in the engine's order, or never will."""
        self._flying[name] -= 1
        if self._flying[name] <= 0:
            del self._flying[name]

    def flies(self, name: Key) -> bool:
        """Is ours about this one in flight?"""
        return name in self._flying

    def overrules(self, name: Key) -> bool:
        """Does what we say about this one come after what is heard now?"""
        return name in self._waiting or self.flies(name)

    def settle(self) -> None:
        """The order was lost (the engine is new, or was away for long): nothing that flew comes back."""
        self._flying.clear()
