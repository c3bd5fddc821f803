"""What is to change, as the text that nft reads. Pure: nothing here runs it.

nft's language and not libnftables' JSON, for three reasons: sets have to be declared `typeof ip saddr`, as a set that
nft 1.1 makes with `type ipv4_addr` crashes the nft 1.0.6 of Debian 12; the JSON of nft 1.0.6 cannot express `typeof`;
and structure and bans have to be in one transaction.

The rule of this module: whatever is not a constant is made from a number, never from a string.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from sidecar.core.address import Address
from sidecar.firewall import address_drops, answers, sightings
from sidecar.firewall.desired import DesiredState
from sidecar.firewall.edits import Edit, Put, Remove
from sidecar.firewall.elements import (
    CUSTOMER_MASK,
    ban_intervals,
    interval_text,
    interval_texts,
    timeout_text,
)
from sidecar.firewall.port_groups import PortGroup
from sidecar.firewall.schema import (
    ALLOWLIST_SETS,
    ANSWERS_CHAIN,
    CHAIN,
    DROP_COUNTERS,
    DROP_SETS,
    DROPPING_CHAIN,
    LATEST_SET,
    MISSED_SET,
    PASSED_SETS,
    REJECTED_SETS,
    SCHEMA,
    SEEN_SETS,
    SIGHTINGS_CHAIN,
    SUSPECT_SETS,
    TABLE,
    UNCOUNTED,
    WITNESS_SETS,
)

_FIELDS = {4: "ip saddr", 6: "ip6 saddr"}

# The first packet by which another address joins a connection of Multipath TCP (MP_JOIN, RFC 8684).
_JOIN = "tcp flags & (syn | ack) == syn tcp option mptcp subtype 1"


def structure(desired: DesiredState, more_groups: Iterable[PortGroup] = ()) -> list[str]:
    """Return the table without its bans. Over a table that is there it changes no ban, and no packet passes meanwhile.

    `more_groups`: groups besides the desired ones, while bans move between groups.
    """
    groups = (*desired.groups, *more_groups)
    lines = [f'add table inet {TABLE} {{ comment "{SCHEMA}"; }}']
    lines += [f"add counter inet {TABLE} {name}" for name in (*DROP_COUNTERS.values(), *UNCOUNTED.values())]
    lines += [_set(name, version, "flags interval; auto-merge;") for version, name in ALLOWLIST_SETS.items()]
    for group in groups:
        if group.port_set:
            lines.append(f"add set inet {TABLE} {group.port_set} {{ typeof th dport; }}")
        for version in (4, 6):
            # Without a size: the guard limits how many bans there are, and a full set refuses whole transactions.
            lines.append(_set(group.host_sets[version], version, "flags timeout;"))
            lines.append(_set(group.network_sets[version], version, "flags interval, timeout;"))
    lines += [
        f"add set inet {TABLE} {name} {{ {declaration} }}"
        for name, declaration in (*sightings.sets(), *address_drops.sets(), *answers.sets())
    ]
    # Before connection tracking (-200) and Docker's address translation (-100), so the port is still the published
    # one, open connections are cut, and a flood from banned addresses makes no conntrack entries.
    lines.append(
        f"add chain inet {TABLE} {CHAIN} {{ type filter hook prerouting priority -310; policy accept; }}"
    )
    lines += [
        f"add chain inet {TABLE} {name} {answers.declaration(hook)}"
        for name, hook in answers.hooks(desired.answers).items()
    ]
    chains = {
        CHAIN: rules(groups),
        SIGHTINGS_CHAIN: sightings.rules(),
        DROPPING_CHAIN: address_drops.rules(),
        **answers.rules(desired.answers, groups),
    }
    # A rule may jump only to a chain that is there.
    lines += [f"add chain inet {TABLE} {chain}" for chain in chains if chain not in base_chains(desired)]
    for chain, its_rules in chains.items():
        lines.append(f"flush chain inet {TABLE} {chain}")
        lines += [f"add rule inet {TABLE} {chain} {rule}" for rule in its_rules]
    return lines + topology(desired, groups)


def rules(groups: Collection[PortGroup]) -> Iterator[str]:
    """Yield the rules of the chain that drops.

    Only TCP and UDP are dropped, even where all ports are closed. Other protocols have no ports, and without ICMP the
    host's neighbour discovery and path MTU discovery break.
    """
    yield "iif lo accept"
    # Senders are recorded once, where the most ports are, and before the allowlist: on a host that only a CDN's nodes
    # connect to, packets do arrive.
    widest = [group for group in groups if group.ports is None] or groups
    for group in widest:
        yield f"{_to_ports_of(group)} jump {SIGHTINGS_CHAIN}"
    for version, name in ALLOWLIST_SETS.items():
        yield f"{_FIELDS[version]} @{name} accept"
    # Servers log the address that a connection began with. One that others have joined would go on over those after
    # that address is banned. Without this packet the connection stays with its first address, and goes on.
    for group in widest:
        # nft cannot read its own list of a rule that has `tcp` and then `th`.
        yield f"{_JOIN}{f' tcp dport @{group.port_set}' if group.port_set else ''} drop"
    # The address first: that is all that the kernel looks at in packets of clients that are not banned.
    for group in groups:
        for _, banned in _banned(group):
            yield f"{banned} {_to_ports_of(group)} goto {DROPPING_CHAIN}"
    for group in groups:
        if group.ports is not None:
            for version, banned in _banned(group):
                yield sightings.passed_rule(version, banned)


def topology(desired: DesiredState, groups: Iterable[PortGroup] = ()) -> list[str]:
    """Return the contents of the allowlist and of the sets of ports."""
    lines = []
    for version, name in ALLOWLIST_SETS.items():
        lines.append(f"flush set inet {TABLE} {name}")
        lines += _add(name, interval_texts(version, desired.allowlist))
    for group in groups or desired.groups:
        if group.port_set:
            lines.append(f"flush set inet {TABLE} {group.port_set}")
            ports = sorted(group.closed_ports(desired.published_ports))
            lines += _add(group.port_set, [f"{port:d}" for port in ports])
    return lines


def base_chains(desired: DesiredState) -> set[str]:
    """Return the names of the chains that packets enter from the kernel; the others are jumped to."""
    return {CHAIN, *answers.hooks(desired.answers)}


def names(desired: DesiredState) -> tuple[set[str], set[str], set[str]]:
    """Return the names of all chains, sets and counters of the table."""
    chains = {CHAIN, SIGHTINGS_CHAIN, DROPPING_CHAIN, *answers.rules(desired.answers, ())}
    sets = {
        *ALLOWLIST_SETS.values(), *SEEN_SETS.values(), *PASSED_SETS.values(), LATEST_SET, MISSED_SET,
        *REJECTED_SETS.values(), *DROP_SETS.values(),
        *SUSPECT_SETS.values(), *WITNESS_SETS.values(),
        *desired.groups.host_sets, *desired.groups.network_sets,
        *(group.port_set for group in desired.groups if group.port_set),
    }  # fmt: skip
    return chains, sets, {*DROP_COUNTERS.values(), *UNCOUNTED.values()}


def rule_count(desired: DesiredState) -> int:
    """Return how many rules the table has."""
    return sum(line.startswith("add rule ") for line in structure(desired))


def forget_sightings() -> list[str]:
    """Return the lines that make it unknown which addresses sent packets until now."""
    families = ["ipv4", "ipv6"]
    # Added twice, as before Linux 6.12 `add` alone would keep the old timeout of an element.
    return [*_add(MISSED_SET, families), *_delete(MISSED_SET, families), *_add(MISSED_SET, families)]


def element_lines(edits: Iterable[Edit]) -> list[str]:
    """Return the lines for edits of hash sets. Each set is named three times at most, however many edits there are."""
    removed: dict[str, list[str]] = {}
    put: dict[str, list[str]] = {}
    for edit in edits:
        if isinstance(edit, Remove) or not edit.is_new:
            removed.setdefault(edit.set_name, []).append(edit.element)
        if isinstance(edit, Put):
            put.setdefault(edit.set_name, []).append(edit.element + timeout_text(edit.left_s))
    lines = []
    for name, elements in removed.items():
        # nft refuses to delete an absent element; before Linux 6.12 `add` alone keeps the old timeout.
        lines += [*_add(name, elements), *_delete(name, elements)]
    for name, elements in put.items():
        lines += _add(name, elements)
    return lines


def network_lines(name: str, version: int, networks: Mapping[Address, float], now: float) -> list[str]:
    """Return a whole set of banned networks: they are few, and intervals change with their neighbours."""
    elements = [
        interval_text(version, low, high) + timeout_text(left_s)
        for (low, high), left_s in ban_intervals(networks, now).items()
    ]
    return [f"flush set inet {TABLE} {name}", *_add(name, elements)]


def delete_sets(desired: DesiredState, names: Iterable[str]) -> list[str]:
    """Return the lines that delete sets with all their elements; the structure has to follow in the same transaction.

    This takes the same short time for a set of any size, unlike removing elements one by one, or flushing a set that
    has grown large: see docs/benchmarks.md.
    """
    return [
        f"flush chain inet {TABLE} {CHAIN}",
        *([f"flush chain inet {TABLE} {ANSWERS_CHAIN}"] if answers.hooks(desired.answers) else []),
        *(f"delete set inet {TABLE} {name}" for name in sorted(names)),
    ]


def delete_groups(groups: Iterable[PortGroup]) -> list[str]:
    """Return the lines that delete the sets of port groups; no rule may refer to them any more."""
    return [
        f"delete set inet {TABLE} {name}"
        for group in groups
        for name in (*group.host_sets.values(), *group.network_sets.values(), group.port_set)
        if name
    ]


def delete_table() -> list[str]:
    """Return the lines that delete the table, whether or not it exists (`destroy` is too new for nft 1.0.6)."""
    return [f"add table inet {TABLE}", f"delete table inet {TABLE}"]


def _banned(group: PortGroup) -> Iterator[tuple[int, str]]:
    """Yield IP versions, and expressions that match packets from banned addresses."""
    for version, field in _FIELDS.items():
        masked = field if version == 4 else f"{field} & {CUSTOMER_MASK}"
        yield version, f"{masked} @{group.host_sets[version]}"
        yield version, f"{field} @{group.network_sets[version]}"


def _to_ports_of(group: PortGroup) -> str:
    """Return the expression that matches packets to the group's ports."""
    return "meta l4proto { tcp, udp }" + (f" th dport @{group.port_set}" if group.port_set else "")


def _set(name: str, version: int, flags: str) -> str:
    return f"add set inet {TABLE} {name} {{ typeof {_FIELDS[version]}; {flags} }}"


def _add(name: str, elements: Collection[str]) -> list[str]:
    return [f"add element inet {TABLE} {name} {{ {', '.join(elements)} }}"] if elements else []


def _delete(name: str, elements: Collection[str]) -> list[str]:
    return [f"delete element inet {TABLE} {name} {{ {', '.join(elements)} }}"] if elements else []
