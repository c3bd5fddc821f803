"""Why someone who is banned was logged all the same: what the kernel has -> one sentence that says what to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

from sidecar.core.events import Who

Kind: TypeAlias = Literal["hook", "flushed", "ports", "twin", "elsewhere", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the kernel, and the container engine, say about someone who got through."""

    who: Who
    set: str  # where they have to be
    hooked: bool  # is the table as we left it, awake and with all its rules?
    held: bool  # are they in their set, or in a network that is?
    seen: bool | None  # did a packet of theirs come by lately? None: nobody knows
    senders: tuple[
        int, int
    ]  # packets to closed ports that came by, of IPv4 and of IPv6, since the table is there
    open: frozenset[int] = frozenset()  # ports that lead to the site, and that the ban does not close
    proxied: bool = False  # does the site's IPv6 traffic come through Docker's proxy?


class Diagnosis(NamedTuple):
    """What is the matter, for the metrics; and for people, with what to change."""

    kind: Kind
    sentence: str


def diagnose(facts: Facts) -> Diagnosis:
    """The first that explains it: our own table, then the ports, then the way that the packets took."""
    if not facts.hooked:
        return Diagnosis(
            "hook",
            "our rules are gone, asleep or not as we made them: another program changes the table inet wp_sidecar. "
            "They are put right at once; find what changes them (`nft monitor`)",
        )
    if not facts.held:
        return Diagnosis(
            "flushed",
            f"{facts.who} is not in {facts.set} any more: another program empties our sets. They are filled again at "
            "once; find what empties them (`nft monitor`)",
        )
    if facts.open:
        ports = ", ".join(f"{port:d}" for port in sorted(facts.open))
        return Diagnosis(
            "ports",
            f"the ban does not close port {ports}, which leads to the site: add it to `port` of the jail, or say "
            "`port = all`",
        )
    if not any(facts.senders):
        return Diagnosis(
            "hook",
            "no packet at all has come by here: run wp-sidecar on the host's own network (`network_mode: host`), and "
            "not for containers that have a network past the host (macvlan, ipvlan)",
        )
    if facts.seen is False:
        return _elsewhere(facts)
    return Diagnosis("unknown", _UNKNOWN[facts.seen])


def _elsewhere(facts: Facts) -> Diagnosis:
    if facts.proxied and ":" not in facts.who and facts.senders[1]:
        return Diagnosis(
            "twin",
            f"no packet came from {facts.who}, but IPv6 clients reach the site through Docker's proxy, which hides who "
            "they are: enable IPv6 on one of the container's networks, or publish its ports for IPv4 only "
            "(0.0.0.0:80:80)",
        )
    return Diagnosis(
        "elsewhere",
        f"no packet came from {facts.who}: a CDN or load balancer in front of this host sends in their place, and only "
        "there they can be kept out. Name it in trusted_proxies (or allow_cdn), and ban there",
    )


_UNKNOWN = {
    True: "their packets are dropped here, so the lines are of someone who gives their address for his own: check "
    "which proxies the site believes (X-Forwarded-For)",
    None: "whether their packets come by here cannot be told: the table is new, or too many senders came by",
}
