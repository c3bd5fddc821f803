"""What the guard and the firewall work with, kept up to date in the loop's thread.

    settings, own addresses, topology, labels, host names, allowed by hand ─▶ AllowlistSources
        ├─ jails, overrides, allowlist ─▶ guard
        └─ allowed networks, published ports ─▶ firewall

A change of one part is a method. Each returns the decisions that follow from it: an address that is banned and is
allowlisted now is unbanned.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from sidecar.access.logs import AccessLogs
from sidecar.advice import allowlist as advice
from sidecar.advice import sites as advice_on_sites
from sidecar.app.allowlist import AllowlistSources
from sidecar.app.allowlist_report import AllowlistReport
from sidecar.app.host_names import WatchedNames
from sidecar.config import labels, log_formats
from sidecar.config.labels import LabelsRead
from sidecar.config.settings import Settings
from sidecar.core.address import Address
from sidecar.core.allowed import Allow, Disallow
from sidecar.core.allowlist import Allowlist
from sidecar.core.allowlist_bounds import RefusedNetworks
from sidecar.core.containers import ENABLE_LABEL, Container
from sidecar.core.events import Decision, Hit, Topology
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail, Scope
from sidecar.core.overrides import Overrides
from sidecar.core.relayed import related_logs
from sidecar.core.sites import Sites
from sidecar.core.text import printable
from sidecar.runtime.problems import Problems

log = logging.getLogger(__name__)

LABELS_PROBLEM = "labels of "
SITES_PROBLEM: Final = "sites without a port of their own"
NO_SITES: Final = Sites()
# What is shown of a container that only its label excludes.
NOT_WATCHED: Final = (f"{ENABLE_LABEL}=false: not watched",)


class NetworkFirewall(Protocol):
    """Lets allowlisted networks pass, and closes ports to the banned."""

    def reconfigure(self, jails: Iterable[Jail], now: float) -> None: ...

    def set_topology(
        self, allowlist: Iterable[str], now: float, published: frozenset[int] | None
    ) -> None: ...


class AllowlistFull(ValueError):  # noqa: N818 - it is an answer
    """More of the address space would be allowlisted than may be. The message says what to allow instead."""


class GuardInputs:
    """Owned by the loop's thread."""

    def __init__(
        self,
        settings: Settings,
        own_networks: Mapping[str, tuple[str, ...]],
        names: WatchedNames,
        firewall: NetworkFirewall,
        *,
        problems: Problems,
        access_logs: AccessLogs,
        allowed: Iterable[Allow] = (),
        sites: Sites = NO_SITES,
    ) -> None:
        """Have `names` resolve the host names in the settings.

        `allowed` is what people allowed in the last run, and `sites` are those that were known.
        """
        self._sites = sites
        self._names = names
        self._firewall = firewall
        self._problems = problems
        self._access_logs = access_logs
        self._report = AllowlistReport(problems)
        self._sources = AllowlistSources(settings, own_networks, allowed=_addresses(allowed))
        # Container's name -> the labels that have an effect, as `name=value`.
        self.labels: Mapping[str, tuple[str, ...]] = {}
        # In force now.
        self.allowlist: Allowlist = self._new_allowlist()
        names.replace(self._sources.host_names())

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._sources.settings

    @property
    def topology(self) -> Topology:
        """What the container engine said last; nothing, before it has answered."""
        return self._sources.topology or Topology()

    @property
    def containers(self) -> Sequence[Container]:
        """The containers that are watched."""
        return self._sources.containers

    @property
    def overrides(self) -> Mapping[str, Overrides]:
        """What the labels of containers set, by the container's name. Any thread may ask."""
        return self._sources.overrides()

    def allowlist_reason(self, hit: Hit) -> str | None:
        """Return why no ban can answer this failure; None: one can, unless an `ignoreip` of its own has the address."""
        return self.allowlist.reason(hit.address) or self._sources.proxy_reason(hit)

    def reconfigure(self, settings: Settings, guard: Guard, now: float) -> Sequence[Decision]:
        """Apply these settings."""
        self._change(guard, settings=settings)
        self._report_sites()
        decisions = guard.reconfigure(self._sources.jails(), now, settings.dbpurgeage, settings.max_bans)
        return [*decisions, *self.apply_allowlist(guard, now)]

    def topology_changed(self, topology: Topology, guard: Guard, now: float) -> Sequence[Decision]:
        """Apply these networks, ports and containers."""
        before = {each.id: each for each in self._sources.containers}
        now_watched = {each.id: each for each in topology.containers}
        for each in (now_watched[id_] for id_ in now_watched if id_ not in before):
            log.info("watching %s (image %s)", printable(each.name), printable(each.image))
        for each in (before[id_] for id_ in before if id_ not in now_watched):
            log.info("%s has ended, or is not watched any more", printable(each.name))
        self._change(guard, topology=topology)
        guard.set_related_logs(related_logs(topology.containers))
        self._apply_sites(guard, now)
        return self.apply_allowlist(guard, now)

    def names_resolved(
        self, resolved: Mapping[str, tuple[Address, ...]], guard: Guard, now: float
    ) -> Sequence[Decision]:
        """Apply these addresses of the host names."""
        self._change(guard, resolved=resolved)
        decisions = guard.reconfigure(self._sources.jails(), now)
        return [*decisions, *self.apply_allowlist(guard, now)]

    def own_networks_changed(
        self, own_networks: Mapping[str, tuple[str, ...]], guard: Guard, now: float
    ) -> Sequence[Decision]:
        """Apply these addresses of the host, if they have changed."""
        if own_networks == self._sources.own_networks:
            return ()
        self._sources = replace(self._sources, own_networks=own_networks)
        return self.apply_allowlist(guard, now)

    def allow(self, entries: Sequence[Allow], guard: Guard, now: float) -> Sequence[Decision]:
        """Put these on the allowlist. Raises AllowlistFull, and then none of them is."""
        addresses = [each.address for each in entries]
        if guard.view.room_to_allow(addresses) < 0:
            raise AllowlistFull(advice.TOO_MANY_ALLOWED)
        if refused := self.refused_with(addresses):
            raise AllowlistFull(advice.cannot_allow(refused))
        guard.allow(entries)
        return self.apply_allowlist(guard, now)

    def refused_with(self, addresses: Iterable[Address]) -> Sequence[RefusedNetworks]:
        """Return the networks that would be too much for the allowlist if these were allowed too."""
        return self._sources.refused_with(addresses)

    def disallow(self, addresses: Iterable[Address], guard: Guard, now: float) -> Sequence[Disallow]:
        """Take these off the allowlist, as far as people put them there. Return what that was."""
        if ended := guard.disallow(addresses, now):
            self.apply_allowlist(guard, now)
        return ended

    def end_allowed(self, guard: Guard, now: float) -> Sequence[Decision]:
        """Take off the allowlist what was allowed until now. A command."""
        return self.apply_allowlist(guard, now) if guard.end_allowed(now) else ()

    def apply_allowlist(self, guard: Guard, now: float) -> Sequence[Decision]:
        """Give guard and firewall the allowlist as it is now. A command."""
        self._sources = replace(self._sources, allowed=_addresses(guard.view.allowed))
        self.allowlist = self._new_allowlist()
        decisions = guard.set_allowlist(self.allowlist, now)
        topology = self._sources.topology
        networks = (*self.allowlist.networks(4), *self.allowlist.networks(6))
        self._firewall.set_topology(networks, now, topology.published if topology else None)
        return decisions

    def _apply_sites(self, guard: Guard, now: float) -> None:
        """Give guard and firewall the sites as they are now, before any ban that follows from them."""
        sites = self._sites.with_containers(self.topology.containers, self.topology.shared)
        if sites != self._sites:
            self._sites = sites
            guard.set_sites(sites)
            # Without a jail with such a scope they are the same jails.
            self._firewall.reconfigure(guard.view.jails, now)
        self._report_sites()

    def _report_sites(self) -> None:
        """Report the sites for which a jail with their scope can drop nothing."""
        problem = self._problems.problem(SITES_PROBLEM, critical=False)
        jails = [jail.name for jail in self.settings.jails if jail.scope is Scope.SITE]
        syslog = self.settings.sources.syslog
        # Any container may write to it, so it is of no site that has a port.
        names = [
            *(self._sites.site_of(each.name) for each in self.containers),
            *([str(syslog)] if syslog else []),
        ]
        without = [printable(name) for name in dict.fromkeys(names) if not self._sites.ports_of(name)]
        if jails and without:
            problem.set(advice_on_sites.without_ports(without, jails, self._sites.left_out))
        else:
            problem.clear()

    def _new_allowlist(self) -> Allowlist:
        """Return the allowlist by what is known now, and report what is wrong with it."""
        allowlist, refused = self._sources.allowlist()
        self._report.report(allowlist, refused)
        return allowlist

    def _change(self, guard: Guard, **parts: Any) -> None:  # noqa: ANN401 - parts of a dataclass
        """Replace parts of the sources, and apply what containers' labels say by them."""
        sources = replace(self._sources, **parts)
        settings = sources.settings
        read = labels.read(sources.containers, settings.jails, settings.sources.labels)
        self._sources = replace(sources, labels=read.overrides)
        self._report_labels(read)
        self._names.replace(self._sources.host_names())
        guard.set_overrides(self._sources.overrides())
        self._access_logs.reconfigure(
            log_formats.declared(settings.jails, read.overrides, settings.allowlist)
        )

    def _report_labels(self, read: LabelsRead) -> None:
        """Report what is wrong with labels, and log which are in force."""
        self._problems.replace(
            LABELS_PROBLEM, {f"{LABELS_PROBLEM}{name}": text for name, text in read.problems.items()}
        )
        topology = self._sources.topology
        in_force = {**read.in_force, **dict.fromkeys(topology.excluded if topology else (), NOT_WATCHED)}
        for name, texts in sorted(in_force.items()):
            if self.labels.get(name) != texts:
                log.info("labels of %s: %s", printable(name), ", ".join(texts))
        self.labels = in_force


def _addresses(allowed: Iterable[Allow]) -> tuple[Address, ...]:
    return tuple(each.address for each in allowed)
