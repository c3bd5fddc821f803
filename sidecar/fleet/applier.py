"""Puts the decisions of other nodes in force here, through the loop.

They are applied in the stream's order, which is the same for all nodes. A decision about an address
and a jail about which one of our own is still under way is left out: ours comes later in the stream
(see `outbox`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from typing import TypeAlias

from sidecar.core.events import Ban, Decision, Hit, Origin, UnbanCause
from sidecar.core.guard import Guard
from sidecar.core.queries import GuardView
from sidecar.fleet.lifts import ORDER_TOLERANCE_S
from sidecar.fleet.protocol import Echo, Lift, Proposal
from sidecar.fleet.publisher import complete
from sidecar.fleet.session import LOOP_TIMEOUT_S, Session
from sidecar.runtime.loop import Inbox

Step: TypeAlias = Ban | Lift | Proposal | Echo


class Applier:
    """The subscriber's way into the loop. Its methods raise Closed once the loop has stopped."""

    def __init__(self, inbox: Inbox, session: Session) -> None:
        self._inbox, self._session = inbox, session

    def apply(self, steps: Sequence[Step]) -> Sequence[Decision]:
        """Apply these, and return what came of them."""
        return self.begin(steps).result(LOOP_TIMEOUT_S) if steps else ()

    def begin(self, steps: Sequence[Step]) -> Future[Sequence[Decision]]:
        """Begin to apply these; the future has what came of them."""
        return self._inbox.decide(partial(self._apply, steps))

    def bans(self) -> tuple[Ban, ...]:
        """Return the bans in force here, after everything that was decided before."""
        return self._inbox.query(_bans_in_force).result(LOOP_TIMEOUT_S)

    def _apply(self, steps: Sequence[Step], guard: Guard, now: float) -> list[Decision]:
        """Decide about these, a run of one kind after the other. Only the loop calls this."""
        outbox, decisions = self._session.outbox, list[Decision]()
        for _, group in groupby(steps, type):
            run = [*group]
            for echo in run:
                if isinstance(echo, Echo):
                    outbox.landed(echo.key)
            decisions += self._apply_lifts([each for each in run if isinstance(each, Lift)], guard, now)
            decisions += _proposed_bans([each for each in run if isinstance(each, Proposal)], guard, now)
            if bans := [each for each in run if isinstance(each, Ban)]:
                decisions += self._apply_bans(bans, guard, now)
        return decisions

    def _apply_lifts(self, lifts: Sequence[Lift], guard: Guard, now: float) -> list[Decision]:
        """End the bans that were unbanned elsewhere.

        In a fleet with a key only those that were made before: an old unban that somebody publishes again ends no newer
        ban. Where the clocks cannot say which came first, the stream's order does.
        """
        current, decisions = self._session.outbox.not_overruled(lifts), list[Decision]()
        if not self._session.codec.sealed:
            for lift in current:
                decisions += guard.unban(lift.address, now, lift.jail, cause=UnbanCause.FLEET)
            return decisions
        for lift in lifts:
            made_until = lift.at + (ORDER_TOLERANCE_S if lift in current else -ORDER_TOLERANCE_S)
            decisions += guard.unban(
                lift.address, now, lift.jail, cause=UnbanCause.FLEET, made_until=made_until
            )
        return decisions

    def _apply_bans(self, bans: Sequence[Ban], guard: Guard, now: float) -> list[Decision]:
        made = guard.ban_from_fleet(self._session.outbox.not_overruled(bans), now)
        self._session.listener.bans("received", "ok", len(made))
        self._session.listener.bans("received", "redundant", len(bans) - len(made))
        return made


def _proposed_bans(proposals: Sequence[Proposal], guard: Guard, now: float) -> list[Decision]:
    """Ban the addresses that another node has counted, as far as packets of theirs came here.

    The guard decides, as for a log of this host: with its allowlist, ban times and budget.
    """
    hits = [
        Hit(each.jail, each.address, now, Origin("fleet", f"({each.origin_name})"), "")
        for each in proposals
        if guard.saw_packet(each.address)
    ]
    return complete(hits, guard, now)


def _bans_in_force(view: GuardView, _: float) -> tuple[Ban, ...]:
    return view.bans
