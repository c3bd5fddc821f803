"""The decision: hits and commands in, bans and unbans out.

Every method takes the time and returns what is to be done about it; the caller does it. So a year of attacks is a
list in a test, and runs in milliseconds. Owned by one thread.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Self

from sidecar.core.events import Ban, Decision, Hit, Unban, Who
from sidecar.core.evidence import Evidence
from sidecar.core.jail import Jail
from sidecar.core.trust import IGNOREIP, Trust
from sidecar.core.who import network
from sidecar.core.window import Window

SWEEP = 60.0  # seconds between forgetting those who went quiet
MANUAL = Jail("manual")  # where a ban by hand goes that names no jail


@dataclass(slots=True)
class _Cell:
    """One jail at work: its rules, who is close to a ban, who is banned."""

    jail: Jail
    window: Window
    spared: Trust  # the jail's own ignoreip, beside what is never banned anywhere
    bans: dict[Who, Ban] = field(default_factory=dict)

    @classmethod
    def of(cls, jail: Jail) -> Self:
        return cls(
            jail, Window(jail.maxretry, jail.findtime), Trust({IGNOREIP: jail.ignoreip}, ban_private=True)
        )


class Guard:
    """Who is banned, and who is about to be."""

    def __init__(self, jails: Iterable[Jail], trust: Trust, bans: Iterable[Ban] = ()) -> None:
        self.ignored: Counter[str] = Counter()  # hits that did not count, by the reason
        self._trust = trust
        self._cells = {jail.name: _Cell.of(jail) for jail in (*jails, MANUAL)}
        self._evidence = Evidence()
        self._ends: list[tuple[float, int, Ban]] = []  # a heap; bans that were lifted linger until their time
        self._order = itertools.count()
        self._sweep = -math.inf
        for ban in bans:
            self._keep(ban)

    @property
    def bans(self) -> tuple[Ban, ...]:
        return tuple(ban for cell in self._cells.values() for ban in cell.bans.values())

    @property
    def jails(self) -> tuple[Jail, ...]:
        return tuple(cell.jail for cell in self._cells.values())

    def hits(self, hits: Iterable[Hit], now: float) -> list[Decision]:
        """Count failures, in order; a ban for each address with whom one was one too many.

        A hit counts at its log's time, and no later than now: a container whose clock runs ahead bans nobody for
        longer. A ban lasts from the failure that completed it, so an old burst read late has only its rest left.
        """
        return [decision for hit in hits for decision in self.hit(hit, now) or ()]

    def hit(self, hit: Hit, now: float) -> list[Decision] | None:
        """Count one failure as `hits` does; None: it does not count, and `ignored` has the reason."""
        if reason := self.ignores(hit):
            self.ignored[reason] += 1
            return None
        return self._count(self._cells[hit.jail], hit, min(hit.at, now), now)

    def ignores(self, hit: Hit) -> str | None:
        """Why this one would not count now; None: it would."""
        cell = self._cells.get(hit.jail)
        if cell is None:
            return "jail is gone"
        if hit.who in cell.bans:
            return "banned already"
        if hit.target and cell.window.repeats(hit.who, hit.target):
            return "the same target again"
        return self._trust.why(hit.who) or cell.spared.why(hit.who)

    def ban(
        self, who: Who, now: float, jail: str = "", lasting: float | None = None, reason: str = ""
    ) -> list[Decision]:
        """Ban by hand for `lasting` seconds (None: the jail's bantime; inf: for good), unless they may never be.

        A jail's name that is not known is a KeyError. Who is banned already stays so for the longer time.
        """
        cell = self._cells[jail or MANUAL.name]
        if self.why(who, jail):
            return []
        until = now + (cell.jail.bantime if lasting is None else lasting)
        before = cell.bans.get(who)
        if before and before.until >= until:
            return []
        return [self._keep(Ban(cell.jail.name, who, now, until, "manual", reason=reason))]

    def unban(self, who: Who | None, now: float, jail: str = "", cause: str = "manual") -> list[Decision]:
        """Let them in again, in one jail or in all; a network lets in all who are inside it, None everyone.

        What counted against them is forgotten too, else their next mistake would ban them again.
        """
        cells = [cell for cell in self._cells.values() if jail in ("", cell.jail.name)]
        decisions: list[Decision] = []
        for cell in cells:
            if who is not None:
                cell.window.clear(who)
                self._evidence.take(cell.jail.name, who)
            meant = [banned for banned in cell.bans if who is None or _inside(banned, who)]
            decisions += [self._lift(cell, banned, now, cause) for banned in meant]
        return decisions

    def over(self, who: Who) -> list[Who]:
        """The banned networks, wider than this, in which they lie; the widest first."""
        net = ip_network(who)
        wider = (Who(str(net.supernet(new_prefix=length))) for length in range(net.prefixlen))
        return [each for each in wider if any(each in cell.bans for cell in self._cells.values())]

    def trusting(self, trust: Trust, now: float) -> list[Decision]:
        """From now on these may never be banned; whoever of them is, or is spared by the jail, is let in."""
        self._trust = trust
        return [
            self._lift(cell, who, now, "allowed")
            for cell in self._cells.values()
            for who in [banned for banned in cell.bans if trust.why(banned) or cell.spared.why(banned)]
        ]

    def why(self, who: Who, jail: str = "") -> str | None:
        """Why this one may never be banned, anywhere or in this jail; None: they may."""
        return self._trust.why(who) or self._cells[jail or MANUAL.name].spared.why(who)

    def tick(self, now: float) -> list[Decision]:
        """End the bans that are over. Call at `next_tick()`, or whenever convenient."""
        if now >= self._sweep:
            self._sweep = now + SWEEP
            for cell in self._cells.values():
                cell.window.forget(now)
        decisions: list[Decision] = []
        while self._ends and self._ends[0][0] <= now:
            _, _, ban = heapq.heappop(self._ends)
            cell = self._cells[ban.jail]
            if cell.bans.get(ban.who) is ban:
                decisions.append(self._lift(cell, ban.who, now, "expired"))
        return decisions

    def next_tick(self) -> float:
        """When the next ban may end (`math.inf`: never)."""
        return self._ends[0][0] if self._ends else math.inf

    def _count(self, cell: _Cell, hit: Hit, at: float, now: float) -> list[Decision]:
        jail = cell.jail
        self._evidence.add(jail.name, hit.who, hit.line, jail.maxretry)
        if not cell.window.add(hit.who, at, hit.target):
            return []
        lines = self._evidence.take(jail.name, hit.who)
        if at + jail.bantime <= now:
            self.ignored["over already"] += 1
            return []
        return [
            self._keep(
                Ban(
                    jail.name, hit.who, at, at + jail.bantime, "failures",
                    failures=jail.maxretry, site=hit.origin.name, evidence=lines,
                )
            )
        ]  # fmt: skip

    def _keep(self, ban: Ban) -> Ban:
        """A jail that left the configuration has a cell for as long as we run, so that its bans end as they should."""
        cell = self._cells.get(ban.jail) or self._cells.setdefault(ban.jail, _Cell.of(Jail(ban.jail)))
        cell.bans[ban.who] = ban
        if ban.until < math.inf:
            heapq.heappush(self._ends, (ban.until, next(self._order), ban))
        return ban

    def _lift(self, cell: _Cell, who: Who, now: float, cause: str) -> Unban:
        del cell.bans[who]
        cell.window.clear(who)
        return Unban(cell.jail.name, who, now, cause)


def _inside(banned: Who, who: Who) -> bool:
    """Is the one the other, or a part of it?"""
    if banned == who:
        return True
    if "/" not in who:
        return False
    inner, outer = network(banned), network(who)
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[union-attr, arg-type]
