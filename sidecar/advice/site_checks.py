"""Checks of what a ban does for a site: which ports it closes, IPv6 clients, and who would be banned now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sidecar.advice.exposure import exposure
from sidecar.advice.facts import HostFacts, SiteFacts
from sidecar.advice.finding import Finding
from sidecar.advice.log_checks import readable
from sidecar.core.containers import Container
from sidecar.core.front_ends import serves_web

# Of the addresses that would be banned.
MAX_SHOWN: Final = 5


def _ports(_: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    if (container := site.container) is None:
        return
    name = site.log.name
    entrances = [container, *(each for each in container.front_ends if serves_web(each))]
    for each in entrances:
        if each.bypasses_firewall:
            yield Finding.wrong(
                name,
                f"{each.name} is on a macvlan or ipvlan network, so its packets pass no firewall of the host",
                "Put it on a bridge network, and publish its ports",
            )
            return
    published = sorted(frozenset[int]().union(*(each.published for each in entrances)))
    if published:
        yield Finding.well(name, f"bans close the ports that lead to it: {_listed(published)}")
    elif any(each.is_on_host for each in entrances) or any(jail.ports is None for jail in site.jails):
        yield Finding.well(name, f"bans close the ports of its jails: {_of_jails(site)}")
    else:
        yield Finding.well(
            name,
            f"no container publishes a port that leads to it, so bans close the ports of its jails: {_of_jails(site)}",
            "If a web server on the host listens elsewhere, set `port` in the jail",
        )


def _of_jails(site: SiteFacts) -> str:
    if any(jail.ports is None for jail in site.jails):
        return "all"
    return _listed(sorted(frozenset[int]().union(*(jail.ports or () for jail in site.jails)))) or "none"


def _ipv6(_: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    if site.container is None:
        return
    if why := exposure(site.container):
        yield Finding.of_advice(site.log.name, why)
    elif _is_published(site.container):
        yield Finding.well(site.log.name, "IPv6 clients are not hidden behind Docker's userland proxy")


def _is_published(container: Container) -> bool:
    return any(each.published for each in (container, *container.front_ends))


def _would_ban(host: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    if not readable(site):
        return
    if not site.would_ban:
        yield Finding.well(site.log.name, "by its newest lines nobody would be banned now")
        return
    shown = [f"{address} ({jail})" for address, jail in site.would_ban]
    more = f" and {len(shown) - MAX_SHOWN:,} more" if len(shown) > MAX_SHOWN else ""
    change = "Start the daemon" if host.daemon.error else "`wp-sidecar explain ADDR` says how each stands"
    yield Finding.well(
        site.log.name,
        f"by its newest lines {len(shown):,} would be banned now: {', '.join(shown[:MAX_SHOWN])}{more}",
        change,
    )


def _listed(ports: Iterable[int]) -> str:
    return ", ".join(map(str, ports))


SITE_CHECKS: list[Callable[[HostFacts, SiteFacts], Iterable[Finding]]] = [_ports, _ipv6, _would_ban]
