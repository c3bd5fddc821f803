"""One jail at work: its settings, the failures that count and the bans in force. It decides nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.core.active_bans import ActiveBans
from sidecar.core.effective_jail import EffectiveJail
from sidecar.core.evidence import Evidence
from sidecar.core.excuses import Excuses
from sidecar.core.failures import Failures
from sidecar.core.jail import Jail
from sidecar.core.network_failures import NetworkFailures
from sidecar.core.overrides import Overrides

NO_OVERRIDES: Final[Mapping[str, Overrides]] = {}


class JailState:
    """All that belongs to one jail.

    `effective` is the jail without any container's labels. `longest_findtime` is the longest that a failure counts at
    any container seen so far. `is_removed` says that the configuration does not name the jail any more: it counts
    nothing, and stays for as long as its bans.
    """

    def __init__(
        self,
        jail: Jail,
        evidence: Evidence,
        overrides: Mapping[str, Overrides] = NO_OVERRIDES,
        *,
        is_removed: bool = False,
    ) -> None:
        self.name = jail.name
        self.effective = EffectiveJail.of(jail)
        self.failures = Failures(jail, evidence)
        self.networks = NetworkFailures()
        self.excuses = Excuses()
        self.bans = ActiveBans(jail.bangroup)
        self.longest_findtime = jail.findtime
        self.is_removed = is_removed
        self._overrides = overrides
        # Origin's name -> the effective jail there, made when it is first asked for.
        self._effective_at: dict[str, EffectiveJail] = {}

    @property
    def jail(self) -> Jail:
        return self.effective.jail

    def effective_at(self, origin_name: str) -> EffectiveJail:
        """Return the jail as it is for this container or file."""
        if (effective := self._effective_at.get(origin_name)) is None:
            overrides = self._overrides.get(origin_name)
            effective = EffectiveJail.of(self.jail, overrides) if overrides else self.effective
            self._effective_at[origin_name] = effective
            self.longest_findtime = max(self.longest_findtime, effective.jail.findtime)
        return effective

    def set_overrides(self, overrides: Mapping[str, Overrides]) -> None:
        """Apply what containers' labels say now: container's name -> its overrides."""
        self._overrides = overrides
        self._effective_at.clear()

    def reconfigure(self, jail: Jail) -> None:
        """Apply another jail of this name. Failures go on counting, unless they are counted in another way now."""
        if self.is_removed or self.jail.window != jail.window:
            self.failures.restart(jail)
        self.effective, self.longest_findtime, self.is_removed = EffectiveJail.of(jail), jail.findtime, False
        self.bans.reconfigure(jail.bangroup)
        self._effective_at.clear()

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        for each in (self.failures.window, self.networks, self.excuses, self.bans):
            each.shift(by_s)

    def forget(self, now: float) -> None:
        """Forget failures and excuses that count nowhere any more."""
        self.failures.forget(now - self.longest_findtime)
        self.networks.forget(now - self.longest_findtime)
        self.excuses.forget(now - 2 * self.longest_findtime)
