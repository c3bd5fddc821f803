"""Decides about hits: whether one counts, whether a ban is due by it, and whether that ban is made.

All that speaks against a ban is asked here, in this order: the allowlist, a proxy before the client, the time of the
failure, the witness, the excuses and the ban budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sidecar.core.address import Address
from sidecar.core.ban_budget import EnforcementBudget
from sidecar.core.ban_register import BanRegister
from sidecar.core.bantime_increment import Chance
from sidecar.core.events import Ban, BanCause, Decision, Hit, IgnoredReason
from sidecar.core.guard_state import GuardState
from sidecar.core.jail import Jail, Success
from sidecar.core.jail_state import JailState
from sidecar.core.max_bans import MaxBans
from sidecar.core.network_failures import FullNetwork
from sidecar.core.refused_bans import RefusalReason
from sidecar.core.relayed import RelayedRequests
from sidecar.core.witness import Witness


class HitJudge:
    """Counts hits and bans for them. `relayed` finds requests that several logs have."""

    def __init__(
        self,
        state: GuardState,
        register: BanRegister,
        limit: MaxBans,
        budget: EnforcementBudget,
        witness: Witness,
        *,
        chance: Chance,
        counts_from: float,
    ) -> None:
        """`counts_from`: hits before this unix time do not count."""
        self.relayed = RelayedRequests()
        self._state = state
        self._register = register
        self._limit = limit
        self._budget, self._witness = budget, witness
        self._chance = chance
        self._counts_from = counts_from

    def hit(self, hit: Hit, now: float) -> Sequence[Decision] | None:
        """Count one hit as `hits` does; None: it does not count, and `view.ignored` has the reason."""
        # The hot path: a flood makes a million of these calls. Names are looked up once, and the usual case is here.
        jail_name, address, at, origin, _, target, success, peer = hit
        known = self._state
        state = known.jails.by_name.get(jail_name)
        if state is None or state.is_removed:
            known.ignored[IgnoredReason.JAIL_REMOVED] += 1
            return None
        if at < self._counts_from:
            known.ignored[IgnoredReason.BEFORE_START] += 1
            return None
        jail, own_allowlist = state.effective_at(origin.name)
        ban = state.bans.covering(address)
        if ban or target or peer or self.relayed.related:
            reason = self._ignored_reason(state, jail, ban, hit, now)
        else:
            reason = known.allowlist.reason(address)
        if not reason and own_allowlist:
            reason = own_allowlist.reason(address)
        if reason:
            known.ignored[reason] += 1
            return None
        # A dry run that is enforced from now on.
        if ban:
            return [self._register.enforce(ban, now)]
        at = min(at, now)
        if success:
            self._logged_in(state, jail, hit, at, now)
            return ()
        return self._count(state, jail, hit, at, now)

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        self._counts_from += by_s
        self.relayed.shift(by_s)

    def _ignored_reason(
        self, state: JailState, jail: Jail, ban: Ban | None, hit: Hit, now: float
    ) -> str | None:
        """Return why a hit does not count; None: it does, or it may have a dry run enforced."""
        if self.relayed.related and self.relayed.is_second(hit):
            return IgnoredReason.COUNTED_ALREADY
        # A login that works is no reason to enforce a dry run.
        if ban and (hit.success or not ban.dry_run or not self._may_enforce(jail, hit.origin.name, now)):
            if bypass := state.bans.bypass_of(ban, hit):
                self._state.noticed.append(bypass)
            return IgnoredReason.ALREADY_BANNED
        if hit.target and state.failures.is_repeated(hit):
            return IgnoredReason.REPEATED_TARGET
        if reason := self._state.allowlist.reason(hit.address):
            return reason
        # Its packets are the proxy's, and a ban would drop nothing.
        if hit.peer:
            self._state.peers.add(hit.peer, hit.address)
            if not hit.success:
                return IgnoredReason.BEHIND_PROXY
        return None

    def _count(self, state: JailState, jail: Jail, hit: Hit, at: float, now: float) -> Sequence[Decision]:
        address = hit.address
        previous, weight = 0, 1
        if jail.escalation:
            previous = self._previous_bans(state, address, now)
            weight = jail.escalation.weight(previous, jail.maxretry)
        full = state.networks.add(state.jail, address, at) if jail.aggregate else None
        lines = state.failures.add(jail, hit, at, weight)
        if lines is None:
            return self._ban_network(state, full, hit, at, now) if full else []
        until = at + jail.bantime_after(previous, self._chance.random())
        if until <= now:
            self._state.ignored[IgnoredReason.BAN_EXPIRED] += 1
            return ()
        if reason := self._refusal_reason(state, jail, address, at, now):
            self._state.ignored[reason] += 1
            self._state.refused.refuse(
                jail.name, address, reason, hit.origin.name, failures=jail.maxretry, now=now
            )
            # A proxy's failures are excused, and those of others wait for a witness.
            if reason != RefusalReason.PROBABLE_PROXY:
                # As many as the strictest reading needs: a label must not have others' failures forgotten.
                state.failures.put_back(max(jail, state.jail, key=_maxretry), address, at, lines)
            return ()
        self._state.refused.clear(jail.name, address)
        ban = Ban(
            jail.name, address, at, until, BanCause.FAILURES,
            failures=jail.maxretry, origin_name=hit.origin.name, evidence=lines,
            ban_count=self._state.history.ban_count(jail.name, address, now) + 1,
            dry_run=jail.observe or not self._budget.allows(now, hit.origin.name), decided_at=now,
        )  # fmt: skip
        decisions = [self._register.put(ban), *self._group(state, ban)]
        if full:
            decisions += self._ban_network(state, full, hit, at, now)
        return [*decisions, *self._limit.make_room(now)]

    def _refusal_reason(
        self, state: JailState, jail: Jail, address: Address, at: float, now: float
    ) -> RefusalReason | None:
        """Return why a ban that is due is not made; None: it is."""
        if jail.witness:
            if refused := self._state.refused.without_witness(jail.name, address, now):
                return refused
            seen = self._witness.seen(address)
            if not seen:
                return RefusalReason.UNKNOWN if seen is None else RefusalReason.NEVER_SEEN
        if state.excuses.excuse_due_ban(state.jail, address, at, is_peer=address in self._state.peers):
            return RefusalReason.PROBABLE_PROXY
        return None

    def _logged_in(self, state: JailState, jail: Jail, hit: Hit, at: float, now: float) -> None:
        # By the limits of the jail, not of the container: its labels must not excuse failures at others.
        self._login_proved(state, state.jail, hit, at, now)
        # What a server shows to nobody else proves the login to every jail that asks for proofs.
        if jail.reads_requests:
            # Of jails with the scope of a site, to those of this site: another one could write such lines.
            sites = "", state.jail.site or self._state.jails.sites.site_of(hit.origin.name)
            for other in self._state.jails:
                if (
                    other is not state
                    and other.jail.success is not Success.IGNORE
                    and other.jail.site in sites
                ):
                    self._login_proved(other, other.jail, hit, at, now)

    def _login_proved(self, state: JailState, jail: Jail, hit: Hit, at: float, now: float) -> None:
        """Clear the failures before a proof of login, as far as they are excused (`excuses.py`)."""
        address = hit.address
        state.networks.login_proved(address)
        if address not in state.failures.window:
            state.excuses.login_proved(jail, address, 0, at)
            return
        failures = state.failures.window.failures(address, at - jail.findtime)
        is_peer = address in self._state.peers
        if not state.excuses.login_proved(jail, address, failures, at, is_peer=is_peer):
            return
        self._state.forgive(state, address, at)
        if state.excuses.looks_like_proxy(jail, address):
            proxy = RefusalReason.PROBABLE_PROXY
            self._state.refused.refuse(jail.name, address, proxy, hit.origin.name, failures=failures, now=now)
        else:
            self._state.refused.clear(jail.name, address)

    def _previous_bans(self, state: JailState, address: Address, now: float) -> int:
        """Return how many bans count for the length of the next."""
        if state.jail.counts_bans_of_all_jails:
            return sum(self._state.ban_counts(address, now).values())
        return self._state.history.ban_count(state.name, address, now)

    def _group(self, state: JailState, ban: Ban) -> list[Decision]:
        """Ban the neighbourhood of a new ban, once enough of its hosts are banned."""
        group = state.bans.full_group(ban.address)
        if not group or self._state.allowlist_reason(state, group[0]):
            return []
        address, hosts = group
        reason = f"{hosts} of its addresses are banned, the last is {ban.address}"
        # The network's first ban, whatever its member had before.
        grouped = replace(
            ban,
            address=address,
            cause=BanCause.GROUP,
            failures=hosts,
            evidence=(),
            reason=reason,
            ban_count=1,
        )
        return [self._register.put(grouped)]

    def _ban_network(
        self, state: JailState, full: FullNetwork, hit: Hit, at: float, now: float
    ) -> list[Decision]:
        """Ban a network with too many failures, if enough of its members have a witness."""
        jail = state.effective_at(hit.origin.name).jail
        network, failures, members = full
        until = at + jail.bantime
        if until <= now or network in state.bans or self._state.allowlist_reason(state, network):
            return []
        if jail.witness and self._lacks_witness(state, full, now):
            never = RefusalReason.NEVER_SEEN
            self._state.ignored[never] += 1
            self._state.refused.refuse(jail.name, network, never, hit.origin.name, failures=failures, now=now)
            return []
        self._state.refused.clear(jail.name, network)
        ban = Ban(
            jail.name, network, at, until, BanCause.GROUP, failures=failures, origin_name=hit.origin.name,
            evidence=(hit.line,),
            reason=f"{failures} failures of at least {len(members)} of its addresses, the last of {hit.address}",
            ban_count=self._state.history.ban_count(jail.name, network, now) + 1,
            dry_run=jail.observe or not self._budget.allows(now, hit.origin.name), decided_at=now,
        )  # fmt: skip
        return [self._register.put(ban)]

    def _lacks_witness(self, state: JailState, full: FullNetwork, now: float) -> bool:
        """Return whether too few members of a network are known to have sent packets. Asks once a second at most."""
        if self._state.refused.without_witness(state.name, full.address, now):
            return True
        return sum(bool(self._witness.seen(member)) for member in full.members) < full.least_members

    def _may_enforce(self, jail: Jail, site: str, now: float) -> bool:
        """Return whether a dry run of this jail may be enforced now, because of a failure in this log."""
        return not jail.observe and self._budget.allows_again(now, site)


def _maxretry(jail: Jail) -> int:
    return jail.maxretry
