"""Why a banned address still reaches a site: what the firewall knows becomes a sentence that says what to change."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from sidecar.advice.exposure import entrances
from sidecar.advice.namespace import NO_PACKETS, not_host_network
from sidecar.core.containers import Container
from sidecar.firewall import AddressFacts, RepairKind

# Ports that a sentence lists.
MAX_PORTS_SHOWN: Final = 10


class BypassKind(enum.StrEnum):
    """What lets a banned address through. The values are labels of a metric; docs/firewall.md explains each."""

    # Our rules were missing, or the packets take a way on which there are none.
    HOOK = "hook"
    # The address was not in its set.
    FLUSHED = "flushed"
    # It connects to a port that the ban does not close.
    PORTS = "ports"
    # It comes over IPv6 through Docker's proxy, which hides the address.
    DOCKER_PROXY = "docker_proxy"
    # A CDN or load balancer connects on its behalf.
    UPSTREAM_PROXY = "upstream_proxy"
    UNKNOWN = "unknown"


class Diagnosis(NamedTuple):
    """What lets the address through, and a sentence that says what to change."""

    kind: BypassKind
    sentence: str


def diagnose(
    facts: AddressFacts, container: Container | None = None, *, is_host: bool | None = None
) -> Diagnosis:
    """Return the first explanation that holds: changes to our table, then ports, then the way that the packets take.

    `container`: the watched container that logged the address; None: a file, or a container that is not watched.
    `is_host`: whether this is the host's network, if that is known.
    """
    return (
        _changed_table(facts)
        or _other_network(container)
        or _open_ports(facts)
        or _no_packets(facts, is_host=is_host)
        or _proxies(facts, container)
    )


def _changed_table(facts: AddressFacts) -> Diagnosis | None:
    if not facts.intact or facts.repaired in (RepairKind.TABLE, RepairKind.STRUCTURE):
        return Diagnosis(
            BypassKind.HOOK,
            "another program changed the nftables table inet wp_sidecar, so its rules were missing, inactive or "
            "altered. wp-sidecar restores them at once. Find the program with `nft monitor`, and configure it to "
            "leave this table alone",
        )
    if not facts.in_set or facts.repaired:
        return Diagnosis(
            BypassKind.FLUSHED,
            f"another program changed the sets of the nftables table inet wp_sidecar, so {facts.set_name} was "
            "incomplete or not applied. wp-sidecar restores them at once. Find the program with `nft monitor`, and "
            "configure it to leave this table alone",
        )
    return None


def _other_network(container: Container | None) -> Diagnosis | None:
    if container is None or not container.bypasses_firewall:
        return None
    return Diagnosis(
        BypassKind.HOOK,
        "the container has a macvlan or ipvlan network, and packets on it do not pass through the host's firewall. "
        "Disconnect the container from that network, and publish its ports instead",
    )


def _open_ports(facts: AddressFacts) -> Diagnosis | None:
    if not facts.passed_ports:
        return None
    ports = ", ".join(f"{port:d}" for port in sorted(facts.passed_ports)[:MAX_PORTS_SHOWN])
    several = len(facts.passed_ports) > 1
    return Diagnosis(
        BypassKind.PORTS,
        f"it connects to port{'s' * several} {ports}, which the ban does not close. Add {'them' if several else 'it'} "
        "to `port` of the jail, or set `port = all`",
    )


def _no_packets(facts: AddressFacts, *, is_host: bool | None) -> Diagnosis | None:
    if is_host or facts.versions_seen or facts.sent_packets is not False:
        return None
    return Diagnosis(BypassKind.HOOK, NO_PACKETS if is_host is None else not_host_network())


def _proxies(facts: AddressFacts, container: Container | None) -> Diagnosis:
    """Another machine or program sends packets on behalf of the address."""
    if container and entrances(container) and 6 in facts.versions_seen:
        return Diagnosis(
            BypassKind.DOCKER_PROXY,
            "IPv6 clients reach the site through Docker's userland proxy, which hides their addresses, and the site "
            "believes the address that they claim. Enable IPv6 on one of the container's networks, or publish its "
            "ports for IPv4 only (0.0.0.0:80:80)",
        )
    if facts.sent_packets is False:
        return Diagnosis(
            BypassKind.UPSTREAM_PROXY,
            f"no packet came from {facts.address}, so a CDN, load balancer or other proxy in front of this host "
            "connects on its behalf, or the log line is forged. Name such a proxy in trusted_proxies (or allow_cdn), "
            "and ban the address there",
        )
    if facts.sent_packets:
        return Diagnosis(
            BypassKind.UNKNOWN,
            "the packets that it sends itself are dropped, so the log lines come through a proxy, or from a client "
            "that claims this address. Check which proxies the site trusts for X-Forwarded-For",
        )
    return Diagnosis(
        BypassKind.UNKNOWN,
        "it is unknown whether its packets reach this host: the log line is older than the firewall's table, or too "
        "many addresses send packets. Check which proxies the site trusts for X-Forwarded-For",
    )
