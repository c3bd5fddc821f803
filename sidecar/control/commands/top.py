"""`top`: what happens just now, in an answer that is small and costs the same with any number of bans."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from sidecar import __version__
from sidecar.control.commands.answers import DropCounts, health_answer
from sidecar.control.commands.daemon import FirewallState, Tally
from sidecar.control.commands.loop_access import LoopAccess
from sidecar.control.protocol import RecentAddress, RecentDecision, TopAnswer, TopRequest
from sidecar.core.address import Address
from sidecar.core.events import Ban, Decision, Hit, Turn
from sidecar.core.queries import GuardView
from sidecar.telemetry.http import HealthCheck

# The last failures, by which addresses and sites are compared, and for how long one counts. Some 1 MB.
MAX_HITS: Final = 2_000
RECENT_S: Final = 600.0
MAX_DECISIONS: Final = 20
# Addresses and sites in an answer: more than a screen has lines.
MAX_ROWS: Final = 20


class RecentEvents:
    """A sink that remembers the last failures and decisions. The loop's thread writes it, and others copy."""

    name = "top"

    def __init__(self) -> None:
        self._hits: deque[Hit] = deque(maxlen=MAX_HITS)
        self._decisions: deque[Decision] = deque(maxlen=MAX_DECISIONS)

    def apply(self, turn: Turn) -> None:
        self._hits.extend(turn.hits[-MAX_HITS:])
        self._hits.extend(turn.ignored[-MAX_HITS:])
        self._decisions.extend(turn.decisions[-MAX_DECISIONS:])

    def failures(self, since: float) -> list[Hit]:
        """Return the last failures, those that did not count as well."""
        return [hit for hit in self._hits.copy() if hit.at >= since and not hit.success]

    def decisions(self) -> list[Decision]:
        """Return the last decisions, the newest first."""
        return list(reversed(self._decisions.copy()))


class TopCommand:
    """Shows what happens just now."""

    request = TopRequest

    def __init__(
        self,
        loop: LoopAccess,
        *,
        health: HealthCheck,
        firewall: FirewallState,
        tally: Tally,
        recent: RecentEvents,
    ) -> None:
        self._loop, self._health, self._firewall = loop, health, firewall
        self._tally, self._recent = tally, recent

    def answer(self, _: TopRequest) -> TopAnswer:
        now, names, active = self._loop.query(_jails)
        failures = self._recent.failures(now - RECENT_S)
        busiest = Counter(hit.address for hit in failures).most_common(MAX_ROWS)
        banned = self._loop.query(
            lambda view, _: {address for address, _ in busiest if view.is_banned(address)}
        )
        return {
            "version": __version__,
            "started": self._tally.started_at,
            "now": now,
            "health": health_answer(self._health.health()),
            "bans": active.total(),
            "failures": self._tally.failures.total(),
            "jails": [
                {
                    "name": name,
                    "failures": self._tally.failures[name],
                    "bans": self._tally.bans[name],
                    "active": active[name],
                }
                for name in names
            ],
            "sites": [
                {"name": name, "failures": count}
                for name, count in Counter(hit.origin.name for hit in failures).most_common(MAX_ROWS)
            ],
            "addresses": _addresses(busiest, failures, banned, self._firewall),
            "decisions": [_decision(each) for each in self._recent.decisions()],
            "dropped": sum(packets for packets, _ in self._firewall.state()["dropped"].values()),
        }


def _jails(view: GuardView, now: float) -> tuple[float, list[str], Counter[str]]:
    """Return the time, the names of the jails, and how many bans of each are in force."""
    active: Counter[str] = Counter()
    for (name, _), count in view.enforced_bans.items():
        active[name] += count
    return now, [jail.name for jail in view.jails], active


def _addresses(
    busiest: Iterable[tuple[Address, int]], failures: Iterable[Hit], banned: set[Address], drops: DropCounts
) -> list[RecentAddress]:
    last = {hit.address: hit for hit in failures}
    dropped = drops.dropped_from(sorted(banned))
    return [
        {
            "ip": address,
            "failures": count,
            "jail": last[address].jail,
            "site": last[address].origin.name,
            "banned": address in banned,
            "dropped": dropped[address].packets if address in dropped else None,
        }
        for address, count in busiest
    ]


def _decision(decision: Decision) -> RecentDecision:
    if not isinstance(decision, Ban):
        what, why, site, at = "unbanned", str(decision.cause), "", decision.at
    else:
        what = "would be banned" if decision.dry_run else "banned"
        why, site = decision.reason or str(decision.cause), decision.origin_name
        at = decision.decided_at or decision.at
    return {"at": at, "what": what, "ip": decision.address, "jail": decision.jail, "why": why, "site": site}
