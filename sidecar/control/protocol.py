"""What the command line asks of the daemon, and what the daemon answers.

    BanRequest("203.0.113.7") ──▶ {"do": "ban", "who": "203.0.113.7", …} ──▶ the daemon's command `ban`
    BanAnswer                 ◀── {"banned": [{"ip": "203.0.113.7", …}]} ◀──

Each request is a value that knows its JSON and the type of its answer, so `client.ask` returns that type. Answers are
JSON objects as they are sent; docs/cli.md shows them all. Times are unix seconds, and a permanent ban has no `until`.

This module is loaded by every command of the command line, so it imports nothing of the daemon's.
"""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, NotRequired, Self, TypedDict, TypeVar

A = TypeVar("A")

# The field of an address in a request.
ADDRESS: Final = "who"

# Each value of a list is a line of its own, so a long answer can be read line by line.
LIST_BEGINS: Final = "[\n"
LIST_GOES_ON: Final = ",\n"
LIST_ENDS: Final = "\n]"

# Bans that `history` shows, unless it is asked for another number; and the most that it gives.
HISTORY_LIMIT: Final = 100
MAX_HISTORY_LIMIT: Final = 10_000

# A shorter ban would end before it is in force.
MIN_BANTIME_S: Final = 1.0

# A piece of a list to import; 32 clients may send one each.
MAX_REQUEST_BYTES: Final = 256 * 1024


class Refused(Exception):  # noqa: N818 - it is an answer
    """The request cannot be carried out. The message is for the person who asked."""


class ControlRequest(Generic[A]):
    """One request. A subclass is a dataclass with the request's fields, and `A` is the type of its answer."""

    # The value of "do", which says what the daemon is to do.
    command: ClassVar[str]

    def as_json(self) -> dict[str, Any]:
        """Return the request as it is sent."""
        return {"do": self.command}

    @classmethod
    def from_json(cls, _: Mapping[str, Any]) -> Self:
        """Return the request that was sent. Its fields may hold anything: raises Refused."""
        return cls()


class HealthAnswer(TypedDict):
    """`live`: the loop turns. `ready`: logs are read and bans are in force. `why`: what is wrong, in sentences."""

    live: bool
    ready: bool
    why: list[str]


class FirewallStatus(TypedDict):
    """`enforced`: bans found in the kernel, and bans that should be. `dropped`: IP version -> packets and bytes."""

    ok: bool
    enforced: list[int]
    dropped: dict[str, list[int]]


class StreamStatus(TypedDict):
    """The log of a container, or a log file.

    `format`: those that requests in it were found in, or "". `read`: the lines in which a filter on requests may match,
    and `understood`: how many of them are requests. `note`: "not understood", or "no requests" of a front end that has
    none; absent where nothing is odd. `last`: the unix time of its last line. `jails`: those that look at it, with the
    settings that are shown, as its labels change them. `ports`: those of the host that lead to it.
    """

    container: str
    state: str
    format: str
    read: int
    understood: int
    note: NotRequired[str]
    last: NotRequired[float]
    jails: NotRequired[list[dict[str, Any]]]
    ports: NotRequired[list[int]]


# A smaller share is shown as less than this.
MIN_SHOWN_SHARE: Final = 0.0001


class AllowlistShare(TypedDict):
    """The part, from 0 to 1, of all public addresses of an IP version that is never banned for this reason."""

    reason: str
    ipv4: float
    ipv6: float


class StatusAnswer(TypedDict):
    """What the daemon watches. Each of `jails` has the settings that are shown, and what was counted.

    `labels`: container -> its labels that have an effect. `allowed`: how many addresses and networks people allowed.
    `remarks` are sentences about filters that may not fit.
    """

    version: str
    started: float
    jails: list[dict[str, Any]]
    streams: list[StreamStatus]
    labels: dict[str, list[str]]
    allowlist: list[AllowlistShare]
    allowed: int
    firewall: FirewallStatus
    bans: int
    health: HealthAnswer
    remarks: NotRequired[list[str]]


class ReloadAnswer(TypedDict):
    """What came of a reload. `mistakes` are the fields of a ConfigError each; `restart` are names of settings."""

    ok: bool
    jails: list[str]
    notes: list[str]
    mistakes: list[dict[str, Any]]
    restart: list[str]


class BanFields(TypedDict):
    """One ban. `site` is the container or the file of the last failure. `observed`: it is a dry run."""

    ip: str
    jail: str
    at: float
    until: float | None
    cause: str
    failures: int
    site: str
    reason: str
    times: int
    observed: bool


class BanEntry(BanFields):
    """One ban in force.

    `dropped` are the packets of the address that the kernel dropped since, and `last_dropped` is when the last of them
    came. Both are null where that is unknown. Those of the address's bans before, within a week, are included.
    """

    evidence: list[str]
    dropped: int | None
    last_dropped: float | None


class BansAnswer(TypedDict):
    """A list as it is received; an iterator as it is sent. `more`: how many come after the `first`."""

    bans: list[BanEntry] | Iterator[BanEntry]
    more: NotRequired[int]


class PastBanEntry(BanFields):
    """One ban, in force or over. `ended` and `ended_by` are null as long as it is in force.

    `ended_by`: expired, manual, allowed, fleet, merged, crowded_out, or replaced by a ban by hand.
    """

    ended: float | None
    ended_by: str | None


class HistoryAnswer(TypedDict):
    """The bans, the last made first. Of one address: `times`, jail -> how often it banned the address."""

    bans: list[PastBanEntry]
    ip: NotRequired[str]
    times: NotRequired[dict[str, int]]


class MatchedExpression(TypedDict):
    """A failregex of the jail's filter, counted from 1, and how many of the lines match it."""

    number: int
    expression: str
    lines: int


class JailStanding(TypedDict):
    """How an address stands with one jail.

    `never` is why the jail never bans it, and `refused` why a ban that is due was not made. `filter` is the jail's, and
    `lines` are those of the failures that count now. `expressions` are those of the filter that the lines match, of
    the ban or of these failures, and `failed_at` is when these failures were, as far as that is known.
    """

    jail: str
    never: str | None
    expressions: list[MatchedExpression]
    failed_at: list[float]
    failures: int
    maxretry: int
    findtime: float
    times: int
    ban: BanEntry | None
    refused: str | None
    filter: str
    lines: list[str]


class ExplainAnswer(TypedDict):
    """`within`: the banned networks that hold the address and are wider than it, and `networks` their bans.

    `history` are bans of the address that are over, and those of networks that hold it, the last made first.
    """

    ip: str
    within: list[str]
    networks: list[BanEntry]
    jails: list[JailStanding]
    history: list[PastBanEntry]


class RecentAddress(TypedDict):
    """An address that failed lately. `jail` and `site` are those of its last failure."""

    ip: str
    failures: int
    jail: str
    site: str
    banned: bool
    dropped: int | None


class RecentDecision(TypedDict):
    """A ban or an unban; `what` is "banned", "would be banned" or "unbanned"."""

    at: float
    what: str
    ip: str
    jail: str
    why: str
    site: str


class TopAnswer(TypedDict):
    """What happens just now. `failures` and `dropped` (packets) are counted since the start, for rates.

    `sites` and `addresses` are those with the most failures within ten minutes, as far as the last 2,000 tell, and
    `decisions` the last ones, the newest first.
    """

    version: str
    started: float
    now: float
    health: HealthAnswer
    bans: int
    failures: int
    dropped: int
    jails: list[dict[str, Any]]
    sites: list[dict[str, Any]]
    addresses: list[RecentAddress]
    decisions: list[RecentDecision]


class BanAnswer(TypedDict):
    banned: list[BanEntry]


class UnbannedEntry(TypedDict):
    ip: str
    jail: str


class UnbanAnswer(TypedDict):
    """`fleet`: how many such bans the fleet knew; only where the request was for the fleet."""

    unbanned: list[UnbannedEntry]
    fleet: NotRequired[int]


class AllowedEntry(TypedDict):
    """An address or network that a person allowed, with the comment that was given."""

    ip: str
    at: float
    until: float | None
    comment: str


class AllowAnswer(TypedDict):
    """`unbanned`: the bans that ended because of it. `alone`: this host is in a fleet, and no other host was told."""

    allowed: list[AllowedEntry]
    unbanned: list[UnbannedEntry]
    alone: bool


class DisallowAnswer(TypedDict):
    """The addresses and networks that are allowed no more."""

    disallowed: list[str]


class AllowedAnswer(TypedDict):
    """A list as it is received; an iterator as it is sent."""

    allowed: list[AllowedEntry] | Iterator[AllowedEntry]


@dataclass(frozen=True, slots=True)
class HealthRequest(ControlRequest[HealthAnswer]):
    command = "health"


@dataclass(frozen=True, slots=True)
class StatusRequest(ControlRequest[StatusAnswer]):
    command = "status"


@dataclass(frozen=True, slots=True)
class TopRequest(ControlRequest[TopAnswer]):
    command = "top"


@dataclass(frozen=True, slots=True)
class ReloadRequest(ControlRequest[ReloadAnswer]):
    command = "reload"


class BanOrder(enum.StrEnum):
    """Which bans come first."""

    ENDS = "ends"
    NEWEST = "newest"
    FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class BansRequest(ControlRequest[BansAnswer]):
    """The bans: those that end first, the newest, or those with the most failures come first.

    `evidence`: with the lines that led to each ban. `fleet`: all bans that the fleet knows, in force here or not. The
    others choose some of them: the jail's name, a glob for the name of the container or file, bans made since a
    unix time, dry runs, and those with a text in address, jail, container or reason. `first`: how many; 0: all.
    """

    command = "bans"
    evidence: bool = True
    fleet: bool = False
    jail: str = ""
    site: str = ""
    since: float = 0.0
    observed: bool = False
    search: str = ""
    first: int = 0
    order: BanOrder = BanOrder.ENDS

    def as_json(self) -> dict[str, Any]:
        chosen: dict[str, Any] = {
            "fleet": self.fleet, "jail": self.jail, "site": self.site, "since": self.since, "observed": self.observed,
            "search": self.search, "first": self.first,
            "order": "" if self.order is BanOrder.ENDS else self.order.value,
        }  # fmt: skip
        given = {key: value for key, value in chosen.items() if value}
        return {"do": self.command, "evidence": self.evidence, **given}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        first = fields.get("first", 0)
        if isinstance(first, bool) or not isinstance(first, int) or first < 0:
            raise Refused(f"first has to be a number of bans, not {first}")
        order = str(fields.get("order") or BanOrder.ENDS)
        if order not in [*BanOrder]:
            raise Refused(f"order has to be one of {', '.join(BanOrder)}, not {order}")
        return cls(
            bool(fields.get("evidence", True)),
            bool(fields.get("fleet")),
            str(fields.get("jail", "")),
            str(fields.get("site", "")),
            _number(fields, "since", 0.0),
            bool(fields.get("observed")),
            str(fields.get("search", "")),
            first,
            BanOrder(order),
        )


@dataclass(frozen=True, slots=True)
class HistoryRequest(ControlRequest[HistoryAnswer]):
    """Bans in force and over, made since a unix time. `address` None: of every address; "" is any jail or site.

    `address` is text as a person wrote it, here and below.
    """

    command = "history"
    address: str | None = None
    since: float = 0.0
    jail: str = ""
    site: str = ""
    limit: int = HISTORY_LIMIT

    def as_json(self) -> dict[str, Any]:
        given: dict[str, Any] = {"since": self.since, "jail": self.jail, "site": self.site}
        chosen = {key: value for key, value in given.items() if value}
        if self.limit != HISTORY_LIMIT:
            chosen["limit"] = self.limit
        return {"do": self.command, ADDRESS: self.address, **chosen}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        address = fields.get(ADDRESS)
        return cls(
            None if address is None else str(address),
            _number(fields, "since", 0.0),
            str(fields.get("jail", "")),
            str(fields.get("site", "")),
            max(0, int(min(_number(fields, "limit", HISTORY_LIMIT), MAX_HISTORY_LIMIT))),
        )


@dataclass(frozen=True, slots=True)
class ExplainRequest(ControlRequest[ExplainAnswer]):
    command = "explain"
    address: str

    def as_json(self) -> dict[str, Any]:
        return {"do": self.command, ADDRESS: self.address}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(str(fields.get(ADDRESS)))


@dataclass(frozen=True, slots=True)
class BanRequest(ControlRequest[BanAnswer]):
    """`jail` "" is the jail of bans by hand. `bantime`: seconds; None: the jail's own; `math.inf`: permanently."""

    command = "ban"
    address: str
    jail: str = ""
    bantime: float | None = None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        # JSON has no infinity.
        bantime = -1 if self.bantime == math.inf else self.bantime
        return {
            "do": self.command,
            ADDRESS: self.address,
            "jail": self.jail,
            "for": bantime,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(
            str(fields.get(ADDRESS)),
            str(fields.get("jail") or ""),
            lasting(fields.get("for"), "a ban lasts"),
            str(fields.get("reason") or ""),
        )


@dataclass(frozen=True, slots=True)
class UnbanRequest(ControlRequest[UnbanAnswer]):
    """`address` None is every address, and `jail` "" every jail. `fleet`: on all nodes, banned here or not.

    `web`: a person asked for it on the status page.
    """

    command = "unban"
    address: str | None
    jail: str = ""
    fleet: bool = False
    web: bool = False

    def as_json(self) -> dict[str, Any]:
        asked = {"do": self.command, ADDRESS: self.address, "jail": self.jail}
        flags = {"fleet": self.fleet, "web": self.web}
        return asked | {name: True for name, is_set in flags.items() if is_set}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        address = fields.get(ADDRESS)
        return cls(
            None if address is None else str(address),
            str(fields.get("jail") or ""),
            bool(fields.get("fleet")),
            bool(fields.get("web")),
        )


@dataclass(frozen=True, slots=True)
class AllowRequest(ControlRequest[AllowAnswer]):
    """`lasting` is seconds; None and `math.inf`: for good."""

    command = "allow"
    address: str
    lasting: float | None = None
    comment: str = ""

    def as_json(self) -> dict[str, Any]:
        # JSON has no infinity.
        lasting = None if self.lasting == math.inf else self.lasting
        return {"do": self.command, ADDRESS: self.address, "for": lasting, "comment": self.comment}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(
            str(fields.get(ADDRESS)),
            lasting(fields.get("for"), "what is allowed is"),
            str(fields.get("comment") or ""),
        )


@dataclass(frozen=True, slots=True)
class DisallowRequest(ControlRequest[DisallowAnswer]):
    """`address` None is everything that was allowed."""

    command = "disallow"
    address: str | None

    def as_json(self) -> dict[str, Any]:
        return {"do": self.command, ADDRESS: self.address}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        address = fields.get(ADDRESS)
        return cls(None if address is None else str(address))


@dataclass(frozen=True, slots=True)
class AllowedRequest(ControlRequest[AllowedAnswer]):
    command = "allowed"


def _number(fields: Mapping[str, Any], name: str, default: float) -> float:
    """Return the number of this name. Raises Refused."""
    number = fields.get(name, default)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number != number:  # noqa: PLR0124 - NaN
        raise Refused(f"{name} has to be a number, not {number}")
    return number


def lasting(seconds: object, subject: str) -> float | None:
    """Return seconds (-1: permanently, `math.inf`), or None where nothing is said. `subject` begins a refusal."""
    if seconds is None:
        return None
    # True and False are numbers in Python. The comparison also refuses NaN, which is no time either.
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        if seconds in (-1, math.inf):
            return math.inf
        if seconds >= MIN_BANTIME_S:
            return float(min(seconds, sys.float_info.max))
    raise Refused(f"{subject} for a number of seconds, {MIN_BANTIME_S:g} or more, or -1 for good")
