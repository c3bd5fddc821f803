"""The decision: hits and commands in, bans and unbans out.

Every method takes the time and returns what is to be done about it; the caller does it. So a year of attacks is a
list in a test, and runs in milliseconds. Owned by one thread.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from sidecar.core.address import Address, is_within, wider_networks
from sidecar.core.allowlist import Allowlist
from sidecar.core.ban_history import AGE, History, Past
from sidecar.core.events import (
    Ban,
    BanCause,
    Bypass,
    Decision,
    Forgiven,
    Hit,
    IgnoredReason,
    Unban,
    UnbanCause,
)
from sidecar.core.evidence import Evidence
from sidecar.core.expiry import Ends
from sidecar.core.jail import Jail
from sidecar.core.jail_state import JailState, Rules
from sidecar.core.overrides import Overrides

SWEEP = 60.0  # seconds between forgetting those who went quiet
MANUAL = Jail("manual")  # where a ban by hand goes that names no jail


class Figures(NamedTuple):
    """How full the guard is, for the metrics."""

    tracked: Mapping[str, int]  # by jail: addresses that failures are counted for
    untracked: int  # addresses given up because there were too many
    unproven: int  # lines of evidence given up
    remembered: int  # addresses whose former bans are known
    forgotten: int  # of those given up because there were too many


class AddressStatus(NamedTuple):
    """How someone stands with a jail."""

    jail: Jail
    never: str | None  # why they may never be banned there; None: they may
    failures: int  # that count now
    times: int  # they were banned before, what holds now included
    ban: Ban | None  # what holds now: their own, or that of all their neighbours


class Guard:
    """Who is banned, and who is about to be."""

    def __init__(
        self,
        jails: Iterable[Jail],
        allowlist: Allowlist,
        bans: Iterable[Ban] = (),
        history: Iterable[Past] = (),
        *,
        age: float = AGE,
        budget: Callable[[float], bool] = lambda _: True,
        again: Callable[[float], bool] | None = None,
        doubts: Callable[[Hit], str | None] = lambda _: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`age`: seconds that a ban is remembered after its end. `chance()`: from 0 to 1.

        `budget(now)`: may one more be kept out? `again(now)`: and one who was only observed so far (None: the same)?
        `doubts(hit)` is asked when a ban is about to be made: why this may not be who it says.
        """
        self.ignored: Counter[str] = Counter()  # hits that did not count, by the reason
        self._trust, self._budget, self._doubts, self._chance = allowlist, budget, doubts, chance
        self._again = again or budget
        self._policies: Mapping[str, Overrides] = {}
        self._cells = {jail.name: JailState.of(jail) for jail in (*jails, MANUAL)}
        self._evidence = Evidence()
        self._history = History(history, age)
        self._leaks: list[Bypass] = []
        self._forgiven: list[Forgiven] = []
        self._ends = Ends()
        self._sweep = -math.inf
        for ban in bans:
            self._keep(ban)

    @property
    def bans(self) -> tuple[Ban, ...]:
        """Those in force, without their evidence: that is the store's."""
        return tuple(ban for state in self._cells.values() for ban in state.bans.values())

    @property
    def history(self) -> tuple[Past, ...]:
        """The bans that are over, as far as they still count."""
        return tuple(self._history)

    @property
    def jails(self) -> tuple[Jail, ...]:
        return tuple(state.jail for state in self._cells.values() if state.bans or not state.gone)

    @property
    def active(self) -> dict[tuple[str, int], int]:
        """How many are kept out, by jail and IP version. Other threads may ask too: a reload changes the cells."""
        states = tuple(self._cells.items())  # in one step of the interpreter's
        return {(name, v): count for name, state in states for v, count in state.active.items()}

    @property
    def findtime(self) -> float:
        """Seconds: the longest that a failure may count, in any jail and at any site that was heard of."""
        return max((state.findtime for state in self._cells.values() if state.jail != MANUAL), default=0.0)

    @property
    def figures(self) -> Figures:
        states = self._cells.values()
        return Figures(
            {state.jail.name: len(state.window) for state in states},
            sum(state.window.forgotten for state in states),
            self._evidence.dropped,
            len(self._history),
            self._history.dropped,
        )

    def hits(self, hits: Iterable[Hit], now: float) -> list[Decision]:
        """Count failures, in order; a ban for each address with whom one was one too many.

        A hit counts at its log's time, and no later than now: a container whose clock runs ahead bans nobody for
        longer. A ban lasts from the failure that completed it, so an old burst read late has only its rest left.
        """
        return [decision for hit in hits for decision in self.hit(hit, now) or ()]

    def hit(self, hit: Hit, now: float) -> list[Decision] | None:
        """Count one failure as `hits` does; None: it does not count, and `ignored` has the reason."""
        state = self._cells.get(hit.jail)
        if state is None or state.gone:
            return self._ignore(IgnoredReason.JAIL_REMOVED)
        rules = state.rules_at(hit.origin.name, self._policies)
        ban = state.ban_of(hit.address)
        if ban and (
            hit.success or not self._enforces(ban, rules, now)
        ):  # who logs in is never kept out for that
            if bypass := state.bypass(ban, hit):
                self._leaks.append(bypass)
            return self._ignore(IgnoredReason.ALREADY_BANNED)
        if reason := self._spares(state, rules, hit):
            return self._ignore(reason)
        if ban:  # it was only observed, and they would be kept out now
            return [self._keep(replace(ban, decided_at=now, dry_run=False))]
        at = min(hit.at, now)
        if hit.success:
            self._forgive(state, hit.address, at)
            return []
        return self._count(state, rules.jail, hit, at, now)

    def ban(
        self, address: Address, now: float, jail: str = "", lasting: float | None = None, reason: str = ""
    ) -> list[Decision]:
        """Ban by hand for `lasting` seconds (None: the jail's bantime; inf: for good), unless they may never be.

        A jail's name that is not known is a KeyError. Who is banned already stays so for the longer time.
        """
        state = self._cells[jail or MANUAL.name]
        if self.why(address, jail):
            return []
        until = now + (state.jail.bantime if lasting is None else lasting)
        before = state.bans.get(address)
        if before and before.until >= until and not before.dry_run:
            return []
        if before and before.cause != BanCause.MANUAL:
            self._history.add(state.jail.name, address, before.ban_count, before.until)
        return [
            self._keep(
                Ban(state.jail.name, address, now, until, BanCause.MANUAL, reason=reason, decided_at=now)
            )
        ]

    def shared(self, bans: Iterable[Ban], now: float) -> list[Decision]:
        """Apply bans that other nodes made: for at most this jail's own ban time, and never for the allowlist.

        They do not count against this host's ban budget, or a hostile node could use it up; the fleet limits them.
        """
        decisions: list[Decision] = []
        for ban in bans:
            state = self._cells.get(ban.jail) or self._cells.setdefault(
                ban.jail, JailState.of(Jail(ban.jail), gone=True)
            )
            until = min(ban.until, now + self._longest(state.jail))
            before = state.bans.get(ban.address)
            if until <= now or (before and before.until >= until):
                continue
            if reason := self._trust.why(ban.address) or state.rules.spares(ban.address):
                self._ignore(reason)
                continue
            observed = state.jail.observe
            # by hand: `replace` takes five times as long, and a host that joins is told 100,000
            known = ban.failures, ban.origin_name, ban.evidence, ban.reason, ban.ban_count
            decisions.append(
                self._keep(Ban(ban.jail, ban.address, ban.at, until, BanCause.FLEET, *known, observed, now))
            )
        return decisions

    def unban(
        self, address: Address | None, now: float, jail: str = "", cause: UnbanCause = UnbanCause.MANUAL
    ) -> list[Decision]:
        """Let them in again, in one jail or in all; a network lets in all who are inside it, None everyone.

        What counted against them is forgotten too, else their next mistake would ban them again; and so are their
        former bans.
        """
        states = [state for state in self._cells.values() if jail in ("", state.jail.name)]
        decisions: list[Decision] = []
        for state in states:
            meant = [banned for banned in state.bans if address is None or is_within(banned, address)]
            decisions += [self._lift(state, banned, now, cause) for banned in meant]
        for each in {decision.address for decision in decisions} | ({address} if address else set()):
            for state in states:  # of whom one jail lets in another may be about to ban
                self._forgive(state, each, now)
                self._history.clear(state.jail.name, each)
        return decisions

    def over(self, address: Address) -> list[Address]:
        """The banned networks, wider than this, in which they lie; the widest first."""
        return [
            network
            for network in wider_networks(address)
            if any(network in state.bans for state in self._cells.values())
        ]

    def allowlisting(self, allowlist: Allowlist, now: float) -> list[Decision]:
        """From now on these may never be banned; whoever of them is, or is spared by the jail, is let in."""
        self._trust = allowlist
        return [
            self._lift(state, address, now, UnbanCause.ALLOWED)
            for state in self._cells.values()
            for address in [
                banned for banned in state.bans if allowlist.why(banned) or state.rules.spares(banned)
            ]
        ]

    def surround(self, policies: Mapping[str, Overrides]) -> None:
        """Site -> what its labels say over the jails; sites without labels are absent."""
        self._policies = dict(policies)
        for state in self._cells.values():
            state.forget_rules()

    def reconfigure(self, jails: Iterable[Jail], now: float, age: float | None = None) -> list[Decision]:
        """From now on these are the jails. Whoever is banned stays so, unless the jail now spares them.

        What counted against someone goes on counting, unless a jail counts in another way now. A jail that is not among
        them looks at nothing any more; it is here for as long as its bans. Who was only observed is kept out where
        the jail observes no longer.
        """
        self._history.age = self._history.age if age is None else age
        wanted = {jail.name: jail for jail in (*jails, MANUAL)}
        decisions: list[Decision] = []
        for name, jail in wanted.items():
            state = self._cells.get(name)
            if state is None:
                self._cells[name] = JailState.of(jail)
                continue
            enforcing = state.jail.observe and not jail.observe
            state.become(jail)
            if enforcing:
                decisions += self._enforced(state, now)
        for name, state in list(self._cells.items()):
            state.gone = name not in wanted
            if state.gone and not state.bans:
                del self._cells[name]
        return [*self.allowlisting(self._trust, now), *decisions]

    def why(self, address: Address, jail: str = "") -> str | None:
        """Why this one may never be banned, anywhere or in this jail; None: they may."""
        return self._trust.why(address) or self._cells[jail or MANUAL.name].rules.spares(address)

    def times(self, address: Address, now: float) -> dict[str, int]:
        """By jail, how often they were banned, as far as that is remembered; what holds now included."""
        found = {name: self._times(state, address, now) for name, state in self._cells.items()}
        return {name: times for name, times in found.items() if times}

    def statuses(self, address: Address, now: float) -> list[AddressStatus]:
        """How someone stands with each jail, for people."""
        return [
            AddressStatus(
                state.jail, self._trust.why(address) or state.rules.spares(address),
                state.window.failures(address, now - state.jail.findtime),
                self._times(state, address, now), state.ban_of(address),
            )
            for state in self._cells.values()
        ]  # fmt: skip

    def aside(self) -> tuple[tuple[Bypass, ...], tuple[Forgiven, ...]]:
        """What was noticed since this was last asked: who gets through, and whose failures are forgotten."""
        noticed = tuple(self._leaks), tuple(self._forgiven)
        self._leaks.clear()
        self._forgiven.clear()
        return noticed

    def tick(self, now: float) -> list[Decision]:
        """End the bans that are over. Call at `next_tick()`, or whenever convenient."""
        if now >= self._sweep:
            self._sweep = now + SWEEP
            self._forget(now)
        decisions: list[Decision] = []
        for ban in self._ends.due(now):
            state = self._cells.get(ban.jail)
            if state and state.bans.get(ban.address) is ban:
                decisions.append(self._lift(state, ban.address, now, UnbanCause.EXPIRED))
        return decisions

    def next_tick(self) -> float:
        """When the next ban may end (`math.inf`: never)."""
        return self._ends.next

    def _count(self, state: JailState, jail: Jail, hit: Hit, at: float, now: float) -> list[Decision]:
        address = hit.address
        if hit.target:
            state.targets.add(address, hit.target, 2 * jail.maxretry)
        self._evidence.add(jail.name, address, hit.line, jail.maxretry)
        before = self._before(state, address, now) if jail.escalation else 0
        weight = jail.escalation.weight(before, jail.maxretry) if jail.escalation else 1
        if not state.window.add(address, at, jail.maxretry, jail.findtime, weight):
            return []
        state.targets.clear(address)
        lines = self._evidence.take(jail.name, address)
        lasting = self._lasting(jail, before)
        if at + lasting <= now:
            self.ignored[IgnoredReason.BAN_EXPIRED] += 1
            return []
        if doubt := self._doubts(hit):
            self.ignored[doubt] += 1
            return []
        ban = Ban(
            jail.name, address, at, at + lasting, BanCause.FAILURES,
            failures=jail.maxretry, origin_name=hit.origin.name, evidence=lines,
            ban_count=self._history.ban_count(jail.name, address, now) + 1,
            dry_run=jail.observe or not self._budget(now), decided_at=now,
        )  # fmt: skip
        return [self._keep(ban), *self._group(state, ban)]

    def _before(self, state: JailState, address: Address, now: float) -> int:
        """How many bans count for the length of the next."""
        if state.jail.escalation and state.jail.escalation.overalljails:
            return sum(self.times(address, now).values())
        return self._history.ban_count(state.jail.name, address, now)

    def _lasting(self, jail: Jail, before: int) -> float:
        return (
            jail.escalation.bantime(jail.bantime, before, self._chance()) if jail.escalation else jail.bantime
        )

    def _longest(self, jail: Jail) -> float:
        """Seconds that a ban in this jail may last."""
        return (
            max(jail.bantime, jail.escalation.maxtime + jail.escalation.rndtime)
            if jail.escalation
            else jail.bantime
        )

    def _group(self, state: JailState, ban: Ban) -> list[Decision]:
        """With this one, so many of its neighbours are banned that all of them are."""
        full = state.full_group(ban.address)
        if not full or self._trust.why(full[0]) or state.rules.spares(full[0]):
            return []
        return [
            self._keep(
                replace(
                    ban, address=full[0], cause=BanCause.GROUP, failures=full[1], evidence=(), ban_count=1
                )
            )
        ]

    def _enforces(self, ban: Ban, rules: Rules, now: float) -> bool:
        """Was it only observed, and would they be kept out now?"""
        return ban.dry_run and not rules.jail.observe and self._again(now)

    def _enforced(self, state: JailState, now: float) -> list[Decision]:
        """Those who were only observed are kept out, where their site does not ask otherwise."""
        return [
            self._keep(replace(ban, dry_run=False, decided_at=now))
            for ban in list(state.bans.values())
            if ban.dry_run and not state.rules_at(ban.origin_name, self._policies).jail.observe
        ]

    def _spares(self, state: JailState, rules: Rules, hit: Hit) -> str | None:
        if hit.target and state.targets.repeats(hit.address, hit.target):
            return IgnoredReason.REPEATED_TARGET
        return self._trust.why(hit.address) or rules.spares(hit.address)

    def _forgive(self, state: JailState, address: Address, at: float) -> None:
        """What counted against them in this jail does so no more."""
        state.targets.clear(address)
        self._evidence.take(state.jail.name, address)
        if state.window.clear(address):
            self._forgiven.append(Forgiven(state.jail.name, address, at))

    def _times(self, state: JailState, address: Address, now: float) -> int:
        ban = state.bans.get(address)
        return (
            ban.ban_count
            if ban and ban.cause != BanCause.MANUAL
            else self._history.ban_count(state.jail.name, address, now)
        )

    def _forget(self, now: float) -> None:
        """Those who went quiet."""
        for state in self._cells.values():
            state.forget(now)
        self._history.forget(now)

    def _ignore(self, reason: str) -> list[Decision] | None:
        self.ignored[reason] += 1
        return None

    def _keep(self, ban: Ban) -> Ban:
        """A jail that left the configuration has a cell for as long as we run, so that its bans end as they should."""
        state = self._cells.get(ban.jail) or self._cells.setdefault(
            ban.jail, JailState.of(Jail(ban.jail), gone=True)
        )
        self._ends.put(state.keep(ban))
        return ban

    def _lift(self, state: JailState, address: Address, now: float, cause: UnbanCause) -> Unban:
        ban = state.lift(address)
        if cause == UnbanCause.EXPIRED and ban.cause != BanCause.MANUAL:
            self._history.add(state.jail.name, address, ban.ban_count, ban.until)
        elif cause != UnbanCause.EXPIRED:
            self._history.clear(state.jail.name, address)
        return Unban(state.jail.name, address, now, cause)
