"""The lines that the nodes of a fleet write for each other. Pure: no I/O and no clock.

One decision is one line:

    B 203.0.113.7 wordpress 1787486460000 1787400060000 3 -    a ban: address, jail, until, at, failures, seal
    U 203.0.113.7 wordpress - 1787400060000 0 -                an unban
    P 203.0.113.7 wordpress - 1787400060000 3 -                a ban that is due here, for a node that saw packets

All bans in force are also members of one sorted set, `203.0.113.7 wordpress`, whose scores are
their ends; a second set holds the unbans of the last days. Times are milliseconds of the server's
clock, so that hosts whose clocks differ agree.

Anybody with access to the server can write anything. `Codec` therefore accepts only what it would
have written itself, character for character; with keys, only what was sealed with one of them. A
seal covers the times, as a score is only a number that anybody can change: beside each member of
the first set stands `until at seal`, and a member of the second is `203.0.113.7 wordpress at seal`.
So whatever is written again later is recognised as old.
"""

from __future__ import annotations

import enum
import hmac
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sidecar.core.address import Address, ip_version, parse_canonical
from sidecar.core.events import Ban, BanCause, Unban

# Stands for every address, or every jail.
ANY = "*"

# The longest line that we write has 170 characters.
MAX_LINE_CHARS = 256

# A reader takes 64 entries at once, so it holds at most 64 * 128 lines.
MAX_ENTRY_LINES = 128

# A sealed unban is believed for this long, in the stream and in the set.
MAX_LIFT_AGE_S, MAX_STORED_LIFT_AGE_S = 86_400.0, 7 * 86_400.0

# A proposal is about what happens now.
MAX_PROPOSAL_AGE_S = 60.0

# Hosts compare their clocks with the server's, so what two of them write may differ by this much. A
# sealed decision that is further in the future is not believed, or it could be replayed until then.
MAX_CLOCK_ERROR_S = 60.0

# 15 digits of milliseconds reach the year 33,658; this leaves room for clocks that differ. Later
# ends are `inf`.
MAX_UNTIL_S = 900e9

# IP version -> the shortest prefix that an unsealed unban may have.
WIDEST_UNSEALED_PREFIX = {4: 24, 6: 48}

# A blank in the name of a jail is written as `+`.
_ADDRESS, _JAIL, _SEAL = r"[0-9a-f:./]{2,49}", r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}", r"[0-9a-f]{16}"
_LINE = re.compile(
    rf"([BUP]) ({_ADDRESS}|\*) ({_JAIL}|\*) (\d{{1,15}}|inf|-) (\d{{1,15}}) (\d{{1,7}}) ({_SEAL}|-)", re.ASCII
)
_MEMBER = re.compile(rf"({_ADDRESS}|\*) ({_JAIL}|\*)", re.ASCII)
_BAN_TIMES = re.compile(rf"(\d{{1,15}}|inf) (\d{{1,15}}) ({_SEAL})", re.ASCII)
_SEALED_LIFT = re.compile(rf"({_ADDRESS}|\*) ({_JAIL}|\*) (\d{{1,15}}) ({_SEAL})", re.ASCII)
# How version 0.1 wrote a member, without its times.
_FAILURE = re.compile(rf"([0-9A-Za-z_-]{{1,64}}) (\d{{1,15}}) ({_SEAL})", re.ASCII)
_UNTIMED_MEMBER = re.compile(rf"({_ADDRESS}|\*) ({_JAIL}|\*) ({_SEAL})", re.ASCII)


class Rejection(enum.StrEnum):
    """Why something that another node wrote is not believed. The values are labels of a metric."""

    MALFORMED = "malformed"
    EXPIRED = "expired"
    UNSEALED = "unsealed"
    # Something newer holds, or it is from the future.
    STALE = "stale"
    TOO_WIDE = "too wide"
    BUDGET = "budget"
    TOO_MANY_LIFTED = "too many lifted"


class LineError(ValueError):
    """No node of this fleet would have written this line or member now."""

    def __init__(self, reason: Rejection) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Lift:
    """An unban on every node: of one address, of all addresses in a network, or (None) of everyone.

    The jail "" means every jail.
    """

    address: Address | None
    jail: str
    at: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """A ban that is due by the log of one node, which saw no packet of the address: another one may have.

    `at` is when the node refused it; `origin_name` is the node.
    """

    address: Address
    jail: str
    at: float
    failures: int
    origin_name: str = ""


# Address and jail, as a line has them. A later decision about the same key replaces an earlier one.
LineKey: TypeAlias = tuple[str, str]

# What a node writes, and what another node reads from it.
Outgoing: TypeAlias = Ban | Unban | Lift
Incoming: TypeAlias = Ban | Lift | Proposal


class Echo(NamedTuple):
    """One of this node's own lines, read back from the stream: from here on its place in the order is known."""

    key: LineKey


class ClockOffset(NamedTuple):
    """Converts between this host's clock and the server's."""

    # Seconds by which the server's clock is ahead of ours.
    ahead_s: float = 0.0

    def to_server_ms(self, local_s: float) -> int:
        """Return a time of this host, in seconds, as milliseconds of the server's clock."""
        return round((local_s + self.ahead_s) * 1000)

    def to_local_s(self, server_ms: float) -> float:
        """Return a time of the server, in milliseconds, as seconds of this host's clock."""
        return server_ms / 1000 - self.ahead_s


def key_of(decision: Outgoing | Proposal) -> LineKey:
    """Return the address and the jail that a decision is about."""
    return decision.address or ANY, decision.jail or ANY


def key_of_line(line: str) -> LineKey:
    """Return the address and the jail that a line of our own is about; of any other line, a key that no line has."""
    words = line.split(" ", 3)
    return (words[1], _parse_jail(words[2])) if len(words) == 4 else ("", "")


def end_ms(ban: Ban, offset: ClockOffset) -> str:
    """Return when a ban ends, as a line and a score have it: the server's milliseconds, or `inf`."""
    return str(offset.to_server_ms(ban.until)) if ban.until < MAX_UNTIL_S else "inf"


def is_wide(address: Address | None) -> bool:
    """Return whether this is everyone, or a network too wide to be unbanned by an unsealed line."""
    if address is None:
        return True
    _, _, prefix = address.partition("/")
    return bool(prefix) and int(prefix) < WIDEST_UNSEALED_PREFIX[ip_version(address)]


def is_client(address: str) -> bool:
    """Return whether this is one client, an IPv4 address or an IPv6 /64, and no wider network."""
    return address.partition("/")[2] in ("", "64")


def seal(secret: bytes, *parts: str) -> str:
    """Return 64 bits, as hexadecimal digits, that can only be made with the secret; `-` without a secret."""
    if not secret:
        return "-"
    return hmac.digest(secret, "\n".join(parts).encode(), "sha256")[:8].hex()


class Codec:
    """Writes and parses lines and members of the sets. With keys it seals them, and accepts only sealed ones.

    The first key seals, and each is accepted, so that a fleet can change its key without a gap.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = tuple(keys)
        self._key = self._keys[0] if self._keys else b""

    @property
    def sealed(self) -> bool:
        return bool(self._keys)

    def line(self, decision: Outgoing | Proposal, node: str, offset: ClockOffset) -> str:
        """Return the line for a decision of this node."""
        address, jail = _written(key_of(decision))
        at = offset.to_server_ms(decision.at)
        if isinstance(decision, Ban):
            text = f"B {address} {jail} {end_ms(decision, offset)} {at} {decision.failures}"
        elif isinstance(decision, Proposal):
            text = f"P {address} {jail} - {at} {decision.failures}"
        else:
            text = f"U {address} {jail} - {at} 0"
        return f"{text} {seal(self._key, node, text)}"

    def parse_line(self, text: str, node: str, offset: ClockOffset, now: float) -> Incoming:
        """Return the decision that a line of this node stands for, in our time. Raises LineError.

        The `origin_name` of a ban or a proposal is the name of the node that wrote the line.
        """
        found = _LINE.fullmatch(text) if len(text) <= MAX_LINE_CHARS else None
        if found is None:
            raise LineError(Rejection.MALFORMED)
        kind, address, written_jail, until, at, failures, given = found.groups()
        self._check_seal(given, node, text.rpartition(" ")[0])
        jail = _parse_jail(written_jail)
        when = self._time(at, offset, now)
        if kind == "U":
            self._check_age(when, now, MAX_LIFT_AGE_S)
            return self._lift(address, jail, when)
        if kind == "P":
            if when < now - MAX_PROPOSAL_AGE_S:
                raise LineError(Rejection.EXPIRED)
            if jail == ANY or until != "-" or not is_client(address):
                raise LineError(Rejection.MALFORMED)
            return Proposal(_canonical(address), jail, when, int(failures), node.partition("/")[0])
        end, name = _end(until, offset), node.partition("/")[0]
        ban = Ban(jail, Address(address), when, end, BanCause.FLEET, failures=int(failures), origin_name=name)
        return _in_force(ban, now)

    def ban_member(self, key: LineKey) -> str:
        """Return the member of the set of bans for this address and jail; its score is the end of the ban."""
        return " ".join(_written(key))

    def ban_times(self, ban: Ban, offset: ClockOffset) -> str:
        """Return what stands beside the ban's member: its end and its time, sealed; "" without a key."""
        if not self._keys:
            return ""
        times = f"{end_ms(ban, offset)} {offset.to_server_ms(ban.at)}"
        return f"{times} {seal(self._key, 'ban', f'{self.ban_member(key_of(ban))} {times}')}"

    def lift_member(self, lift: Unban | Lift, offset: ClockOffset) -> str:
        """Return the member of the set of unbans for this one; its score is the time of the unban."""
        member = " ".join(_written(key_of(lift)))
        if not self._keys:
            return member
        timed = f"{member} {offset.to_server_ms(lift.at)}"
        return f"{timed} {seal(self._key, 'lift', timed)}"

    def untimed_member(self, key: LineKey) -> str:
        """Return the member that version 0.1 wrote for a ban; "" without a key."""
        text = " ".join(_written(key))
        return f"{text} {seal(self._key, 'B', text)}" if self._keys else ""

    def parse_ban(self, member: str, until_ms: float, times: str, offset: ClockOffset, now: float) -> Ban:
        """Return the ban that a member of the set, its score and its times stand for. Raises LineError.

        With keys the score does not count.
        """
        address, jail = _parse_member(member)
        if not self._keys:
            return _in_force(Ban(jail, Address(address), now, _end(until_ms, offset), BanCause.FLEET), now)
        found = _BAN_TIMES.fullmatch(times)
        if found is None:
            raise LineError(Rejection.UNSEALED)
        self._check_seal(found[3], "ban", f"{member} {found[1]} {found[2]}")
        at, end = self._time(found[2], offset, now), _end(found[1], offset)
        return _in_force(Ban(jail, Address(address), at, end, BanCause.FLEET), now)

    def stored_end_ms(self, member: str, until_ms: float | None, times: str) -> float | None:
        """Return when a ban ends on the server; None where it has none, or none that our own key has sealed."""
        if not self._keys:
            return until_ms
        found = _BAN_TIMES.fullmatch(times)
        if found is None or seal(self._key, "ban", f"{member} {found[1]} {found[2]}") != found[3]:
            return None
        return float(found[1])

    def parse_untimed(self, member: str) -> LineKey | None:
        """Return the key of a member that version 0.1 sealed; None: it is not one. Such a ban is not believed."""
        found = _UNTIMED_MEMBER.fullmatch(member) if self._keys else None
        if found is None or not self._is_sealed(found[3], "B", f"{found[1]} {found[2]}"):
            return None
        return found[1], _parse_jail(found[2])

    def parse_lift(self, member: str, at_ms: float, offset: ClockOffset, now: float) -> Lift:
        """Return the unban that a member of the set of unbans and its score stand for. Raises LineError.

        With keys the score does not count.
        """
        if not self._keys:
            address, jail = _parse_member(member)
            return self._lift(address, jail, min(now, offset.to_local_s(at_ms)))
        found = _SEALED_LIFT.fullmatch(member) if len(member) <= MAX_LINE_CHARS else None
        if found is None:
            raise LineError(Rejection.UNSEALED)
        self._check_seal(found[4], "lift", f"{found[1]} {found[2]} {found[3]}")
        at = self._time(found[3], offset, now)
        self._check_age(at, now, MAX_STORED_LIFT_AGE_S)
        return self._lift(found[1], _parse_jail(found[2]), at)

    def failure(self, window: str, name: str, at_ms: int) -> str:
        """Return how a failure is named in a window that all nodes share; sealed with its window and its time."""
        if not self._keys:
            return name
        return f"{name} {at_ms} {seal(self._key, 'failure', window, name, str(at_ms))}"

    def is_full(self, window: str, names: Iterable[str], maxretry: int, between_ms: tuple[int, int]) -> bool:
        """Return whether these are enough failures, as far as they are sealed, after the first of these times.

        The second is now. Those of one name count once.
        """
        since_ms, now_ms = between_ms
        counted = set[str]()
        for text in names:
            found = _FAILURE.fullmatch(text)
            if not found or not since_ms < int(found[2]) <= now_ms + MAX_CLOCK_ERROR_S * 1000:
                continue
            if self._is_sealed(found[3], "failure", window, found[1], found[2]):
                counted.add(found[1])
        return len(counted) >= maxretry

    def _check_seal(self, given: str, *parts: str) -> None:
        if self._keys and not self._is_sealed(given, *parts):
            raise LineError(Rejection.UNSEALED)

    def _is_sealed(self, given: str, *parts: str) -> bool:
        return any(hmac.compare_digest(seal(key, *parts), given) for key in self._keys)

    def _time(self, at_ms: str, offset: ClockOffset, now: float) -> float:
        """Return the time of a decision, no later than now. Raises LineError for a sealed one of the future."""
        at = offset.to_local_s(int(at_ms))
        if self._keys and at > now + MAX_CLOCK_ERROR_S:
            raise LineError(Rejection.STALE)
        return min(now, at)

    def _check_age(self, at: float, now: float, max_age_s: float) -> None:
        if self._keys and at < now - max_age_s:
            raise LineError(Rejection.EXPIRED)

    def _lift(self, address: str, jail: str, at: float) -> Lift:
        """Refuse to unban everyone, or a wide network, unless the line was sealed."""
        target = None if address == ANY else _canonical(address)
        if is_wide(target) and not self._keys:
            raise LineError(Rejection.TOO_WIDE)
        return Lift(target, "" if jail == ANY else jail, at)


def _parse_member(text: str) -> LineKey:
    found = _MEMBER.fullmatch(text) if len(text) <= MAX_LINE_CHARS else None
    if found is None:
        raise LineError(Rejection.MALFORMED)
    return found[1], _parse_jail(found[2])


def _written(key: LineKey) -> LineKey:
    """Return the address and the jail as a line has them."""
    address, jail = key
    return address, jail.replace(" ", "+")


def _parse_jail(written: str) -> str:
    return written.replace("+", " ")


def _in_force(ban: Ban, now: float) -> Ban:
    _canonical(ban.address)
    if ban.jail == ANY:
        raise LineError(Rejection.MALFORMED)
    if not ban.until > now:
        raise LineError(Rejection.EXPIRED)
    return ban


def _end(until: str | float, offset: ClockOffset) -> float:
    """Return the end of a ban in our time, from milliseconds of the server's."""
    try:
        ends = float(until)
    except ValueError:
        raise LineError(Rejection.MALFORMED) from None
    return ends if ends == math.inf else offset.to_local_s(ends)


def _canonical(text: str) -> Address:
    """Accept only the one way in which we write an address; any other may be read in two ways."""
    if (address := parse_canonical(text)) is None:
        raise LineError(Rejection.MALFORMED)
    return address
