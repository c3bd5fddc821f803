"""How bans come into force and end: in the state of their jail, in the order of their ends and in the history."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sidecar.core.address import Address
from sidecar.core.ban_history import BanHistory
from sidecar.core.events import BY_HAND, Ban, BanCause, Decision, Unban, UnbanCause
from sidecar.core.expiry import BanExpiry
from sidecar.core.jail_state import JailState
from sidecar.core.jail_states import JailStates

# A ban that ends because of these counts no more.
FORGIVING: Final = BY_HAND | {UnbanCause.ALLOWED, UnbanCause.FLEET}


class BanRegister:
    """Keeps the bans of all jails in step with their expiry and their history."""

    def __init__(self, jails: JailStates, history: BanHistory) -> None:
        self._jails = jails
        self._history = history
        self._expiry = BanExpiry()

    @property
    def next_end(self) -> float:
        """When the next ban may end; `math.inf`: none does."""
        return self._expiry.next_at

    def put(self, ban: Ban) -> Ban:
        """Put a ban in force, and return it. A jail that is not configured has a state for as long as it has bans."""
        state = self._jails.by_name.get(ban.jail) or self._jails.add(ban.jail)
        self._expiry.schedule(state.bans.put(ban))
        return ban

    def enforce(self, ban: Ban, now: float) -> Ban:
        """Have a dry run enforced from now on."""
        return self.put(replace(ban, dry_run=False, decided_at=now))

    def end(self, state: JailState, address: Address, now: float, cause: UnbanCause) -> Unban:
        """End the ban of this address. It is remembered unless it was lifted, or made by hand."""
        ban = state.bans.remove(address)
        # Failures may have been counted during a dry run.
        state.failures.window.clear(address)
        if cause in FORGIVING:
            self._history.clear(state.name, address)
        elif ban.cause != BanCause.MANUAL:
            self._history.add(state.name, address, ban.ban_count, ban.until)
        return Unban(state.name, address, now, cause)

    def shift(self, by_s: float) -> None:
        """Move all times of bans and of the history, because the clock was set."""
        self._history.shift(by_s)
        self._expiry = BanExpiry()
        for state in self._jails:
            state.shift(by_s)
            for ban in state.bans:
                self._expiry.schedule(ban)

    def end_expired(self, now: float) -> list[Decision]:
        """End the bans that have expired."""
        decisions: list[Decision] = []
        for ban in self._expiry.take_expired(now):
            state = self._jails.by_name.get(ban.jail)
            # The ban may have been lifted or replaced since.
            if state and state.bans.get(ban.address) is ban:
                decisions.append(self.end(state, ban.address, now, UnbanCause.EXPIRED))
        return decisions
