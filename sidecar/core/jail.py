"""What a jail is: which lines count, how many are too many, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sidecar.core.escalation import Escalation

WEB = frozenset({80, 443})


@dataclass(frozen=True, slots=True)
class Jail:
    """One jail, as read from the jails file; every number is already a number."""

    name: str
    filter: str = ""  # as written: a name, a path, `name[option=value]`; "" is the jail's own name
    maxretry: int = 5
    findtime: float = 10_800.0  # seconds
    bantime: float = 86_400.0  # seconds; `math.inf`: for good
    ports: frozenset[int] | None = WEB  # None: all ports
    logpath: tuple[str, ...] = ()
    absent: bool = False  # no logpath was there at the start: it looks at the discovered too
    containers: tuple[str, ...] = ()  # label selectors or name globs
    ignoreip: tuple[str, ...] = ()  # networks, canonical
    ignore_names: tuple[str, ...] = ()  # host names; what they stand for is looked up while we run
    window: Literal["sliding", "fail2ban"] = "sliding"
    observe: bool = False  # decides and tells, and keeps nobody out
    escalation: Escalation | None = None  # bantime.increment
    bangroup: int = 0  # this many banned hosts of an IPv4 /24 are a ban of all of it; 0: never
    resets: bool = False  # a login that works makes its failures forgotten
