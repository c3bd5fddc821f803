"""The values that pass from stage to stage: Batch -> Hit -> Ban | Unban.

Who knows these four knows the program. All times are unix seconds, UTC.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import NamedTuple, NewType, TypeAlias, TypeVar, dataclass_transform

from sidecar.core.containers import Container

T = TypeVar("T")
YEAR_10000 = 253_402_300_800.0  # where calendars end; a ban until then is shown as one for good
Address = NewType("Address", str)
"""Whom a ban is for, as canonical network text: `203.0.113.7`, `2001:db8:1:2::/64`, `198.51.100.0/24`.

Text, not `ipaddress` objects: it hashes 30 times faster, weighs a third, and is what nft is given. Only
`core.who` makes it, so nothing else that an attacker wrote can stand where a Who stands.
"""


class Framing(enum.Enum):
    """How a line carries its own time and text."""

    NONE = "none"  # no transport stamp: the time, if any, is inside the line
    DOCKER = "docker"  # `2026-11-22T08:40:04.123456789Z text`, as `docker logs -t`
    CRI = "cri"  # `2026-11-22T08:40:04.123456789Z stdout F text`
    SYSLOG = "syslog"  # RFC 3164 or 5424 header, with or without <PRI>


@dataclass(frozen=True, slots=True)
class Origin:
    """One stream of one log, and which jails look at it."""

    source: str  # "docker", "file", "stdin": which kind of source reads it
    name: str  # what its owner calls it: a container's name, a path
    stream: str = ""  # "stdout" or "stderr" where the two are told apart
    jails: tuple[str, ...] = ()  # names, in the order of the jails file


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole lines, each ended by a newline, as they came from one origin."""

    origin: Origin
    data: bytes
    framing: Framing


class Hit(NamedTuple):
    """A line that counts against someone in a jail; the line is the evidence.

    A named tuple, for a flood makes many: it takes 0.25 microseconds, a frozen dataclass 0.8.
    """

    jail: str
    address: Address
    at: float
    origin: Origin
    line: str
    target: str = ""  # what was aimed at, where the filter says (<F-TARGET>): only distinct ones count
    success: bool = False  # a login that worked (successregex): what counted against them is forgotten


@dataclass_transform(frozen_default=True)
def _value(cls: type[T]) -> type[T]:
    """A frozen dataclass in the eyes of mypy.

    To be one at run time takes 0.9 of the 1.2 microseconds in which a ban is made, and a start makes 100,000.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@_value
class Ban:
    """Keep them out until then (`math.inf`: for good)."""

    jail: str
    address: Address
    at: float  # the log's time of the last failure, or when a person asked
    until: float
    cause: str  # "failures", "manual", "group" (of banned neighbours), "fleet" (another node's) or "adopted"
    failures: int = 0
    site: str = ""  # the origin's name of the last failure
    evidence: tuple[str, ...] = ()  # the lines that counted, oldest first
    reason: str = ""  # what the person who asked said
    times: int = 1  # the how-manieth ban of this one, as far as is remembered
    observed: bool = False  # decided and told, but nobody is kept out
    decided: float = field(default=0.0, compare=False)  # our own time; `at` is the log's

    @property
    def for_good(self) -> bool:
        return self.until == math.inf


@dataclass(frozen=True, slots=True)
class Unban:
    """Let them in again."""

    jail: str
    address: Address
    at: float
    cause: str  # "expired", "manual", "allowed" or "fleet"


Decision: TypeAlias = Ban | Unban


@dataclass(frozen=True, slots=True)
class Bypass:
    """Someone who is banned, and was logged all the same: their packets come another way."""

    jail: str
    address: Address
    at: float  # of the line
    site: str  # the origin's name, where the failures were that led to the ban


@dataclass(frozen=True, slots=True)
class Forgiven:
    """What someone had failed up to then counts no more."""

    jail: str
    address: Address
    at: float


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a log was read. `state` is the source's own; the store only keeps it."""

    key: str  # "docker:<container id>", "file:<path>"
    state: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """What a source's thread puts before the loop: the hits of one batch, and how far it has now read."""

    origin: Origin
    hits: tuple[Hit, ...] = ()
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """What the container engine says about this host; it changes as containers come and go."""

    networks: tuple[str, ...] = ()  # subnets and gateways of all container networks
    containers: tuple[Container, ...] = ()  # those that are watched

    @property
    def published(self) -> frozenset[int]:
        """The host's ports that lead to watched containers."""
        return frozenset(port for container in self.containers for port in container.published)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the loop: what came in together, and what was decided about it."""

    at: float
    decisions: tuple[Decision, ...] = ()
    hits: tuple[Hit, ...] = ()  # those that count
    cursors: tuple[Cursor, ...] = ()
    ignored: tuple[Hit, ...] = ()  # those of the spared and of the banned: nobody has to remember them
    bypasses: tuple[Bypass, ...] = ()
    forgiven: tuple[Forgiven, ...] = ()
