"""Who sent a packet here at all: the kernel notes it, in sets of its own beside the bans'. Pure: the text for nft.

It also notes to which ports the banned connect that no ban closes.

A log line can name anyone (a forged `X-Forwarded-For`), and so can a proxy in front; a packet comes from where it
comes from. Spoofing a sender puts someone in, never out: what could not be noted is known to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.core.address import Address

CHAIN = "presence"
SEEN = {4: "seen4", 6: "seen6"}  # hosts, and IPv6 customers (/64), by their last packet
LATEST = "latest"  # IP versions, by the last packet of anyone
MISSED = "missed"  # a packet of this IP version came and was not noted; or the noting has only begun
MOST = 65_535  # senders remembered of each IP version: some 100 bytes each, so 6 MB, and only under a flood
KEPT = 3600  # seconds after their last packet
LOOKBACK = 600  # seconds for which "surely not" holds: more than a slow request and a late log take together
KEYS = {4: b"\x02", 6: b"\x0a"}  # NFPROTO_IPV4 and NFPROTO_IPV6, as sets of IP versions hold them

PASSED = {
    4: "passed4",
    6: "passed6",
}  # (who, port): the banned who open connections to ports that no ban closes
PASSES = 512  # of these, read in 1 ms; one of the banned who tries all ports fills it, and then others are not noted
FRESH = 120  # seconds that they are remembered

_MASK6 = "ffff:ffff:ffff:ffff::"


def sets() -> Iterator[tuple[str, str]]:
    """Name -> what nft is to make of it."""
    for version, field in ((4, "ip saddr"), (6, "ip6 saddr")):
        yield SEEN[version], f"typeof {field}; size {MOST:d}; flags dynamic, timeout; timeout {KEPT:d}s;"
        made = f"typeof {field} . th dport; size {PASSES:d}; flags dynamic, timeout; timeout {FRESH:d}s;"
        yield PASSED[version], made
    # Room for more than the two: what is replaced in one transaction counts twice until it is done.
    for name, lasting in ((LATEST, KEPT), (MISSED, LOOKBACK)):
        yield name, f"typeof meta nfproto; size 8; flags dynamic, timeout; timeout {lasting:d}s;"


def rules() -> Iterator[str]:
    """The chain that notes a packet's sender; it ends no packet's way.

    A set that is full refuses, and a refusal leaves the rule where it stands: only then the last one is reached.
    `update` and not `add`: either is one lookup, and with `add` a regular visitor is forgotten once an hour.
    """
    yield f"update @{LATEST} {{ meta nfproto }}"
    yield f"update @{SEEN[4]} {{ ip saddr }} return"
    yield f"update @{SEEN[6]} {{ ip6 saddr & {_MASK6} }} return"
    yield f"update @{MISSED} {{ meta nfproto }}"


def passing(version: int, banned: str) -> str:
    """The rule that notes to which port `banned` packets connect; it has to come after those that drop.

    Only a connection's first packet counts: in answers the port is one of ours, from which we called.
    """
    source = {4: "ip saddr", 6: f"ip6 saddr & {_MASK6}"}[version]
    return f"tcp flags & (syn | ack) == syn {banned} update @{PASSED[version]} {{ {source} . th dport }}"


def version(address: Address) -> int | None:
    """Of whom there can be a note: a host, or an IPv6 customer. None: of a wider network there is none."""
    if ":" in address:
        return 6 if address.endswith("/64") else None
    return None if "/" in address else 4
