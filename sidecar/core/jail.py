"""What a jail is: which lines count, how many are too many, and for how long an address is banned."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Final

from sidecar.core.actions import Action
from sidecar.core.bantime_increment import Escalation

WEB_PORTS: Final = frozenset({80, 443})
# Between the names of a jail and of a site, in the name of the jail as it is for that site. No jail of a file has it.
SITE_MARK: Final = "@"


class Success(enum.StrEnum):
    """Which logins clear the failures before them (`success`)."""

    # None.
    IGNORE = "ignore"
    # A proof of login that a jail on requests finds: a page that the server gives to logged-in users only.
    PROOF = "proof"
    # Such a proof, and what this jail's own filter takes for a login.
    RESET = "reset"


class Scope(enum.StrEnum):
    """For what a ban holds that a site's log leads to (`scope`)."""

    # For the ports of the jail, and those that all watched containers publish.
    HOST = "host"
    # For the site's own ports. Failures at one site do not count at another.
    SITE = "site"


@dataclass(frozen=True, slots=True)
class Jail:
    """One jail, as read from the jails file.

    `filter` is a name, a path, or `name[option=value]`; "" is the jail's own name. `findtime` and `bantime` are
    seconds, and `math.inf` is a permanent ban. `ports` is None for all ports. `published` says that
    the ports that watched containers publish are closed too. `absent` says that no file of `logpath`
    was there at the start, so that the jail looks at the discovered containers too. `containers` are label selectors or
    name globs. `ignoreip` are canonical networks, and `ignore_names` host names that are resolved while we run.
    `window` is how failures are counted, a word of `core.windows.WINDOWS`. `observe` makes every ban a
    dry run. `escalation` is `bantime.increment`. `bangroup` is how many banned hosts of an
    IPv4 /24 are a ban of all of it, and 0 is never. `aggregate` says that a network is banned if too many of its
    addresses fail (`network_failures.py`). `success` is what a login does to the failures before it.
    `log_zone` is the time zone of dates that name none (`logtimezone`), and None is the one of this host.
    `log_format` is how access logs are written, in the words of a web server's configuration (`logformat`), and "" has
    that detected. `witness` says that only an address that sent packets to this host is banned.
    `reads_requests` says that the filter matches requests of access logs (`input = requests`), and no other lines.
    `actions` are what people are notified by (`action`). `scope` is for what a ban holds; a jail with the scope of a
    site is, for each site, a jail of its own, with `site` as the site's name (`sites.py`).
    """

    name: str
    filter: str = ""
    maxretry: int = 5
    findtime: float = 10_800.0
    bantime: float = 86_400.0
    ports: frozenset[int] | None = WEB_PORTS
    logpath: tuple[str, ...] = ()
    absent: bool = False
    containers: tuple[str, ...] = ()
    ignoreip: tuple[str, ...] = ()
    ignore_names: tuple[str, ...] = ()
    window: str = "sliding"
    observe: bool = False
    escalation: Escalation | None = None
    bangroup: int = 0
    aggregate: bool = True
    success: Success = Success.IGNORE
    log_zone: tzinfo | None = None
    log_format: str = ""
    witness: bool = True
    reads_requests: bool = False
    published: bool = True
    actions: tuple[Action, ...] = field(default=(), repr=False)
    scope: Scope = Scope.HOST
    site: str = ""

    @property
    def longest_bantime(self) -> float:
        """Seconds that no ban of this jail exceeds."""
        if self.escalation is None:
            return self.bantime
        return max(self.bantime, self.escalation.maxtime + self.escalation.rndtime)

    @property
    def counts_bans_of_all_jails(self) -> bool:
        """Whether bans in other jails make the next ban of this jail longer (`bantime.overalljails`)."""
        return self.escalation is not None and self.escalation.overalljails

    def for_site(self, site: str, ports: frozenset[int]) -> Jail:
        """Return the jail as it is for a site to which these ports lead."""
        return replace(
            self, name=f"{self.name}{SITE_MARK}{site}", filter=self.filter or self.name, site=site, ports=ports,
            published=False,
        )  # fmt: skip

    def bantime_after(self, previous_bans: int, chance: float) -> float:
        """Return the seconds that the next ban lasts after this many. `chance` is from 0 to 1."""
        return (
            self.escalation.bantime(self.bantime, previous_bans, chance) if self.escalation else self.bantime
        )


def site_of_jail(name: str) -> str:
    """Return the site in the name of a jail; "": it is a jail of the whole host."""
    return name.partition(SITE_MARK)[2]


def configured_name(name: str) -> str:
    """Return the name of the jail without the site in it: the one of the settings."""
    return name.partition(SITE_MARK)[0]


def is_asked_for(name: str, asked: str) -> bool:
    """Return whether who asks for a jail means this one: "" is every jail, and a name is also the jail at each site."""
    return asked in ("", name, configured_name(name))


# Where a ban by hand goes that names no jail.
MANUAL_JAIL: Final = Jail("manual")
