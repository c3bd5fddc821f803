"""Which containers stand in front of a site, as far as Docker's own list shows it.

A container that publishes ports and shares a network with a site can pass requests on to it: nginx in front of php-fpm,
Traefik in front of many sites. Nothing more is known of it. It may as well be the site's database, so what follows from
being a front end must be harmless to one that is not: its ports are closed to banned clients, and its log is read by
filters on requests.

A container may use the network of another one (`network_mode: container:x`, `service:x`). It is reached by that one's
ports, and the two share a network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sidecar.core.containers import Container, is_wordpress

# Docker's network modes: with the host's own network, and with that of a container of this id.
HOST_MODE: Final = "host"
JOINED_MODE: Final = "container:"
# A container may join one that has joined another.
MAX_JOINS: Final = 8
# Ports that web servers listen at, in the container or on the host.
WEB_TARGET_PORTS: Final = frozenset({80, 81, 443, 3000, 5000, 8000, 8080, 8081, 8443, 8888})


def with_joined_networks(containers: Iterable[Container]) -> tuple[Container, ...]:
    """Return the containers; those that use the network of another of them have its ports and networks."""
    known = {each.id: each for each in containers}
    owners = {each.joined for each in known.values()} - {""}
    return tuple(
        _joined(each, known) if each.joined or each.id in owners else each for each in known.values()
    )


def joined_by(mode: str) -> str:
    """Return the id of the container with the network that a network mode names; "" where it names none."""
    return mode.removeprefix(JOINED_MODE) if mode.startswith(JOINED_MODE) else ""


class FrontEnds:
    """Knows, of these containers, the front ends of each."""

    def __init__(self, containers: Iterable[Container]) -> None:
        # Another WordPress is a site of its own.
        self._others = [each for each in containers if not is_wordpress(each)]
        # Most containers publish nothing, and a host may have hundreds.
        self._reachable = _reachable(self._others)

    def of(self, site: Container) -> tuple[Container, ...]:
        """Return the containers that requests may pass on their way to the site, in the order given.

        They publish ports and share a network with it. A site that nothing leads to in this way is behind two of them:
        the first publishes ports and shares a network with the second, which shares one with the site.
        """
        found = _connected(self._reachable, site.networks, site)
        if found or site.published or site.is_on_host or not self._reachable:
            return found
        neighbours = _connected(self._others, site.networks, site)
        networks = frozenset[str]().union(*(each.networks for each in neighbours))
        return _connected(self._reachable, networks, site)


def serves_web(container: Container) -> bool:
    """Return whether what it publishes is probably a web server."""
    return bool(WEB_TARGET_PORTS & (container.target_ports | container.published))


def listens_for_web(container: Container) -> bool:
    """Return whether it is probably a web server, which may stand behind a front end."""
    return bool(WEB_TARGET_PORTS & (container.listening | container.target_ports))


def _reachable(containers: Iterable[Container]) -> tuple[Container, ...]:
    return tuple(each for each in containers if each.published or each.is_on_host)


def _connected(
    containers: Iterable[Container], networks: frozenset[str], site: Container
) -> tuple[Container, ...]:
    """Return those with one of these networks, without the site itself."""
    return tuple(each for each in containers if not networks.isdisjoint(each.networks) and each.id != site.id)


def _joined(container: Container, known: dict[str, Container]) -> Container:
    owner = container
    for _ in range(MAX_JOINS):
        if owner.joined not in known:
            break
        owner = known[owner.joined]
    # Containers in one network namespace share a network, also where that has no other.
    networks = owner.networks | {owner.id}
    if owner is container:
        return replace(container, networks=networks)
    return replace(
        container,
        published=owner.published,
        loopback=owner.loopback,
        target_ports=owner.target_ports,
        gateways=owner.gateways,
        ipv6_proxied=owner.ipv6_proxied,
        bypasses_firewall=owner.bypasses_firewall,
        is_on_host=owner.is_on_host,
        networks=networks,
        network_of=owner.name,
    )
