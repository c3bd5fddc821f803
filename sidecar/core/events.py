"""The values that pass from stage to stage: Batch -> Hit -> Ban | Unban.

Sources put lines into a `Batch`, filters make a `Hit` of each line that counts, the guard decides on a `Ban` or an
`Unban`, and one `Turn` of the loop takes what was decided together to the sinks. All times are unix seconds, UTC.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, Self, TypeAlias, TypeVar, dataclass_transform

from sidecar.core.address import Address
from sidecar.core.allowed import Allow, AllowChange
from sidecar.core.ban_history import PastBans
from sidecar.core.containers import Container
from sidecar.core.refused_bans import RefusedBan
from sidecar.core.watched import Watched

T = TypeVar("T")

# `datetime` ends here. A ban that ends later is shown as permanent.
YEAR_10000: Final = 253_402_300_800.0


class Framing(enum.Enum):
    """How a line carries its own time and text."""

    # No stamp of the transport's: the time, if there is one, is part of the text.
    NONE = "none"
    # `2026-11-22T08:40:04.123456789Z text`, as `docker logs --timestamps` prints.
    DOCKER = "docker"
    # `2026-11-22T08:40:04.123456789Z stdout F text`, Kubernetes' container runtime interface.
    CRI = "cri"
    # The header of RFC 3164 or RFC 5424, with or without `<PRI>`.
    SYSLOG = "syslog"


class Written(enum.Enum):
    """When the lines of a batch were written, as far as the source knows."""

    # Right before they were read, at the end of the log.
    JUST_NOW = enum.auto()
    # Since the log is followed, in this run or the one before.
    LATELY = enum.auto()
    # Before the log was followed: nobody knows when.
    EARLIER = enum.auto()


class BanCause(enum.StrEnum):
    """Why a ban was made. The values are stored, shown as JSON and used as metric labels."""

    # Too many failures in a log.
    FAILURES = "failures"
    # A person asked for it.
    MANUAL = "manual"
    # Too many addresses of one network failed, or are banned.
    GROUP = "group"
    # Another node of the fleet made it.
    FLEET = "fleet"
    # It was found in the kernel at a start, and no store knew it.
    ADOPTED = "adopted"


# Bans that this host decides in this run. All others were reported where, or when, they were decided.
DECIDED_HERE: Final = frozenset({BanCause.FAILURES, BanCause.MANUAL, BanCause.GROUP})


class UnbanCause(enum.StrEnum):
    """Why a ban ended. The values are stored, shown as JSON and used as metric labels."""

    # Its time was over.
    EXPIRED = "expired"
    # A person asked for it.
    MANUAL = "manual"
    # A person asked for it on the status page.
    WEB = "web"
    # The address is on the allowlist now.
    ALLOWED = "allowed"
    # Another node of the fleet lifted it.
    FLEET = "fleet"
    # The network that it is in is banned instead, because there are too many bans.
    MERGED = "merged"
    # There are too many bans, and this one would have ended first.
    CROWDED_OUT = "crowded_out"


# Unbans that a person asked for on this host.
BY_HAND: Final = frozenset({UnbanCause.MANUAL, UnbanCause.WEB})


class IgnoredReason(enum.StrEnum):
    """Why the guard does not count a hit, beside the reasons of the allowlist. The values are metric labels."""

    JAIL_REMOVED = "jail is gone"
    BEFORE_START = "before the start, without a store"
    ALREADY_BANNED = "banned already"
    REPEATED_TARGET = "the same target again"
    BAN_EXPIRED = "over already"
    BEHIND_PROXY = "the client is behind a proxy"
    COUNTED_ALREADY = "counted in the log of a front end or site"


@dataclass(frozen=True, slots=True)
class Origin:
    """One stream of one log, and the jails that look at it.

    `source` is the kind of source that reads it: "docker", "file", "syslog", "stdin". `name` is a container's name or a
    path. `stream` is "stdout" or "stderr" where the two are separate. `jails` are names in the order of the jails file.
    """

    source: str
    name: str
    stream: str = ""
    jails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole lines, each ended by a newline, as they came from one origin.

    `written` matters for lines without a time of their own.
    """

    origin: Origin
    data: bytes
    framing: Framing
    written: Written = Written.LATELY


# A named tuple, because a flood makes many: one takes 0.25 microseconds, and a frozen dataclass 0.8.
class Hit(NamedTuple):
    """A line that counts against an address in a jail, or (`success`) that clears what counted.

    `at` is the line's own time. `target` is what the line aimed at, where the filter says so (`<F-TARGET>`): only
    distinct targets count. `peer` is the address that connected, where that is known not to be the client: then the
    client's packets are a proxy's, and a ban could not drop them.
    """

    jail: str
    address: Address
    at: float
    origin: Origin
    line: str
    target: str = ""
    success: bool = False
    peer: str = ""


@dataclass_transform(frozen_default=True)
def _value(cls: type[T]) -> type[T]:
    """Make a dataclass that mypy takes for frozen.

    To be frozen at run time would take 0.9 of the 1.2 microseconds in which a ban is made, and a start makes 100,000.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@_value
class Ban:
    """The address is banned in this jail until then (`math.inf`: permanently).

    `at` is the log's time of the last failure, or when a person asked; `decided_at` is this host's time of the
    decision.
    `origin_name` is the container or file of the last failure, and for another node's ban that node. `evidence` are the
    lines that counted, the oldest first. `reason` is what the person who asked gave. `ban_count` says how many bans of
    this address in this jail there were, this one included, as far as they are remembered. A `dry_run` ban is
    published like any other, but not enforced.
    """

    jail: str
    address: Address
    at: float
    until: float
    cause: BanCause
    failures: int = 0
    origin_name: str = ""
    evidence: tuple[str, ...] = ()
    reason: str = ""
    ban_count: int = 1
    dry_run: bool = False
    decided_at: float = field(default=0.0, compare=False)

    @property
    def is_permanent(self) -> bool:
        return self.until == math.inf

    def without_evidence(self) -> Ban:
        # By hand: `replace` takes five times as long, and a botnet is banned in one turn.
        return Ban(
            self.jail, self.address, self.at, self.until, self.cause, self.failures, self.origin_name, (),
            self.reason, self.ban_count, self.dry_run, self.decided_at,
        )  # fmt: skip

    def shifted(self, by_s: float) -> Ban:
        """Return the same ban by a clock that was set."""
        # By hand, for the same reason.
        return Ban(
            self.jail, self.address, self.at + by_s, self.until + by_s, self.cause, self.failures, self.origin_name,
            self.evidence, self.reason, self.ban_count, self.dry_run, self.decided_at + by_s,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unban:
    """The address is not banned in this jail any more."""

    jail: str
    address: Address
    at: float
    cause: UnbanCause


Decision: TypeAlias = Ban | Unban


@dataclass(frozen=True, slots=True)
class Bypass:
    """A banned address was logged all the same, so its packets arrive another way.

    `at` is the line's time. `origin_name` is the container or file that logged it, which the ban was for.
    """

    jail: str
    address: Address
    at: float
    origin_name: str


@dataclass(frozen=True, slots=True)
class Forgiven:
    """The failures of this address up to then count no more."""

    jail: str
    address: Address
    at: float


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a log was read.

    `key` is "docker:<container id>" or "file:<path>". `state` is the source's own; the store only keeps it.
    """

    key: str
    state: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """What a source's thread sends to the loop: the hits of one batch, and how far it has read by now."""

    origin: Origin
    hits: tuple[Hit, ...] = ()
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """What the container engine says about this host; it changes as containers come and go.

    `networks` are subnets and gateways of all container networks, `containers` those that are watched. `front_ends` are
    the names of those that are watched only because they publish ports and share a network with a site. `unwatched`
    are the names of WordPress containers that are not watched, although nobody excluded them, and `excluded` of those
    that only a label keeps from being watched. `shared` are the names of front ends of several sites, watched or not.
    """

    networks: tuple[str, ...] = ()
    containers: tuple[Container, ...] = ()
    front_ends: frozenset[str] = frozenset()
    unwatched: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()

    @classmethod
    def of(cls, networks: tuple[str, ...], watched: Watched) -> Self:
        """Return the topology with these networks and watched containers."""
        names = frozenset(each.name for each in watched.containers if each.id in watched.front_ends)
        return cls(networks, watched.containers, names, watched.unwatched, watched.excluded, watched.shared)

    @property
    def published(self) -> frozenset[int]:
        """The host's ports that lead to watched containers, or to what stands in front of them."""
        leading = (each for container in self.containers for each in (container, *container.front_ends))
        return frozenset(port for each in leading for port in each.published)


class InForce(Protocol):
    """What the guard has in memory after a turn. A sink may ask while it applies the turn, and must not keep it."""

    @property
    def bans(self) -> tuple[Ban, ...]:
        """The bans in force, without their evidence."""

    @property
    def history(self) -> tuple[PastBans, ...]:
        """The bans that are over, as far as they still count."""

    @property
    def allowed(self) -> tuple[Allow, ...]:
        """What people put on the allowlist."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the loop: what came in together, and what was decided about it.

    `hits` are those that count, and have to be remembered. `ignored` are those that do not. `enforced_bans` are the
    bans in force after the decisions, counted by jail and IP version; empty where nothing was decided. `in_force` is
    for a store that has to write everything again; None where a turn does not come from the loop. `refused` are bans
    that were due and had no witness. `allow_changes` are what people put on the allowlist, and what ended of it.
    """

    at: float
    decisions: tuple[Decision, ...] = ()
    hits: tuple[Hit, ...] = ()
    cursors: tuple[Cursor, ...] = ()
    ignored: tuple[Hit, ...] = ()
    bypasses: tuple[Bypass, ...] = ()
    forgiven: tuple[Forgiven, ...] = ()
    enforced_bans: Mapping[tuple[str, int], int] = field(default_factory=dict, compare=False)
    in_force: InForce | None = field(default=None, compare=False, repr=False)
    refused: tuple[RefusedBan, ...] = ()
    allow_changes: tuple[AllowChange, ...] = ()
