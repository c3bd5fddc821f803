"""Why someone who is banned was logged all the same: what the kernel has -> one sentence that says what to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

from sidecar.core.address import Address
from sidecar.core.containers import Container

Kind: TypeAlias = Literal["hook", "flushed", "ports", "twin", "elsewhere", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHOWN = 10  # ports


@dataclass(frozen=True, slots=True)
class Facts:
    """What the kernel says about someone who got through, and what was put right there about when he did."""

    address: Address
    set: str  # where they have to be
    hooked: bool  # is the table as we left it, awake and with all its rules?
    held: bool  # are they in their set, or in a network that is?
    came: bool | None  # did a packet of theirs come by then? None: nobody knows
    anyone: frozenset[int]  # IP versions of which a packet of anyone came by then
    passed: frozenset[int] = frozenset()  # ports that the ban does not close, and that they connected to then
    mended: str = ""  # as `Repair.what`


class Diagnosis(NamedTuple):
    """What is the matter, for the metrics; and for people, with what to change."""

    kind: Kind
    sentence: str


def diagnose(facts: Facts, site: Container | None = None) -> Diagnosis:
    """The first that explains it: our own table, then the ports, then the way that the packets took.

    `site`: the container that logged them, where it is one that we watch.
    """
    return _changed(facts) or _around(facts, site) or _behind(facts, site)


def _changed(facts: Facts) -> Diagnosis | None:
    """Others change our table."""
    if not facts.hooked or facts.mended in ("table", "structure"):
        return Diagnosis(
            "hook",
            "our rules are, or were, gone, asleep or not as we made them: another program changes the table "
            "inet wp_sidecar. They are put right at once; find what changes them (`nft monitor`)",
        )
    if not facts.held or facts.mended:
        return Diagnosis(
            "flushed",
            f"another program changes our sets, and with that opens {facts.set} for a moment: they are put right at "
            "once; find what changes them (`nft monitor`)",
        )
    return None


def _around(facts: Facts, site: Container | None) -> Diagnosis | None:
    """Their packets take a way on which we drop none."""
    if site and site.past:
        return Diagnosis(
            "hook",
            "the container has a network that goes past the host (macvlan, ipvlan), where no packet can be dropped: "
            "publish its ports instead",
        )
    if facts.passed:
        ports = ", ".join(f"{port:d}" for port in sorted(facts.passed)[:SHOWN])
        return Diagnosis(
            "ports",
            f"they come by port {ports}, which the ban does not close: add it to `port` of the jail, or say "
            "`port = all`",
        )
    if not facts.anyone and facts.came is False:
        return Diagnosis(
            "hook",
            "no packet at all has come by here: run wp-sidecar on the host's own network (`network_mode: host`)",
        )
    return None


def _behind(facts: Facts, site: Container | None) -> Diagnosis:
    """Others send in their place."""
    if site and site.proxied and 6 in facts.anyone:
        return Diagnosis(
            "twin",
            "IPv6 clients reach the site through Docker's proxy, which hides who they are, and the site believes whom "
            "they name: enable IPv6 on one of the container's networks, or publish its ports for IPv4 only "
            "(0.0.0.0:80:80)",
        )
    if facts.came is False:
        return Diagnosis(
            "elsewhere",
            f"no packet came from {facts.address}: a CDN, load balancer or other proxy in front of this host sends in "
            "their place, and only there they can be kept out. Name it in trusted_proxies (or allow_cdn), and ban "
            "there",
        )
    return Diagnosis("unknown", _UNKNOWN[facts.came])


_UNKNOWN = {
    True: "their packets are dropped here, so the lines come by a proxy, theirs or that of someone who gives their "
    "address for his own: check which proxies the site believes (X-Forwarded-For)",
    None: "whether their packets come by here cannot be told: the line is older than our table, or too many senders "
    "came by",
}
