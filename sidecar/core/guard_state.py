"""What the guard knows: the state of each jail, the allowlist, and former bans."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sidecar.core.address import Address
from sidecar.core.allowed import AllowedAddresses
from sidecar.core.allowlist import Allowlist
from sidecar.core.ban_history import BanHistory
from sidecar.core.events import BanCause, Bypass, Forgiven, UnbanCause
from sidecar.core.excuses import Peers
from sidecar.core.jail_state import JailState
from sidecar.core.jail_states import JailStates
from sidecar.core.refused_bans import RefusedBans


@dataclass(slots=True)
class GuardState:
    """What the guard knows. Only the guard changes it.

    `ignored` counts the hits that did not count, by reason. `refused` are bans that were due and not made. `peers` are
    addresses that forward other clients. `ended_early` counts the bans that ended because there were too many, by
    cause. `allowed` is what people put on the allowlist, which has it. `noticed` are the bypassed bans and the
    forgiven failures that nobody has taken yet.
    """

    jails: JailStates
    allowlist: Allowlist
    history: BanHistory
    ignored: Counter[str] = field(default_factory=Counter)
    refused: RefusedBans = field(default_factory=RefusedBans)
    peers: Peers = field(default_factory=Peers)
    ended_early: Counter[UnbanCause] = field(default_factory=Counter)
    allowed: AllowedAddresses = field(default_factory=AllowedAddresses)
    noticed: list[Bypass | Forgiven] = field(default_factory=list)

    def allowlist_reason(self, state: JailState, address: Address) -> str | None:
        """Return why this jail never bans the address; None: it may."""
        return self.allowlist.reason(address) or state.effective.allowlist_reason(address)

    def forgive(self, state: JailState, address: Address, at: float) -> None:
        """Forget the failures of this address in this jail."""
        if state.failures.clear(address):
            self.noticed.append(Forgiven(state.name, address, at))

    def ban_count(self, state: JailState, address: Address, now: float) -> int:
        """Return how often the jail banned the address, the ban in force included."""
        ban = state.bans.get(address)
        if ban and ban.cause != BanCause.MANUAL:
            return ban.ban_count
        return self.history.ban_count(state.name, address, now)

    def ban_counts(self, address: Address, now: float) -> dict[str, int]:
        """Return how often each jail banned the address; jails that never did are absent."""
        counts = {name: self.ban_count(state, address, now) for name, state in self.jails.by_name.items()}
        return {name: count for name, count in counts.items() if count}
