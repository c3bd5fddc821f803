"""One jail at work: its rules, who is close to a ban, who is banned. The guard's; it decides nothing by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from sidecar.core.address import Address, ip_version, neighbourhood
from sidecar.core.allowlist import IGNOREIP, Allowlist
from sidecar.core.events import Ban, Bypass, Hit
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides
from sidecar.core.windows import Count, Rate, Targets, Window

GRACE = 10.0  # seconds after a ban in which answers that were under way may still be logged


class Rules(NamedTuple):
    """A jail as it is for one site: with what the container's labels say."""

    jail: Jail
    spared: Allowlist | None  # its own ignoreip, beside what is never banned anywhere

    @classmethod
    def of(cls, jail: Jail) -> Self:
        return cls(jail, Allowlist({IGNOREIP: jail.ignoreip}, ban_private=True) if jail.ignoreip else None)

    def spares(self, address: Address) -> str | None:
        """Why the jail lets this one be."""
        return self.spared.why(address) if self.spared else None


@dataclass(slots=True)
class JailState:
    """All that belongs to one jail."""

    rules: Rules
    window: Count
    findtime: float  # the longest that a failure may count, at any site
    gone: bool = False  # its jail left the configuration; it is here for as long as its bans
    bans: dict[Address, Ban] = field(
        default_factory=dict
    )  # without their evidence: 100,000 times ten lines are 200 MB
    active: dict[int, int] = field(
        default_factory=lambda: {4: 0, 6: 0}
    )  # IP version -> how many are kept out
    targets: Targets = field(default_factory=Targets)
    _neighbours: Counter[Address] = field(
        default_factory=Counter
    )  # banned hosts of each /24, where the jail asks
    _leaked: set[Address] = field(default_factory=set)  # told already
    _sites: dict[str, Rules] = field(default_factory=dict)  # site -> its rules, as they are asked for

    @classmethod
    def of(cls, jail: Jail, *, gone: bool = False) -> Self:
        return cls(Rules.of(jail), _window(jail), jail.findtime, gone)

    @property
    def jail(self) -> Jail:
        return self.rules.jail

    def become(self, jail: Jail) -> None:
        """The jail is another now. What counts goes on counting, unless it is counted in another way."""
        if self.gone or self.jail.window != jail.window:
            self.window, self.targets = _window(jail), Targets()
        self.rules, self.findtime, self.gone = Rules.of(jail), jail.findtime, False
        self._neighbours = Counter(filter(None, map(neighbourhood, self.bans)) if jail.bangroup else ())
        self._sites.clear()

    def rules_at(self, site: str, policies: Mapping[str, Overrides]) -> Rules:
        """The jail's rules as they are for this site."""
        if (known := self._sites.get(site)) is None:
            overrides = policies.get(site)
            known = self._sites[site] = Rules.of(overrides.over(self.jail)) if overrides else self.rules
            self.findtime = max(self.findtime, known.jail.findtime)
        return known

    def forget_rules(self) -> None:
        """What the labels say has changed."""
        self._sites.clear()

    def ban_of(self, address: Address) -> Ban | None:
        """The ban that holds for them: their own, or that of all their neighbours."""
        if (ban := self.bans.get(address)) or not self.rules.jail.bangroup:
            return ban
        return self.bans.get(net) if (net := neighbourhood(address)) else None

    def keep(self, ban: Ban) -> Ban:
        """Put it in force; what is kept of it."""
        before = self.bans.get(ban.address)
        self._active(ban.address, (not ban.dry_run) - bool(before and not before.dry_run))
        if self.jail.bangroup and not before and (net := neighbourhood(ban.address)):
            self._neighbours[net] += 1
        kept = self.bans[ban.address] = replace(ban, evidence=()) if ban.evidence else ban
        return kept

    def lift(self, address: Address) -> Ban:
        """The ban that was, and is not any more."""
        ban = self.bans.pop(address)
        self._active(address, -(not ban.dry_run))
        self.window.clear(address)
        self._leaked.discard(address)
        if self.jail.bangroup and (net := neighbourhood(address)):
            self._neighbours[net] -= 1
        return ban

    def full_group(self, address: Address) -> tuple[Address, int] | None:
        """The /24 around someone, and how many of it are banned: if that is enough to ban it, and it is not yet."""
        net = neighbourhood(address)
        if not net or not 0 < self.jail.bangroup <= self._neighbours[net] or net in self.bans:
            return None
        return net, self._neighbours[net]

    def bypass(self, ban: Ban, hit: Hit) -> Bypass | None:
        """Logged by the same site well after the ban: whatever is dropped, it is not their packets. Told once."""
        since = max(ban.at, ban.decided_at)  # the store keeps the first alone
        if hit.at <= since + GRACE or ban.dry_run or hit.address in self._leaked:
            return None
        if ban.origin_name not in ("", hit.origin.name):
            return None
        self._leaked.add(hit.address)
        return Bypass(hit.jail, hit.address, hit.at, hit.origin.name)

    def _active(self, address: Address, more: int) -> None:
        self.active[ip_version(address)] += more

    def forget(self, now: float) -> None:
        """Those who went quiet."""
        self.window.forget(now - self.findtime)
        self.targets.forget(self.window)


def _window(jail: Jail) -> Count:
    return Rate() if jail.window == "fail2ban" else Window()
