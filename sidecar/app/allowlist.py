"""Everything that says which addresses must never be banned, as one value.

The settings, this host's own addresses, the container engine, containers' labels and the resolver each know a part. A
change of any part makes a new `AllowlistSources`; what the guard works with is computed from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sidecar.config.settings import Settings, SourceKind
from sidecar.core.address import Address, overlap
from sidecar.core.allowlist import BY_HAND, CONTAINERS, IGNOREIP, PROXY, Allowlist
from sidecar.core.allowlist_bounds import RefusedNetworks, bound, is_narrow_and_public
from sidecar.core.containers import Container
from sidecar.core.events import Hit, Topology
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides


@dataclass(frozen=True, slots=True)
class AllowlistSources:
    """What each source says now."""

    settings: Settings
    # Why an address of this host must not be banned -> addresses and networks.
    own_networks: Mapping[str, tuple[str, ...]]
    # None: the container engine has not answered yet.
    topology: Topology | None = None
    # Container's name -> what its labels say; containers without labels are absent.
    labels: Mapping[str, Overrides] = field(default_factory=dict)
    # Host name -> its addresses. A name without an answer is absent.
    resolved: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    # What people allowed while the daemon runs.
    allowed: tuple[Address, ...] = ()

    @property
    def containers(self) -> tuple[Container, ...]:
        """The containers that are watched; none before the container engine has answered."""
        return self.topology.containers if self.topology else ()

    def allowlist(self) -> tuple[Allowlist, tuple[RefusedNetworks, ...]]:
        """Return the networks that no jail may ban, and those that are too wide or too many to be among them."""
        settings = self.settings.allowlist
        bounded = bound(self._named_by_others())
        reasons = dict(bounded.accepted)
        # What a person wrote into the settings holds, however wide it is.
        for reason, networks in settings.networks_by_reason().items():
            reasons[reason] = (*reasons.get(reason, ()), *networks)
        return Allowlist(reasons, ban_private=settings.ban_private), bounded.refused

    def refused_with(self, more: Iterable[Address]) -> tuple[RefusedNetworks, ...]:
        """Return the networks that would not be on the allowlist any more, or yet, if these were allowed too."""
        before = bound(self._named_by_others()).refused
        after = bound({**self._named_by_others(), BY_HAND: (*self.allowed, *more)}).refused
        return tuple(each for each in after if each not in before)

    def _named_by_others(self) -> dict[str, Iterable[str]]:
        """Return reason -> the networks that routes, the engine, labels, DNS servers and `allow` name."""
        names = self.settings.allowlist.ignoreip.host_names
        networks = filter(self._counts, self.topology.networks if self.topology else ())
        return {
            # In this order: where several reasons hold, the first one is shown.
            **self.own_networks,
            CONTAINERS: (*self.own_networks.get(CONTAINERS, ()), *networks),
            PROXY: [net for each in self.labels.values() for net in each.proxies_of_all],
            IGNOREIP: self._addresses(names),
            BY_HAND: self.allowed,
        }

    def _counts(self, network: str) -> bool:
        """Return whether a network that the engine lists is believed: no public one, but for Kubernetes' nodes.

        Anybody who may make a network can give it an attacker's addresses (`--config-only`, macvlan, `inhibit_ipv4`),
        and the attacker still gets answers. Where it has a device, the host's own routes name it. What is too wide is
        passed on, to be refused and reported.
        """
        return self.settings.sources.kind is SourceKind.CRI or not is_narrow_and_public(network)

    def jails(self) -> tuple[Jail, ...]:
        """Return the jails of the settings; the host names in their `ignoreip` are replaced by addresses."""
        return tuple(self._resolved_jail(jail) for jail in self.settings.jails)

    def overrides(self) -> dict[str, Overrides]:
        """Return the labels; the host names in them are replaced by addresses."""
        return {
            name: replace(each, ignoreip=(*each.ignoreip, *self._addresses(each.ignore_names)))
            for name, each in self.labels.items()
        }

    def proxy_reason(self, hit: Hit) -> str | None:
        """Return why no ban can answer this failure: the labels of its container name a proxy; None: they do not."""
        overrides = self.labels.get(hit.origin.name)
        proxies = overrides.own_proxies if overrides else ()
        return PROXY if any(overlap(hit.address, Address(net)) for net in proxies) else None

    def host_names(self) -> tuple[str, ...]:
        """Return all host names that have to be resolved."""
        return (
            *self.settings.allowlist.ignoreip.host_names,
            *(name for jail in self.settings.jails for name in jail.ignore_names),
            *(name for each in self.labels.values() for name in each.ignore_names),
        )

    def _resolved_jail(self, jail: Jail) -> Jail:
        addresses = self._addresses(jail.ignore_names)
        return replace(jail, ignoreip=(*jail.ignoreip, *addresses)) if addresses else jail

    def _addresses(self, names: Iterable[str]) -> tuple[Address, ...]:
        return tuple(address for name in names for address in self.resolved.get(name, ()))
