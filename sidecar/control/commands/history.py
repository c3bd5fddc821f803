"""`history` and `explain`: what the guard knows about one address."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import Final, Protocol

from sidecar.control.commands.answers import (
    DropCounts,
    ban_entry,
    ban_target,
    dropped_from,
    jail_standing,
    past_ban_entry,
)
from sidecar.control.commands.bans import EvidenceStore, evidence_of
from sidecar.control.commands.loop_access import LoopAccess
from sidecar.control.protocol import (
    ExplainAnswer,
    ExplainRequest,
    HistoryAnswer,
    HistoryRequest,
    JailStanding,
    PastBanEntry,
    Refused,
)
from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.core.queries import AddressStatus, GuardView
from sidecar.filters.line_explainer import LineExplanation
from sidecar.stores.base import EndedBan, PastBansWanted, StoreError

log = logging.getLogger(__name__)

# Of one jail: of what led to a ban, the last lines are shown to match an expression.
MAX_EXPLAINED_LINES: Final = 20
# That `explain` shows; `history` has more.
MAX_PAST_BANS: Final = 10


class HistoryStore(EvidenceStore, Protocol):
    """Has written what the guard decided."""

    def past_bans(self, wanted: PastBansWanted, /) -> Sequence[EndedBan]:
        """Return the bans that are over, the last made first. Raises StoreError."""


class LineExplainer(Protocol):
    """Has the filters that are in force."""

    def explain(self, jail: str, lines: Sequence[str], /) -> Sequence[LineExplanation | None]:
        """Return which expressions of the jail's filter these lines match."""


class HistoryCommand:
    """Shows bans in force and over, and how often each jail banned an address."""

    request = HistoryRequest

    def __init__(self, loop: LoopAccess, store: HistoryStore) -> None:
        self._loop, self._store = loop, store

    def answer(self, request: HistoryRequest) -> HistoryAnswer:
        address = None if request.address is None else ban_target(request.address)
        wanted = PastBansWanted(address, request.since, request.jail, request.site, request.limit)

        def known(view: GuardView, now: float) -> tuple[tuple[Ban, ...], dict[str, int]]:
            return view.bans, view.ban_counts(address, now) if address else {}

        in_force, times = self._loop.query(known)
        try:
            bans = history_of(wanted, in_force, self._store)
        except StoreError as err:
            raise Refused(str(err)) from None
        return {"bans": bans, "ip": address, "times": times} if address else {"bans": bans}


def history_of(wanted: PastBansWanted, in_force: Iterable[Ban], store: HistoryStore) -> list[PastBanEntry]:
    """Return the bans that are wanted, the last made first. Raises StoreError."""
    # Chosen before an entry is made of each: there may be 100,000.
    last = heapq.nlargest(wanted.limit, filter(wanted.has, in_force), key=attrgetter("at"))
    entries = [
        *map(past_ban_entry, last),
        *(past_ban_entry(*past) for past in store.past_bans(wanted)),
    ]
    return heapq.nlargest(wanted.limit, entries, key=itemgetter("at"))


class ExplainCommand:
    """Shows how an address stands with each jail, and which wider networks around it are banned."""

    request = ExplainRequest

    def __init__(
        self, loop: LoopAccess, store: HistoryStore, drops: DropCounts, explainer: LineExplainer
    ) -> None:
        self._loop, self._store, self._drops, self._explainer = loop, store, drops, explainer

    def answer(self, request: ExplainRequest) -> ExplainAnswer:
        address = ban_target(request.address)

        def explain(view: GuardView, now: float) -> tuple[list[Ban], list[AddressStatus]]:
            return view.bans_of_networks_around(address), view.statuses(address, now)

        around, statuses = self._loop.query(explain)
        bans = [*around, *(status.ban for status in statuses if status.ban)]
        lines = evidence_of(self._store, [(ban.jail, ban.address) for ban in bans])
        drops = dropped_from(bans, self._drops)

        def standing(status: AddressStatus) -> JailStanding:
            ban = status.ban
            shown = lines.get((ban.jail, ban.address), ()) if ban else status.lines
            explained = self._explainer.explain(status.jail.name, shown[-MAX_EXPLAINED_LINES:])
            return jail_standing(status, lines, drops, explained)

        return {
            "ip": address,
            "within": list(dict.fromkeys(ban.address for ban in around)),
            "networks": [ban_entry(ban, lines.get((ban.jail, ban.address), ()), drops) for ban in around],
            "jails": [standing(status) for status in statuses],
            "history": self._past(address),
        }

    def _past(self, address: Address) -> list[PastBanEntry]:
        """Return the last bans that are over; none where they cannot be read."""
        try:
            return history_of(PastBansWanted(address, limit=MAX_PAST_BANS), (), self._store)
        except StoreError as err:
            log.warning("an address is explained without its past bans: %s", err)
            return []
