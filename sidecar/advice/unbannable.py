"""Failures of those who may never be banned: an attack from there goes on, so somebody has to be told.

Usually it is no attack of theirs. The log shows a proxy, a gateway or a CDN where the client should be.
"""

from __future__ import annotations

from sidecar.advice.kubernetes import source_nat
from sidecar.core.allowlist import CONTAINERS, GATEWAY, IGNOREIP, OWN, PRIVATE, PROXY
from sidecar.core.rate import Rate

MOST, PER = 100, 600.0  # failures, seconds: more than people mistype, less than any brute force
FORGED = (
    10  # bans that were not made for doubt, within the same time: one may be an attacker's of before a reboot
)
QUIET = 0.5  # the part of `most` under which it is over

_HIDDEN = "The log shows them instead of the client"
_REMEDY = {
    OWN: "A program here has a wrong password, or a proxy on this host hides the clients",
    GATEWAY: f"{_HIDDEN}: see docs/allowlist.md",
    CONTAINERS: f"{_HIDDEN}, or another container has a wrong password: see docs/allowlist.md",
    PROXY: f"{_HIDDEN}: let mod_remoteip or real_ip take the client from X-Forwarded-For",
    **dict.fromkeys(PRIVATE, f"{_HIDDEN}, or it is one of your own: see docs/allowlist.md"),
}
_CDN = (
    f"{_HIDDEN}: let mod_remoteip or real_ip take the client from the CDN's header, and have the CDN ban it"
)


class Spared:
    """How many failures of the never banned each log has lately, by the reason. Owned by one thread."""

    def __init__(self, most: int = MOST, per: float = PER) -> None:
        self._most, self._per = most, per
        self._rates: dict[tuple[str, str], Rate] = {}
        self._loud: set[tuple[str, str]] = set()

    def failed(self, site: str, reason: str, now: float, count: int = 1) -> None:
        """So many more. What was spared by request (`ignoreip`) is no news."""
        if reason != IGNOREIP:
            self._rates.setdefault((site, reason), Rate(self._per)).add(now, count)

    def loud(self, now: float) -> dict[tuple[str, str], int]:
        """(log, reason) -> failures within the time, where they are many, or were and are not few yet."""
        counts = {key: int(rate.count(now)) for key, rate in self._rates.items()}
        self._rates = {key: self._rates[key] for key, count in counts.items() if count}
        self._loud = {
            key for key, count in counts.items() if count > self._most * (QUIET if key in self._loud else 1)
        }
        return {key: counts[key] for key in self._loud}


def forged(site: str, count: int, exposed: str | None = None) -> str:
    """That somebody writes strangers into this log."""
    return (
        f"{count:,} times within {PER / 60:.0f} minutes {site} logged the failures of someone who sent no packet here: "
        f"somebody forges addresses, and nobody was banned for it. {exposed or 'See docs/allowlist.md'}."
    )


def sentence(site: str, reason: str, count: int, exposed: str | None = None) -> str:
    """What cannot be banned there, why, and what to do; where its container is `exposed`, that says it best."""
    remedy = exposed or source_nat(site, reason) or _REMEDY.get(reason, _CDN if "CDN" in reason else _HIDDEN)
    lately = f"{count:,} failures in {site} within {PER / 60:.0f} minutes"
    return f"{lately} came from {reason}, and those are never banned. {remedy}."
