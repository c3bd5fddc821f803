"""The lines that the nodes of a fleet write for each other. Pure: no I/O and no clock.

One decision is one line:

    B 203.0.113.7 wordpress 1787486460000 1787400060000 3 -    a ban: address, jail, until, at, failures, seal
    U 203.0.113.7 wordpress - 1787400060000 0 -                an unban

All bans in force are also members of one sorted set, `203.0.113.7 wordpress`, whose scores are
their ends; a second set holds the unbans of the last days. Times are milliseconds of the server's
clock, so that hosts whose clocks differ agree.

Anybody with access to the server can write anything. `Codec` therefore accepts only what it would
have written itself, character for character; with a secret, only what was sealed with that secret.
"""

from __future__ import annotations

import enum
import hmac
import math
import re
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

# A sealed unban is believed for so long. An attacker can replay one, but not for ever.
MAX_LIFT_AGE_S = 86_400.0

# 15 digits of milliseconds reach the year 33,658; this leaves room for clocks that differ. Later
# ends are `inf`.
MAX_UNTIL_S = 900e9

# IP version -> the shortest prefix that an unsealed unban may have.
WIDEST_UNSEALED_PREFIX = {4: 24, 6: 48}

# A blank in the name of a jail is written as `+`.
_ADDRESS, _JAIL, _SEAL = r"[0-9a-f:./]{2,49}", r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}", r"[0-9a-f]{16}"
_LINE = re.compile(
    rf"([BU]) ({_ADDRESS}|\*) ({_JAIL}|\*) (\d{{1,15}}|inf|-) (\d{{1,15}}) (\d{{1,7}}) ({_SEAL}|-)", re.ASCII
)
_MEMBER = re.compile(rf"({_ADDRESS}|\*) ({_JAIL}|\*)(?: ({_SEAL}))?", re.ASCII)


class Rejection(enum.StrEnum):
    """Why something that another node wrote is not believed. The values are labels of a metric."""

    MALFORMED = "malformed"
    EXPIRED = "expired"
    UNSEALED = "unsealed"
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


# Address and jail, as a line has them. A later decision about the same key replaces an earlier one.
LineKey: TypeAlias = tuple[str, str]

# What a node writes, and what another node reads from it.
Outgoing: TypeAlias = Ban | Unban | Lift
Incoming: TypeAlias = Ban | Lift


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


def key_of(decision: Outgoing) -> LineKey:
    """Return the address and the jail that a decision is about."""
    return decision.address or ANY, decision.jail or ANY


def key_of_line(line: str) -> LineKey:
    """Return the address and the jail that a line of our own is about."""
    _, address, jail, _ = line.split(" ", 3)
    return address, _parse_jail(jail)


def end_ms(ban: Ban, offset: ClockOffset) -> str:
    """Return when a ban ends, as a line and a score have it: the server's milliseconds, or `inf`."""
    return str(offset.to_server_ms(ban.until)) if ban.until < MAX_UNTIL_S else "inf"


def is_wide(address: Address | None) -> bool:
    """Return whether this is everyone, or a network too wide to be unbanned by an unsealed line."""
    if address is None:
        return True
    _, _, prefix = address.partition("/")
    return bool(prefix) and int(prefix) < WIDEST_UNSEALED_PREFIX[ip_version(address)]


def seal(secret: bytes, *parts: str) -> str:
    """Return 64 bits, as hexadecimal digits, that can only be made with the secret; `-` without a secret."""
    if not secret:
        return "-"
    return hmac.digest(secret, "\n".join(parts).encode(), "sha256")[:8].hex()


class Codec:
    """Writes and parses lines and members of the sets. With a secret it seals them, and accepts only sealed ones."""

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret

    @property
    def sealed(self) -> bool:
        return bool(self._secret)

    def line(self, decision: Outgoing, node: str, offset: ClockOffset) -> str:
        """Return the line for a decision of this node."""
        address, jail = _written(key_of(decision))
        at = offset.to_server_ms(decision.at)
        if isinstance(decision, Ban):
            text = f"B {address} {jail} {end_ms(decision, offset)} {at} {decision.failures}"
        else:
            text = f"U {address} {jail} - {at} 0"
        return f"{text} {seal(self._secret, node, text)}"

    def parse_line(self, text: str, node: str, offset: ClockOffset, now: float) -> Incoming:
        """Return the decision that a line of this node stands for, in our time. Raises LineError.

        The `origin_name` of a ban is the node that wrote the line.
        """
        found = _LINE.fullmatch(text) if len(text) <= MAX_LINE_CHARS else None
        if found is None:
            raise LineError(Rejection.MALFORMED)
        kind, address, written_jail, until, at, failures, given = found.groups()
        self._check_seal(given, node, text.rpartition(" ")[0])
        jail = _parse_jail(written_jail)
        when = min(now, offset.to_local_s(int(at)))
        if kind == "U":
            if self._secret and when < now - MAX_LIFT_AGE_S:
                raise LineError(Rejection.EXPIRED)
            return self._lift(address, jail, when)
        end = _end(until, offset)
        ban = Ban(jail, Address(address), when, end, BanCause.FLEET, failures=int(failures), origin_name=node)
        return _in_force(ban, now)

    def ban_member(self, key: LineKey) -> str:
        """Return the member of the set of bans for this address and jail; its score is the end of the ban."""
        return self._member(key, "B")

    def lift_member(self, key: LineKey) -> str:
        """Return the member of the set of unbans for this address and jail; its score is the time of the unban."""
        return self._member(key, "U")

    def parse_ban(self, member: str, until_ms: float, offset: ClockOffset, now: float) -> Ban:
        """Return the ban that a member of the set of bans and its score stand for. Raises LineError."""
        address, jail = self._parse_member(member, "B")
        return _in_force(Ban(jail, Address(address), now, _end(until_ms, offset), BanCause.FLEET), now)

    def parse_lift(self, member: str, at_ms: float, offset: ClockOffset, now: float) -> Lift:
        """Return the unban that a member of the set of unbans and its score stand for. Raises LineError."""
        address, jail = self._parse_member(member, "U")
        return self._lift(address, jail, min(now, offset.to_local_s(at_ms)))

    def _member(self, key: LineKey, kind: str) -> str:
        text = " ".join(_written(key))
        return f"{text} {seal(self._secret, kind, text)}" if self._secret else text

    def _parse_member(self, text: str, kind: str) -> LineKey:
        found = _MEMBER.fullmatch(text) if len(text) <= MAX_LINE_CHARS else None
        if found is None:
            raise LineError(Rejection.MALFORMED)
        self._check_seal(found[3] or "-", kind, f"{found[1]} {found[2]}")
        return found[1], _parse_jail(found[2])

    def _check_seal(self, given: str, *parts: str) -> None:
        if self._secret and not hmac.compare_digest(seal(self._secret, *parts), given):
            raise LineError(Rejection.UNSEALED)

    def _lift(self, address: str, jail: str, at: float) -> Lift:
        """Refuse to unban everyone, or a wide network, unless the line was sealed."""
        target = None if address == ANY else _canonical(address)
        if is_wide(target) and not self._secret:
            raise LineError(Rejection.TOO_WIDE)
        return Lift(target, "" if jail == ANY else jail, at)


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
