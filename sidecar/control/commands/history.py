"""`history` and `explain`: what the guard knows about one address."""

from __future__ import annotations

from sidecar.control.commands.answers import ban_target, jail_standing
from sidecar.control.commands.loop_access import LoopAccess
from sidecar.control.protocol import ExplainAnswer, ExplainRequest, HistoryAnswer, HistoryRequest
from sidecar.core.queries import GuardView


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

    def __init__(self, loop: LoopAccess) -> None:
        self._loop = loop

    def answer(self, request: ExplainRequest) -> ExplainAnswer:
        address = ban_target(request.address)

        def explain(view: GuardView, now: float) -> ExplainAnswer:
            return {
                "ip": address,
                "within": list(view.banned_networks_around(address)),
                "jails": [jail_standing(status) for status in view.statuses(address, now)],
            }

        return self._loop.query(explain)
