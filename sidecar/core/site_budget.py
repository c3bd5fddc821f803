"""How much of the ban budget one log may use while others need it.

An attacker in a site writes its log, and can have every recent visitor of the host banned. Without a limit that
would use up the ban budget, so that attackers of the other sites would not be banned any more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from sidecar.core.rate import Rate

# The part of the ban budget that one log may use, from 0 to 1.
SHARE: Final = 0.5
# An exceeded limit recovers below this part of it. Without a margin it would change with each ban at its edge.
RECOVERY: Final = 0.5
# From this many logs on, those without a recent ban are forgotten.
MAX_IDLE_SITES: Final = 1_024


@dataclass(slots=True)
class _Site:
    """The bans that followed from one log, also those that were not enforced."""

    bans: Rate
    exceeded: bool = False


class SiteBudgets:
    """Owned by one thread."""

    def __init__(self, bans_per_period: float, period_s: float) -> None:
        """At most `bans_per_period` within `period_s` seconds from one log (`math.inf`: any number)."""
        self.bans_per_period = bans_per_period
        self.period_s = period_s
        self._sites: dict[str, _Site] = {}

    def allows(self, name: str, now: float) -> bool:
        """Return whether one more ban from this log may be enforced. It counts as made either way."""
        if self.bans_per_period == math.inf:
            return True
        if (site := self._sites.get(name)) is None:
            self._forget(now)
            site = self._sites[name] = _Site(Rate(self.period_s))
        site.bans.add(now)
        return not self._is_exceeded(name, site, now)

    def is_exceeded(self, name: str, now: float) -> bool:
        """Return whether this log uses more than its part now."""
        site = self._sites.get(name)
        return site is not None and self._is_exceeded(name, site, now)

    def exceeded(self, now: float) -> tuple[str, ...]:
        """Return the names of the logs that use more than their part now."""
        return tuple(name for name, site in self._sites.items() if self._is_exceeded(name, site, now))

    def _is_exceeded(self, name: str, site: _Site, now: float) -> bool:
        most = self.bans_per_period * (RECOVERY if site.exceeded else 1.0)
        # A log that is alone takes nothing from anyone.
        site.exceeded = site.bans.count(now) > most and self._others_ban(name, now)
        return site.exceeded

    def _others_ban(self, name: str, now: float) -> bool:
        return any(other != name and site.bans.count(now) > 0 for other, site in self._sites.items())

    def _forget(self, now: float) -> None:
        if len(self._sites) >= MAX_IDLE_SITES:
            self._sites = {name: site for name, site in self._sites.items() if site.bans.count(now) > 0}
