"""Answers: packets to banned addresses, for requests that came before the ban.

A ban drops what the client sends from then on. What the host was still to answer would reach the client all the same:
the cookie of a login that was under way, and the responses to requests that were pipelined. So packets *to* a banned
address are cut off too. A TCP connection is reset towards the server, in the name of the client, so that the server's
worker is free at once instead of waiting for its timeout. UDP is dropped: QUIC ignores ICMP errors (RFC 9000, section
14.2.1), and sends little to a client that does not acknowledge.

    forward (containers) ─┐
                          ├─▶ answers ─banned─▶ rejected: record, then reset or drop
    output (host, proxy) ─┘

Only connections that the banned address opened to a closed port are cut. The kernel's connection tracking says which
these are: the direction `reply`, and the port to which the client connected, before Docker translated it to the
container's. Other connections of the address, such as SSH, go on; so does what containers connect to themselves.

This module is the text that nft reads. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from sidecar.firewall.elements import CUSTOMER_MASK
from sidecar.firewall.port_groups import PortGroup
from sidecar.firewall.schema import (
    ALLOWLIST_SETS,
    ANSWERS_CHAIN,
    FORWARD_CHAIN,
    OUTPUT_CHAIN,
    REJECTED_CHAIN,
    REJECTED_SETS,
)

# After connection tracking (-200) and address translation (-100), before the filters of Docker, firewalld and ufw (0).
PRIORITY: Final = -10

# Addresses to which answers were rejected, and for how long that is remembered.
MAX_REJECTED = 65_535
REJECTED_S = 3600


class AnswerFilter(enum.Enum):
    """Which answers to banned addresses the kernel can reject."""

    # Those of containers and of the host.
    ALL = enum.auto()
    # Those of the host and of Docker's proxy: without connection tracking, the published port of a container's packet
    # is unknown.
    HOST = enum.auto()
    # None: the kernel cannot reject packets.
    NONE = enum.auto()


# Why answers are not rejected, as sentences for people.
LIMITATIONS: Final = {
    AnswerFilter.ALL: None,
    AnswerFilter.HOST: (
        "the kernel does not track connections, so containers still answer requests that a client sent before its "
        "ban; new packets of the client are dropped. Load the kernel modules nf_conntrack and nft_ct, and restart "
        "wp-sidecar"
    ),
    AnswerFilter.NONE: (
        "the kernel cannot reject packets, so requests that a client sent before its ban are still answered; new "
        "packets of the client are dropped. Load the kernel modules nft_reject_inet, nf_conntrack and nft_ct, and "
        "restart wp-sidecar"
    ),
}


def hooks(answers: AnswerFilter) -> dict[str, str]:
    """Return the base chains, by name: the hook of each."""
    match answers:
        case AnswerFilter.ALL:
            return {FORWARD_CHAIN: "forward", OUTPUT_CHAIN: "output"}
        case AnswerFilter.HOST:
            return {OUTPUT_CHAIN: "output"}
        case AnswerFilter.NONE:
            return {}


def declaration(hook: str) -> str:
    """Return how nft declares a base chain with this hook."""
    return f"{{ type filter hook {hook} priority {PRIORITY:d}; policy accept; }}"


def sets() -> Iterator[tuple[str, str]]:
    """Yield the name of each set, and its declaration for nft."""
    for version, field in ((4, "ip saddr"), (6, "ip6 saddr")):
        yield (
            REJECTED_SETS[version],
            f"typeof {field}; size {MAX_REJECTED:d}; flags dynamic, timeout; timeout {REJECTED_S:d}s;",
        )


def rules(answers: AnswerFilter, groups: Collection[PortGroup]) -> dict[str, list[str]]:
    """Return the rules of each chain."""
    if answers is AnswerFilter.NONE:
        return {}
    replies = "ct direction reply " if answers is AnswerFilter.ALL else ""
    jump = f"meta l4proto {{ tcp, udp }} {replies}jump {ANSWERS_CHAIN}"
    chains = {name: [jump] for name in hooks(answers)}
    chains[OUTPUT_CHAIN].insert(0, "oif lo accept")
    return {
        **chains,
        ANSWERS_CHAIN: [
            f"{protocol}{banned}{ports} goto {REJECTED_CHAIN}"
            for group in groups
            for banned in _to_banned(group)
            for protocol, ports in _from_ports_of(group, answers)
        ],
        REJECTED_CHAIN: list(_rejected()),
    }


def probe(answers: AnswerFilter, table: str) -> list[str]:
    """Return lines that the kernel accepts if it can do this. They leave nothing behind.

    `table` is the name of a table that does not exist.
    """
    match = (
        "ct direction reply meta l4proto tcp ct original proto-dst 80" if answers is AnswerFilter.ALL else ""
    )
    return [
        f"add table inet {table}",
        *(f"add chain inet {table} {name} {declaration(hook)}" for name, hook in hooks(answers).items()),
        *(
            f"add rule inet {table} {name} {match} meta l4proto tcp reject with tcp reset"
            for name in hooks(answers)
        ),
        f"delete table inet {table}",
    ]


def _to_banned(group: PortGroup) -> Iterable[str]:
    """Return expressions that match packets to banned addresses."""
    return (
        f"ip daddr @{group.host_sets[4]}",
        f"ip daddr @{group.network_sets[4]}",
        f"ip6 daddr & {CUSTOMER_MASK} @{group.host_sets[6]}",
        f"ip6 daddr @{group.network_sets[6]}",
    )


def _from_ports_of(group: PortGroup, answers: AnswerFilter) -> Iterable[tuple[str, str]]:
    """Return expressions that match packets of connections to the group's ports: protocol and port.

    The address of the packet is looked at in between. Of packets to clients that are not banned the kernel looks at
    nothing else, and the port of a tracked connection is the dearest of the three.
    """
    if not group.port_set:
        return (("", ""),)
    if answers is AnswerFilter.HOST:
        return (("", f" th sport @{group.port_set}"),)
    # To nft, the port of a tracked connection has no type unless one protocol is named before it.
    return tuple(
        (f"meta l4proto {proto} ", f" ct original proto-dst @{group.port_set}") for proto in ("tcp", "udp")
    )


def _rejected() -> Iterator[str]:
    """Yield the rules for a packet to a banned address. A full set ends only the rule that records."""
    yield f"ip daddr @{ALLOWLIST_SETS[4]} accept"
    yield f"ip6 daddr @{ALLOWLIST_SETS[6]} accept"
    yield f"update @{REJECTED_SETS[4]} {{ ip daddr }}"
    yield f"update @{REJECTED_SETS[6]} {{ ip6 daddr & {CUSTOMER_MASK} }}"
    yield "meta l4proto tcp counter reject with tcp reset"
    yield "counter drop"
