"""`history` and `explain`: what the guard knows about one address."""

from __future__ import annotations

from sidecar.control.commands.answers import DropCounts, ban_target, dropped_from, jail_standing
from sidecar.control.commands.bans import EvidenceStore, evidence_of
from sidecar.control.commands.loop_access import LoopAccess
from sidecar.control.protocol import ExplainAnswer, ExplainRequest, HistoryAnswer, HistoryRequest
from sidecar.core.address import Address
from sidecar.core.queries import AddressStatus, GuardView


class HistoryCommand:
    """Tells how often each jail banned an address, as far as that is remembered; the ban in force included."""

    request = HistoryRequest

    def __init__(self, loop: LoopAccess) -> None:
        self._loop = loop

    def answer(self, request: HistoryRequest) -> HistoryAnswer:
        address = ban_target(request.address)

        def ban_counts(view: GuardView, now: float) -> dict[str, int]:
            return view.ban_counts(address, now)

        return {"ip": address, "times": self._loop.query(ban_counts)}


class ExplainCommand:
    """Shows how an address stands with each jail, and which wider networks around it are banned."""

    request = ExplainRequest

    def __init__(self, loop: LoopAccess, evidence: EvidenceStore, drops: DropCounts) -> None:
        self._loop, self._evidence, self._drops = loop, evidence, drops

    def answer(self, request: ExplainRequest) -> ExplainAnswer:
        address = ban_target(request.address)

        def explain(view: GuardView, now: float) -> tuple[list[Address], list[AddressStatus]]:
            return view.banned_networks_around(address), view.statuses(address, now)

        within, statuses = self._loop.query(explain)
        bans = [status.ban for status in statuses if status.ban]
        lines = evidence_of(self._evidence, [(ban.jail, ban.address) for ban in bans])
        drops = dropped_from(bans, self._drops)
        return {
            "ip": address,
            "within": list(within),
            "jails": [jail_standing(status, lines, drops) for status in statuses],
        }
