"""Which site wrote a log, and the ports that lead to it alone: what a jail with `scope = site` needs.

Such a jail is, for each site, a jail of its own: `wordpress@blog` counts the failures in the log of the container
`blog` and closes its ports. A site is a watched container, with the front ends that serve it and no other. A front end
of several sites is a site itself: they cannot write its log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from sidecar.core.containers import Container
from sidecar.core.jail import Jail, Scope, site_of_jail

NO_PORTS: Final = frozenset[int]()
# Sites with ports of their own. The sets of each cost every packet to this host some time, and each change of the sites
# too (docs/benchmarks.md).
MAX_SITES: Final = 64


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites that are known. Immutable.

    `ports` are, by the site's name, the host's ports that lead to it alone. `behind` has, by the name of a front end of
    one site alone, the name of the site. `left_out` are the names of those that have ports and get none, as there are
    too many sites.
    """

    ports: Mapping[str, frozenset[int]] = field(default_factory=dict)
    behind: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @classmethod
    def of_layout(cls, ports: Mapping[str, frozenset[int] | None]) -> Self:
        """Return the sites of the last run, by the ports that their jails closed."""
        known = ((site_of_jail(name), closed) for name, closed in ports.items())
        return cls({site: closed or NO_PORTS for site, closed in known if site})

    def site_of(self, log: str) -> str:
        """Return the name of the site that a container's log belongs to."""
        return self.behind.get(log, log)

    def ports_of(self, site: str) -> frozenset[int]:
        """Return the ports that lead to this site alone; none where it is not known."""
        return self.ports.get(site, NO_PORTS)

    def with_containers(self, containers: Iterable[Container], shared: frozenset[str]) -> Self:
        """Return the sites as they are with these watched containers. Others are remembered for a while.

        `shared` are the names of front ends of several sites.
        """
        containers = tuple(containers)
        behind = {
            each.name: site.name for site in containers for each in site.front_ends if each.name not in shared
        }
        groups: dict[str, set[str]] = defaultdict(set)
        published: dict[int, set[str]] = defaultdict(set)
        for each in (front_end for site in containers for front_end in (site, *site.front_ends)):
            name = behind.get(each.name, each.name)
            groups[name] |= {each.network_of or each.name}
            # No client reaches a port of this host alone: what is in front of it, and closed, is of all sites.
            for port in each.published - each.loopback:
                published[port].add(each.network_of or each.name)
        ports = {
            site: frozenset(port for port, publishers in published.items() if publishers <= owners)
            for site, owners in groups.items()
        }
        # Those that had ports come first, so that no ban moves because of a new container.
        with_ports = sorted(
            (site for site in ports if ports[site]), key=lambda site: (not self.ports_of(site), site)
        )
        left_out = tuple(with_ports[MAX_SITES:])
        # The container of a site that is gone may be made again in a moment, with the ports that no other has by then.
        gone = [(site, self.ports[site] - published.keys()) for site in self.ports if site not in ports]
        remembered = [(site, closed) for site, closed in reversed(gone) if closed and site not in behind]
        room = MAX_SITES - len(with_ports) + len(left_out)
        return type(self)(
            {**dict(reversed(remembered[:room])), **ports, **dict.fromkeys(left_out, NO_PORTS)},
            behind,
            left_out,
        )


def with_sites(jails: Iterable[Jail], sites: Sites) -> Iterator[Jail]:
    """Yield each jail, and after one with the scope of a site the jail of each site."""
    for jail in jails:
        yield jail
        if jail.scope is Scope.SITE:
            for site, ports in sites.ports.items():
                yield jail.for_site(site, ports)
