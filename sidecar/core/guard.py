"""The decision: hits and commands in, bans and unbans out.

Every method takes the time and returns what is to be done about it, and the caller does it. So a year of attacks is a
list in a test, and takes milliseconds. The loop's thread owns the guard; questions that change nothing are in
`queries.py`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sidecar.core.address import Address, is_within
from sidecar.core.allowed import Allow, AllowChange, AllowedAddresses, Disallow
from sidecar.core.allowlist import CONTAINERS, Allowlist
from sidecar.core.ban_budget import NO_BUDGET, EnforcementBudget
from sidecar.core.ban_history import HISTORY_AGE_S, BanHistory, PastBans
from sidecar.core.ban_register import BanRegister
from sidecar.core.bantime_increment import Chance
from sidecar.core.events import (
    Ban,
    BanCause,
    Bypass,
    Decision,
    Forgiven,
    Hit,
    UnbanCause,
)
from sidecar.core.guard_state import GuardState
from sidecar.core.hit_judge import HitJudge
from sidecar.core.jail import MANUAL_JAIL, Jail, is_asked_for
from sidecar.core.jail_state import JailState
from sidecar.core.jail_states import JailStates
from sidecar.core.max_bans import MAX_BANS, MaxBans
from sidecar.core.memory_relief import recover, relieve
from sidecar.core.overrides import Overrides
from sidecar.core.queries import GuardView
from sidecar.core.refused_bans import RefusedBan
from sidecar.core.relayed import RelatedLogs
from sidecar.core.sites import Sites
from sidecar.core.witness import NO_WITNESS, Witness

# Between two sweeps, which forget the failures and bans that count no more.
SWEEP_INTERVAL_S: Final = 60.0


class Guard:
    """Decides which addresses are banned. `view` answers questions about it."""

    def __init__(
        self,
        jails: Iterable[Jail],
        allowlist: Allowlist,
        bans: Iterable[Ban] = (),
        history: Iterable[PastBans] = (),
        *,
        history_age_s: float = HISTORY_AGE_S,
        budget: EnforcementBudget = NO_BUDGET,
        witness: Witness = NO_WITNESS,
        chance: Chance | None = None,
        counts_from: float = -math.inf,
        max_bans: int = MAX_BANS,
        allowed: Iterable[Allow] = (),
    ) -> None:
        """Begin with these bans in force. `history_age_s` is how long after its end a ban still counts.

        `max_bans` is how many may be in force; beyond it some are merged or end early (`max_bans.py`).

        `counts_from`: hits before this unix time do not count, as it is unknown which of them were forgiven.
        `allowed` is what people put on the allowlist, which has it.
        """
        self._state = GuardState(
            JailStates(jails),
            allowlist,
            BanHistory(history, history_age_s),
            allowed=AllowedAddresses(allowed),
        )
        self.view = GuardView(self._state)
        self._register = BanRegister(self._state.jails, self._state.history)
        self._limit = MaxBans(self._state, self._register, max_bans)
        self._witness = witness
        # The random numbers only spread the ends of bans (`bantime.rndtime`), and keep no secret.
        self._judge = HitJudge(
            self._state, self._register, self._limit, budget, witness,
            chance=chance or random.Random(), counts_from=counts_from,  # noqa: S311
        )  # fmt: skip
        self._next_sweep = -math.inf
        for ban in bans:
            self._register.put(ban)

    def located(self, hits: Iterable[Hit]) -> Iterable[Hit]:
        """Return the hits as they are to be counted: in the jail of their site, where a jail has its scope."""
        return self._state.jails.located(hits)

    def hits(self, hits: Iterable[Hit], now: float) -> list[Decision]:
        """Count hits in their order, and return a ban for each address that failed too often.

        A hit counts at its log's time, but no later than now: a container's clock that runs ahead makes no ban longer.
        A ban lasts from the failure that completed it, so of an old burst that is read late only the rest is left.
        """
        return [decision for hit in hits for decision in self._judge.hit(hit, now) or ()]

    def hit(self, hit: Hit, now: float) -> Sequence[Decision] | None:
        """Count one hit as `hits` does; None: it does not count, and `view.ignored` has the reason."""
        return self._judge.hit(hit, now)

    def ban(
        self, address: Address, now: float, jail: str = "", bantime: float | None = None, reason: str = ""
    ) -> list[Decision]:
        """Ban by hand, unless the address is on an allowlist.

        `bantime` is seconds (None: the jail's own; `math.inf`: permanently). A ban in force is never shortened. Raises
        KeyError for a jail that is not known.
        """
        state = self._state.jails.by_name[jail or MANUAL_JAIL.name]
        lasting = state.jail.bantime if bantime is None else bantime
        return self.ban_until(address, now + lasting, now, jail, reason)

    def ban_until(
        self, address: Address, until: float, now: float, jail: str = "", reason: str = ""
    ) -> list[Decision]:
        """Ban by hand until a unix time, as `ban` does."""
        state = self._state.jails.by_name[jail or MANUAL_JAIL.name]
        if self._state.allowlist_reason(state, address):
            return []
        before = state.bans.get(address)
        if before and before.until >= until and not before.dry_run:
            return []
        if before and before.cause != BanCause.MANUAL:
            self._state.history.add(state.name, address, before.ban_count, before.until)
        ban = Ban(state.name, address, now, until, BanCause.MANUAL, reason=reason, decided_at=now)
        return [self._register.put(ban)]

    def ban_from_fleet(self, bans: Iterable[Ban], now: float) -> list[Decision]:
        """Apply bans that other nodes made: for at most this jail's own ban time, and never for the allowlist.

        They do not count against this host's ban budget, or a hostile node could use it up; the fleet limits them.
        """
        decisions: list[Decision] = []
        for ban in bans:
            state = self._state.jails.by_name.get(ban.jail) or self._state.jails.add(ban.jail)
            until = min(ban.until, now + state.jail.longest_bantime)
            before = state.bans.get(ban.address)
            if until <= now or (before and before.until >= until):
                continue
            if reason := self._state.allowlist_reason(state, ban.address):
                self._state.ignored[reason] += 1
                continue
            self._state.refused.clear(ban.jail, ban.address)
            # By hand: `replace` takes five times as long, and a host that joins a fleet applies 100,000.
            known = ban.failures, ban.origin_name, ban.evidence, ban.reason, ban.ban_count
            decisions.append(
                self._register.put(
                    Ban(ban.jail, ban.address, ban.at, until, BanCause.FLEET, *known, state.jail.observe, now)
                )
            )
        return [*decisions, *self._limit.make_room(now)]

    def unban(
        self,
        address: Address | None,
        now: float,
        jail: str = "",
        cause: UnbanCause = UnbanCause.MANUAL,
        *,
        made_until: float = math.inf,
    ) -> list[Decision]:
        """End the bans of this address, of all in this network, or (None) all bans, in one jail or in all.

        A jail with the scope of a site stands for those of its sites too.

        Their failures are forgotten too, or the next one would ban them again, and so are their former bans.
        `made_until`: end only bans for failures up to this time; what happened since then was not unbanned.
        """
        states = [state for state in self._state.jails if is_asked_for(state.name, jail)]
        decisions: list[Decision] = []
        for state in states:
            unbanned = [
                ban.address
                for ban in state.bans
                if ban.at <= made_until and (address is None or is_within(ban.address, address))
            ]
            decisions += [self._register.end(state, each, now, cause) for each in unbanned]
        # An address that one jail unbans may be about to be banned by another.
        named = {address} if address and made_until >= now else set[Address]()
        forgive, refused, history = self._state.forgive, self._state.refused, self._state.history
        for each in {decision.address for decision in decisions} | named:
            for state in states:
                state.networks.clear(each)
                forgive(state, each, now)
                refused.clear(state.name, each)
                history.clear(state.name, each)
        return decisions

    def allow(self, entries: Iterable[Allow]) -> None:
        """Note what a person allows. It holds with the next `set_allowlist`, which has these addresses too."""
        self._state.allowed.put(entries)

    def disallow(self, addresses: Iterable[Address], now: float) -> list[Disallow]:
        """Note that a person takes back what was allowed. Return what of it was."""
        return self._state.allowed.end(addresses, now)

    def end_allowed(self, now: float) -> list[Disallow]:
        """End what was allowed until now. The next `set_allowlist` is without these addresses."""
        return self._state.allowed.end_expired(now)

    def set_allowlist(self, allowlist: Allowlist, now: float) -> list[Decision]:
        """Ban none of these from now on, and unban those that are banned."""
        self._state.allowlist = allowlist
        return self._unban_allowlisted(now)

    def set_overrides(self, overrides: Mapping[str, Overrides]) -> None:
        """Apply what containers' labels say now: container's name -> its overrides; others are absent."""
        self._state.jails.set_overrides(overrides)

    def set_sites(self, sites: Sites) -> None:
        """Have these be the sites of jails with the scope of a site."""
        self._state.jails.set_sites(sites)

    def set_related_logs(self, related: RelatedLogs) -> None:
        """Count a request once that has a line in several of these logs (`relayed.py`)."""
        self._judge.relayed.related = related

    def reconfigure(
        self,
        jails: Iterable[Jail],
        now: float,
        history_age_s: float | None = None,
        max_bans: int | None = None,
    ) -> list[Decision]:
        """Make these the jails. Bans stay, unless the jail's `ignoreip` has the address now.

        Failures go on counting, unless a jail counts in another way now. A jail that is not among these counts nothing
        any more, and stays for as long as its bans. Dry runs of a jail that enforces now are enforced.
        """
        if history_age_s is not None:
            self._state.history.age_s = history_age_s
        if max_bans is not None:
            self._limit.max_bans = max_bans
        enforcing = self._state.jails.reconfigure(jails)
        enforced: list[Decision] = [
            self._register.enforce(ban, now) for state in enforcing for ban in _dry_runs(state)
        ]
        return [*self._unban_allowlisted(now), *enforced, *self._limit.make_room(now)]

    def relieve_memory(self) -> None:
        """Forget what can be spared, because memory is short, and let nothing grow beyond what is left."""
        relieve(self._state)
        self._limit.freeze()

    def memory_recovered(self) -> None:
        """Let everything grow again."""
        recover(self._state)
        self._limit.thaw()

    def take_noticed(self) -> tuple[tuple[Bypass, ...], tuple[Forgiven, ...]]:
        """Return the bypassed bans and the forgiven failures since the last call."""
        # The usual case, in each turn.
        if not self._state.noticed:
            return (), ()
        noticed, self._state.noticed = self._state.noticed, []
        return (
            tuple(each for each in noticed if isinstance(each, Bypass)),
            tuple(each for each in noticed if isinstance(each, Forgiven)),
        )

    def take_allow_changes(self) -> tuple[AllowChange, ...]:
        """Return what people allowed, and what ended of it, since the last call."""
        return self._state.allowed.take_changes()

    def take_refused(self) -> tuple[RefusedBan, ...]:
        """Return the bans that were found to have no witness since the last call: another host may be one."""
        return self._state.refused.take_without_witness()

    def saw_packet(self, address: Address) -> bool:
        """Return whether this host is a witness for a ban of this address."""
        return bool(self._witness.seen(address))

    def dismiss_bypass(self, bypass: Bypass) -> None:
        """Notice the next bypass of this ban again: this one was a request from before the ban."""
        if state := self._state.jails.by_name.get(bypass.jail):
            state.bans.dismiss_bypass(bypass.address)

    def tick(self, now: float) -> list[Decision]:
        """End the bans that have expired. Call it at `next_tick()`, or at any time."""
        if now < self._next_sweep:
            return self._register.end_expired(now)
        self._next_sweep = now + SWEEP_INTERVAL_S
        self._sweep(now)
        return [*self._register.end_expired(now), *self._limit.make_room(now)]

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set by this much (`clock_steps.py`).

        So bans keep the time that is left of them, and failures their age. How many bans were made lately
        (`ban_budget.py`) begins again: it is about a minute.
        """
        self._register.shift(by_s)
        self._state.refused.shift(by_s)
        self._state.allowed.shift(by_s)
        self._judge.shift(by_s)
        self._next_sweep += by_s

    def next_tick(self) -> float:
        """Return when the next ban may end; `math.inf`: none does."""
        return self._register.next_end

    def _unban_allowlisted(self, now: float) -> list[Decision]:
        """Unban what is allowed now, but for container networks.

        Anybody who may make a network chooses its addresses, and removes it again. While it is there the kernel accepts
        its packets; the bans are in force again when it is gone.
        """
        return [
            self._register.end(state, address, now, UnbanCause.ALLOWED)
            for state in self._state.jails
            for address in [
                ban.address
                for ban in state.bans
                if self._state.allowlist_reason(state, ban.address) not in (None, CONTAINERS)
            ]
        ]

    def _sweep(self, now: float) -> None:
        for state in self._state.jails:
            state.forget(now)
        self._state.history.forget(now)
        self._state.refused.forget(now - self.view.longest_findtime)


def _dry_runs(state: JailState) -> list[Ban]:
    """Return the dry runs of a jail, except where a container's labels still ask for one."""
    return [ban for ban in state.bans if ban.dry_run and not state.effective_at(ban.origin_name).jail.observe]
