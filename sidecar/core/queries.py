"""Questions about the guard's state. They change nothing, so the loop gives a `GuardView` to every question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sidecar.core.address import Address, wider_networks
from sidecar.core.allowed import Allow
from sidecar.core.allowlist_bounds import shares
from sidecar.core.ban_history import PastBans
from sidecar.core.events import Ban, UnbanCause
from sidecar.core.guard_state import GuardState
from sidecar.core.jail import MANUAL_JAIL, Jail
from sidecar.core.jail_state import JailState
from sidecar.core.refused_bans import RefusedBan


class GuardUsage(NamedTuple):
    """How full the guard's memory is. What was dropped is counted since the start.

    `tracked_addresses` are those whose failures are counted, by jail. `ended_early` are bans that ended because
    there were too many, by cause.
    """

    tracked_addresses: Mapping[str, int]
    dropped_addresses: int
    dropped_evidence_lines: int
    history_addresses: int
    dropped_history_addresses: int
    ended_early: Mapping[UnbanCause, int]


class AddressStatus(NamedTuple):
    """How an address stands with one jail.

    `allowlist_reason` says why the jail never bans it; None: it may. `failures` are those that count now. `ban_count`
    includes the ban in force. `ban` is that ban: the address's own, or that of its neighbourhood. `refused` is a ban
    that was due and not made. `lines` are those of the failures that count now, as far as they are kept, and
    `failed_at` is when these were.
    """

    jail: Jail
    allowlist_reason: str | None
    failures: int
    ban_count: int
    ban: Ban | None
    refused: RefusedBan | None = None
    lines: tuple[str, ...] = ()
    failed_at: tuple[float, ...] = ()


class GuardView:
    """What may be asked of the guard, in the loop's thread."""

    def __init__(self, state: GuardState) -> None:
        self._state = state

    @property
    def bans(self) -> tuple[Ban, ...]:
        """The bans in force, without their evidence, which the store has."""
        return tuple(ban for state in self._state.jails for ban in state.bans)

    @property
    def ban_count(self) -> int:
        """How many bans are in force. A dry run is not."""
        return sum(sum(state.bans.enforced.values()) for state in self._state.jails)

    @property
    def history(self) -> tuple[PastBans, ...]:
        """The bans that are over, as far as they still count."""
        return tuple(self._state.history)

    @property
    def allowed(self) -> tuple[Allow, ...]:
        """What people put on the allowlist, in the order in which they did."""
        return tuple(self._state.allowed)

    def is_allowed(self, entry: Allow) -> bool:
        """Return whether people allowed the same already, until the same time and with the same comment."""
        return self._state.allowed.says(entry)

    def room_to_allow(self, addresses: Iterable[Address]) -> int:
        """Return how many more entries there may be once people allow these too; less than 0: that is too many."""
        return self._state.allowed.room(addresses)

    @property
    def ignored(self) -> Counter[str]:
        """How many hits did not count so far, by reason."""
        return self._state.ignored.copy()

    @property
    def refused_bans(self) -> tuple[RefusedBan, ...]:
        """The bans that were due and not made, as far as their failures still count."""
        return tuple(self._state.refused)

    @property
    def refused_totals(self) -> Counter[str]:
        """How many bans were refused so far, by reason."""
        return self._state.refused.totals.copy()

    @property
    def jails(self) -> tuple[Jail, ...]:
        """The jails of the configuration, `manual`, and others that still have bans."""
        return tuple(state.jail for state in self._state.jails if state.bans or not state.is_removed)

    @property
    def enforced_bans(self) -> dict[tuple[str, int], int]:
        """How many bans are in force and no dry run, by jail and IP version. Any thread may ask."""
        # The copy is one step of the interpreter's: a reload in the loop's thread may change the jails meanwhile.
        states = tuple(self._state.jails.by_name.items())
        return {(name, version): n for name, state in states for version, n in state.bans.enforced.items()}

    @property
    def dry_run_bans(self) -> dict[str, int]:
        """How many bans are dry runs, by jail."""
        return {
            state.name: len(state.bans) - sum(state.bans.enforced.values()) for state in self._state.jails
        }

    @property
    def longest_findtime(self) -> float:
        """Seconds that a failure counts at most, in any jail and at any container that was seen so far."""
        states = (state for state in self._state.jails if state.jail != MANUAL_JAIL)
        return max((state.longest_findtime for state in states), default=0.0)

    @property
    def usage(self) -> GuardUsage:
        """How full the guard's memory is, for the metrics."""
        jails, history = self._state.jails, self._state.history
        return GuardUsage(
            {state.name: len(state.failures.window) for state in jails},
            sum(state.failures.window.dropped for state in jails),
            jails.evidence.dropped,
            len(history),
            history.dropped,
            dict(self._state.ended_early),
        )

    @property
    def allowlist_shares(self) -> Mapping[int, Mapping[str, float]]:
        """IP version -> reason -> the part, from 0 to 1, of all public addresses that is allowlisted for it."""
        return shares(self._state.allowlist)

    def allowlist_reason(self, address: Address, jail: str = "") -> str | None:
        """Return why the address is never banned, anywhere or in this jail; None: it may be.

        Raises KeyError for a jail that is not known.
        """
        return self._state.allowlist_reason(self._state.jails.by_name[jail or MANUAL_JAIL.name], address)

    def ban_in(self, jail: str, address: Address) -> Ban | None:
        """Return the ban of this very address in this jail, without its evidence. Raises KeyError for no jail."""
        return self._state.jails.by_name[jail].bans.get(address)

    def ban_counts(self, address: Address, now: float) -> dict[str, int]:
        """Return how often each jail banned the address, with the bans in force; jails that never did are absent."""
        return self._state.ban_counts(address, now)

    def bans_of_networks_around(self, address: Address) -> list[Ban]:
        """Return the bans of networks that hold this address and are wider than it, the widest first."""
        return [
            ban
            for network in wider_networks(address)
            for state in self._state.jails
            if (ban := state.bans.get(network))
        ]

    def is_banned(self, address: Address) -> bool:
        """Return whether any jail bans the address or its neighbourhood, or makes a dry run of that."""
        return any(state.bans.covering(address) for state in self._state.jails)

    def statuses(self, address: Address, now: float) -> list[AddressStatus]:
        """Return how the address stands with each jail."""
        return [self._status(state, address, now) for state in self._state.jails]

    def _status(self, state: JailState, address: Address, now: float) -> AddressStatus:
        failures = state.failures.window.failures(address, now - state.jail.findtime)
        # Lines before the window are kept too.
        lines = self._state.jails.evidence.lines(state.jail.name, address)[-failures:] if failures else ()
        return AddressStatus(
            state.jail,
            self._state.allowlist_reason(state, address),
            failures,
            self._state.ban_count(state, address, now),
            state.bans.covering(address),
            self._state.refused.get(state.jail.name, address),
            lines,
            state.failures.window.times(address, now - state.jail.findtime),
        )
