"""`bans`, `ban` and `unban`: the bans in force, and how people change them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, Protocol, TypeAlias

from sidecar.control.commands.answers import DropCounts, ban_entry, ban_target, dropped_from
from sidecar.control.commands.loop_access import LoopAccess, check_jail
from sidecar.control.protocol import (
    BanAnswer,
    BanEntry,
    BanOrder,
    BanRequest,
    BansAnswer,
    BansRequest,
    Refused,
    UnbanAnswer,
    UnbanRequest,
)
from sidecar.core.address import Address, is_wide
from sidecar.core.events import Ban, Decision, UnbanCause
from sidecar.core.guard import Guard
from sidecar.core.jail import is_asked_for
from sidecar.core.queries import GuardView
from sidecar.stores.base import StoreError

log = logging.getLogger(__name__)

# (jail, address), and the lines that led to each ban.
BanKey: TypeAlias = tuple[str, Address]
Evidence: TypeAlias = Mapping[BanKey, tuple[str, ...]]

# Bans whose evidence and counts are read and sent at once.
PAGE: Final = 500

ORDERS: Final[Mapping[BanOrder, Callable[[Ban], float]]] = {
    BanOrder.ENDS: lambda ban: ban.until,
    BanOrder.NEWEST: lambda ban: -ban.at,
    BanOrder.FAILURES: lambda ban: -ban.failures,
}

NO_FLEET: Final = "this host is not in a fleet: set WP_SIDECAR_REDIS_URL"


class EvidenceStore(Protocol):
    """Has written what the guard decided."""

    def evidence(self, keys: Sequence[BanKey]) -> Evidence:
        """Return the evidence of these bans, as far as there is any. Raises StoreError."""


class Fleet(Protocol):
    """The fleet that this host is a member of. Both methods raise StoreError while it cannot be reached."""

    def bans(self) -> Sequence[Ban]: ...

    def unban(self, address: Address | None, jail: str) -> int:
        """Unban on every node. Return how many bans that were. Raises ValueError where that is not possible."""


class BansCommand:
    """Shows the bans in force on this host, or all that the fleet knows."""

    request = BansRequest

    def __init__(
        self, loop: LoopAccess, evidence: EvidenceStore, drops: DropCounts, fleet: Fleet | None
    ) -> None:
        self._loop, self._evidence, self._drops, self._fleet = loop, evidence, drops, fleet

    def answer(self, request: BansRequest) -> BansAnswer:
        found = self._fleet_bans() if request.fleet else self._loop.query(_bans_in_force)
        bans = sorted((ban for ban in found if _is_asked_for(ban, request)), key=ORDERS[request.order])
        shown = bans[: request.first] if request.first else bans
        entries = map(ban_entry, shown) if request.fleet else self._entries(shown, evidence=request.evidence)
        return {"bans": entries, "more": len(bans) - len(shown)} if request.first else {"bans": entries}

    def _entries(self, bans: Sequence[Ban], *, evidence: bool) -> Iterator[BanEntry]:
        """Yield the bans. Counts and lines are read when the reader gets there."""
        # All networks with the first of them: the kernel's counts are read once for any number of networks.
        networks = [ban for ban in bans if is_wide(ban.address)]
        sums = dropped_from(networks, self._drops) if networks else {}
        for begin in range(0, len(bans), PAGE):
            page = bans[begin : begin + PAGE]
            keys = [(ban.jail, ban.address) for ban in page]
            lines = evidence_of(self._evidence, keys) if evidence else {}
            hosts = [ban for ban in page if not is_wide(ban.address)]
            drops = {**sums, **(dropped_from(hosts, self._drops) if hosts else {})}
            for ban, key in zip(page, keys, strict=True):
                yield ban_entry(ban, lines.get(key, ()), drops)

    def _fleet_bans(self) -> Sequence[Ban]:
        try:
            return _required(self._fleet).bans()
        except StoreError as err:
            raise Refused(str(err)) from None


class BanCommand:
    """Bans an address by hand."""

    request = BanRequest

    def __init__(self, loop: LoopAccess) -> None:
        self._loop = loop

    def answer(self, request: BanRequest) -> BanAnswer:
        address = ban_target(request.address)

        def ban(guard: Guard, now: float) -> Sequence[Decision]:
            check_jail(guard.view, request.jail)
            if reason := guard.view.allowlist_reason(address, request.jail):
                raise Refused(f"{address} is never banned: it is {reason}")
            return guard.ban(address, now, request.jail, request.bantime, request.reason)

        return {"banned": [ban_entry(each) for each in self._loop.decide(ban) if isinstance(each, Ban)]}


class UnbanCommand:
    """Ends the bans of an address, or all bans, on this host or on every node of the fleet."""

    request = UnbanRequest

    def __init__(self, loop: LoopAccess, fleet: Fleet | None) -> None:
        self._loop, self._fleet = loop, fleet

    def answer(self, request: UnbanRequest) -> UnbanAnswer:
        address = None if request.address is None else ban_target(request.address)

        def is_known(view: GuardView, _: float) -> None:
            check_jail(view, request.jail)

        cause = UnbanCause.WEB if request.web else UnbanCause.MANUAL
        self._loop.query(is_known)
        known_to_fleet = self._unban_in_fleet(address, request.jail) if request.fleet else 0

        def unban(guard: Guard, now: float) -> Sequence[Decision]:
            around = guard.view.bans_of_networks_around(address) if address else ()
            unbanned = guard.unban(address, now, request.jail, cause)
            if around and not unbanned and not known_to_fleet:
                raise Refused(
                    f"{address} is not banned by itself: it lies in {around[0].address}, which is; unban that"
                )
            return unbanned

        unbanned = self._loop.decide(unban)
        answer: UnbanAnswer = {"unbanned": [{"ip": each.address, "jail": each.jail} for each in unbanned]}
        if request.fleet:
            answer["fleet"] = known_to_fleet
        return answer

    def _unban_in_fleet(self, address: Address | None, jail: str) -> int:
        try:
            return _required(self._fleet).unban(address, jail)
        except (StoreError, ValueError) as err:
            raise Refused(str(err)) from None


def _bans_in_force(view: GuardView, _: float) -> tuple[Ban, ...]:
    return view.bans


def evidence_of(store: EvidenceStore, keys: Sequence[BanKey]) -> Evidence:
    """Return the evidence of these bans; none where it cannot be read."""
    try:
        return store.evidence(keys)
    except StoreError as err:
        # The loop meets the same problem and reports it.
        log.warning("bans are shown without their evidence: %s", err)
        return {}


def _is_asked_for(ban: Ban, request: BansRequest) -> bool:
    return (
        is_asked_for(ban.jail, request.jail)
        and (not request.site or fnmatchcase(ban.origin_name, request.site))
        and ban.at >= request.since
        and (ban.dry_run or not request.observed)
        and (not request.search or _has(ban, request.search.lower()))
    )


def _has(ban: Ban, text: str) -> bool:
    return any(text in part.lower() for part in (ban.address, ban.jail, ban.origin_name, ban.reason))


def _required(fleet: Fleet | None) -> Fleet:
    if fleet is None:
        raise Refused(NO_FLEET)
    return fleet
