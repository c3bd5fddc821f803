"""How many bans are enforced before they look like our own mistake.

A forged header, or a filter that takes visitors for attackers, could ban everyone. Bans beyond the budget are dry runs:
they are published but not enforced. Once fewer are asked for, new bans are enforced again. Bans in force stay.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from sidecar.core.address import Address
from sidecar.core.rate import Rate
from sidecar.core.site_budget import RECOVERY, SHARE, SiteBudgets

# A storm of 10,000 addresses passes at once, and a botnet of 100,000 within four minutes.
BANS_PER_PERIOD: Final = 30_000
PERIOD_S: Final = 60.0
# A client counts as recently seen for this long at least, and for twice as long at most.
CLIENTS_PERIOD_S: Final = 600.0
# Among fewer clients a share means nothing: of three visitors one is a third.
MIN_CLIENTS: Final = 50
# Clients remembered for the share, as many as a window tracks.
MAX_CLIENTS: Final = 1_000_000


class EnforcementBudget(Protocol):
    """Decides whether one more ban is enforced or a dry run."""

    def allows(self, now: float, site: str = "") -> bool:
        """Return whether a ban that is about to be made may be enforced. It counts as made either way.

        `site` is the name of the log that it follows from.
        """

    def allows_again(self, now: float, site: str = "") -> bool:
        """Return whether an existing dry-run ban may be enforced now. A no counts for nothing."""


class NoBudget:
    """The budget of a guard that enforces any number of bans."""

    def allows(self, _now: float, _site: str = "") -> bool:
        return True

    allows_again = allows


NO_BUDGET: Final[EnforcementBudget] = NoBudget()


class BanBudget:
    """Limits bans per time, in all and from one log, and bans as a share of the clients seen. Owned by one thread.

    `exceeded` is as of the last call. `dry_runs` counts the bans that were not to be enforced, since the start.
    """

    def __init__(
        self,
        bans_per_period: float = BANS_PER_PERIOD,
        period_s: float = PERIOD_S,
        max_share: float = math.inf,
        site_share: float = SHARE,
    ) -> None:
        """At most `bans_per_period` (`math.inf`: any number), and at most this share (0 to 1) of the clients.

        `site_share` is the part of `bans_per_period` that one log may use while others need some.
        """
        self.exceeded = False
        self.dry_runs = 0
        self._clients = _RecentClients()
        self.reconfigure(bans_per_period, period_s, max_share, site_share)

    def reconfigure(
        self, bans_per_period: float, period_s: float, max_share: float, site_share: float = SHARE
    ) -> None:
        """Apply these limits from now on. Bans made before count for the share alone."""
        self.bans_per_period, self.max_share = bans_per_period, max_share
        self.sites = SiteBudgets(bans_per_period * site_share, period_s)
        self._bans = Rate(period_s)

    @property
    def period_s(self) -> float:
        return self._bans.period_s

    def client_failed(self, address: Address, now: float) -> None:
        """Count a client, for the share."""
        self._clients.add(address, now)

    def allows(self, now: float, site: str = "") -> bool:
        """Return whether a ban that is about to be made may be enforced; False: only as a dry run."""
        # What one log may not have made is not taken from the others.
        if not self.sites.allows(site, now):
            self.dry_runs += 1
            return False
        self._clients.count_ban(now)
        self._update(self._bans.add(now))
        self.dry_runs += self.exceeded
        return not self.exceeded

    def allows_again(self, now: float, site: str = "") -> bool:
        """Return whether an existing dry-run ban may be enforced now. Asked at each hit, so a no does not count."""
        return not (self.is_exceeded(now) or self.sites.is_exceeded(site, now)) and self.allows(now, site)

    def is_exceeded(self, now: float) -> bool:
        """Return whether it is exceeded now. While no ban is made, only this call finds that it has recovered."""
        self._clients.forget(now)
        self._update(self._bans.count(now))
        return self.exceeded

    def _update(self, bans: float) -> None:
        part = RECOVERY if self.exceeded else 1.0
        self.exceeded = (
            bans > self.bans_per_period * part or self._clients.banned_share > self.max_share * part
        )


class _RecentClients:
    """Distinct clients, and bans, of this period and the one before."""

    def __init__(self) -> None:
        self._before: set[Address] = set()
        self._now: set[Address] = set()
        # Clients of `_now` that are not in `_before`.
        self._new = 0
        # Bans in this period, and in the one before.
        self._bans = (0, 0)
        self._period_ends = -math.inf

    @property
    def banned_share(self) -> float:
        """The share of the clients that were banned; 0 while they are too few to say."""
        clients = len(self._before) + self._new
        return sum(self._bans) / clients if clients >= MIN_CLIENTS else 0.0

    def add(self, address: Address, now: float) -> None:
        self.forget(now)
        if address not in self._now and len(self._now) < MAX_CLIENTS:
            self._now.add(address)
            self._new += address not in self._before

    def count_ban(self, now: float) -> None:
        self.forget(now)
        self._bans = self._bans[0] + 1, self._bans[1]

    def forget(self, now: float) -> None:
        """Begin another period where it is time to, or where the clock was set back."""
        if now < self._period_ends <= now + 2 * CLIENTS_PERIOD_S:
            return
        recent = 0 <= now - self._period_ends < CLIENTS_PERIOD_S
        self._before, self._now = (self._now if recent else set()), set()
        self._bans = 0, (self._bans[0] if recent else 0)
        self._new, self._period_ends = 0, now + CLIENTS_PERIOD_S
