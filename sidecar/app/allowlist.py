"""Who may never be banned, from all who know something of it; and what then goes on unbanned, told to people.

The loop's thread owns it, but for what its `names` do.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from sidecar.advice.exposure import exposure, unverified
from sidecar.advice.unbannable import (
    FAILURES,
    PERIOD_S,
    UNVERIFIED_HITS,
    forged_addresses,
    unbannable_failures,
)
from sidecar.app.allowlist_names import Names, Report, addresses
from sidecar.config.settings import Settings
from sidecar.core.address import Address
from sidecar.core.allowlist import CONTAINERS, IGNOREIP, PROXY, Allowlist
from sidecar.core.ban_budget import BanBudget
from sidecar.core.containers import Container
from sidecar.core.events import Hit, Origin, Topology, Turn
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides
from sidecar.core.rate_alarms import RateAlarms
from sidecar.telemetry.metrics.allowlist import AllowlistMetrics

log = logging.getLogger(__name__)


class AllowlistKeeper:
    """A sink as well: it counts the failures of those who are spared."""

    name = "trust"

    def __init__(
        self,
        settings: Settings,
        own: Mapping[str, tuple[str, ...]],
        metrics: AllowlistMetrics,
        report: Report,
        renamed: Callable[[], None],
        *,
        lookup: Callable[[str], tuple[Address, ...]] = addresses,
    ) -> None:
        """`own`: why -> this host's addresses and networks. `report` is `health.Problems.report`.

        `renamed()` is called in the names' thread when some name stands for others now.
        """
        self.own = own
        self.around: Topology | None = None  # the container engine has not said yet
        self.budget = BanBudget(*settings.budget.rate, settings.budget.share)
        self._settings, self._metrics, self._report = settings, metrics, report
        self._labels: Mapping[str, Overrides] = {}
        self.names = Names(self._names(), renamed, report, lookup)
        # Both by log and reason.
        self._unbannable: RateAlarms[tuple[str, str]] = RateAlarms(FAILURES, PERIOD_S)
        self._unverified: RateAlarms[tuple[str, str]] = RateAlarms(UNVERIFIED_HITS, PERIOD_S)
        self._exposed: dict[str, Container] = {}  # by name
        self._wrong: set[str] = set()  # what we have in trouble
        self._trust = self.allowlist()

    def take(self, settings: Settings) -> None:
        """From now on these settings."""
        before, self._settings = self._settings, settings
        if before.budget != settings.budget:
            self.budget.reconfigure(*settings.budget.rate, settings.budget.share)
        self.names.use(self._names())

    def allowlist(self) -> Allowlist:
        """Who may never be banned, as of now."""
        settings = self._settings
        networks = self.around.networks if self.around else ()
        more = {
            CONTAINERS: networks,
            PROXY: self._labelled(),
            IGNOREIP: self._called(settings.allowlist.ignoreip.host_names),
        }
        reasons = {**self.own, **settings.allowlist.networks_by_reason()}
        for why, texts in more.items():
            reasons[why] = (*reasons.get(why, ()), *texts)
        self._trust = Allowlist(reasons, ban_private=settings.allowlist.ban_private)
        return self._trust

    def jails(self) -> tuple[Jail, ...]:
        """The settings', with what the names in their `ignoreip` stand for."""
        return tuple(self._jail(jail) for jail in self._settings.jails)

    def policies(self, policies: Mapping[str, Overrides]) -> dict[str, Overrides]:
        """What labels say, with whom the names in them stand for; these names are looked up from now on."""
        self._labels = policies
        self.names.use(self._names())
        return {
            site: replace(overrides, ignoreip=(*overrides.ignoreip, *self._called(overrides.ignore_names)))
            for site, overrides in policies.items()
        }

    @property
    def containers(self) -> tuple[Container, ...]:
        """The containers that are watched; none before the container engine has answered."""
        return self.around.containers if self.around else ()

    def surrounded(self, around: Topology) -> None:
        """The container engine says that networks or containers have changed."""
        self.around = around
        self._exposed = {each.name: each for each in around.containers if exposure(each)}
        self._metrics.exposed(len(self._exposed))
        self._settle(
            {f"the client address at {name}": exposure(each) for name, each in self._exposed.items()},
            "the client address at ",
        )

    def doubt(self, hit: Hit, seen: Callable[[Address], bool | None]) -> str | None:
        """Why the one whom this line names may not be who came; `seen` is asked where that is a question at all."""
        container = self._exposed_at(hit.origin)
        why = unverified(container, seen(hit.address)) if container else None
        if why:
            self._unverified.add((hit.origin.name, why), hit.at)
        return why

    def apply(self, turn: Turn) -> None:
        if self.budget.max_share < math.inf:
            for hit in turn.hits:
                self.budget.client_failed(hit.address, turn.at)
        if turn.decisions:
            self._tell_budget()
        reasons = Counter((hit.origin.name, self._trust.reason(hit.address)) for hit in turn.ignored)
        for (site, reason), count in reasons.items():
            if reason:
                # Addresses in `ignoreip` are never banned because somebody asked for that.
                if reason != IGNOREIP:
                    self._unbannable.add((site, reason), turn.at, count)
                self._metrics.failed(site, reason, count)

    def look(self, now: float) -> None:
        """Tell what goes on unbanned, and what is over."""
        told = sorted((count, site, reason) for (site, reason), count in self._unbannable.raised(now).items())
        loudest = {site: (reason, count) for count, site, reason in told}  # one a log is enough
        self._settle(
            {
                f"banning at {site}": unbannable_failures(site, reason, count, self._shown(site))
                for site, (reason, count) in loudest.items()
            },
            "banning at ",
        )
        doubted = Counter[str]()
        for (site, _), count in self._unverified.raised(now).items():
            doubted[site] += count
        self._settle(
            {
                f"addresses in {site}": forged_addresses(site, count, self._shown(site))
                for site, count in doubted.items()
            },
            "addresses in ",
        )
        self.budget.is_exceeded(now)
        self._tell_budget()

    def _tell_budget(self) -> None:
        exceeded = self.budget.exceeded
        self._metrics.budget(exceeded=exceeded)
        self._settle({"the ban budget": over(self.budget)} if exceeded else {}, "the ban budget")

    def _jail(self, jail: Jail) -> Jail:
        found = self._called(jail.ignore_names)
        return replace(jail, ignoreip=(*jail.ignoreip, *found)) if found else jail

    def _called(self, names: Iterable[str]) -> tuple[Address, ...]:
        """Whom these names stand for, as far as is known."""
        known = self.names.known
        return tuple(address for name in names for address in known.get(name, ()))

    def _names(self) -> list[str]:
        """All that are to be looked up."""
        return [
            *self._settings.allowlist.ignoreip.host_names,
            *(name for jail in self._settings.jails for name in jail.ignore_names),
            *(name for overrides in self._labels.values() for name in overrides.ignore_names),
        ]

    def _labelled(self) -> list[str]:
        """The proxies that labels name."""
        return [net for overrides in self._labels.values() for net in overrides.trusted_proxies]

    def _exposed_at(self, origin: Origin) -> Container | None:
        """The exposed container that a log is of. A file, or what came to /dev/log, may be of any."""
        if origin.source == "docker" or origin.name in self._exposed:
            return self._exposed.get(origin.name)
        return next(iter(self._exposed.values()), None)

    def _shown(self, site: str) -> str | None:
        container = self._exposed.get(site)
        return exposure(container) if container else None

    def _settle(self, wrong: Mapping[str, str | None], kind: str) -> None:
        """These are all the troubles of the kind, by the beginning of their names: others of it are over."""
        for name in {name for name in self._wrong if name.startswith(kind)} - wrong.keys():
            self._report(name, None)
            self._wrong.discard(name)
        for name, what in wrong.items():
            if name not in self._wrong:
                log.warning("%s", what)
                self._wrong.add(name)
            self._report(name, what, critical=False)


class Sightings(Protocol):
    """Knows which addresses sent packets to this host."""

    def seen(self, address: Address) -> bool | None:
        """Return whether packets of this address came lately; None: nobody knows."""


class SightingVerifier:
    """Verifies the address in a log by the packets that came from it, where the log can be made to name a stranger."""

    def __init__(self, keeper: AllowlistKeeper, sightings: Sightings) -> None:
        self._keeper, self._sightings = keeper, sightings

    def unverified_reason(self, hit: Hit) -> str | None:
        """Return why no ban may be made of this hit; None: its address is taken for true."""
        return self._keeper.doubt(hit, self._sightings.seen)


def over(budget: BanBudget) -> str:
    """That the budget is exceeded, what that means, and what to do."""
    limit = f"more than {budget.max_bans:,.0f} bans within {budget.period_s:.0f} s"
    if budget.max_share < 1:
        limit += f", or of {budget.max_share:.0%} of the clients seen,"
    return (
        f"{limit} were about to be made: new bans are only told, not enforced, until half as many are asked for. "
        "Those in force stay. Is a filter wrong, or an address forged? If the attack is that large, raise banbudget"
    )
