"""Our part in a fleet: own bans are told to the others, theirs hold here, and failures are counted together.

    loop ──Turn──▶ Publisher ─▶ outbox ─▶ engine          bans, liftings, failures
    loop ◀─work─── Subscriber ◀─ stream ─ engine          what the others decided

Local first: a decision never waits for the engine, and nothing that the engine does or loses lifts a ban here. While
it is away it is tried again and again; once it is back, both sides read what they missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from sidecar.core.address import Address
from sidecar.core.events import Ban, Unban, UnbanCause
from sidecar.core.guard import Guard
from sidecar.fleet import protocol
from sidecar.fleet.protocol import Budget, Clock, Lift, Lifts, Told
from sidecar.fleet.publisher import Publisher
from sidecar.fleet.redis import Board
from sidecar.fleet.session import Ask, Listener, Node, Report, State, fresh, listed, parts, publish
from sidecar.fleet.subscriber import Subscriber

__all__ = ["Fleet", "Node"]


class Fleet:
    """The fleet as one host sees it: a sink, two services, and what people ask."""

    def __init__(
        self,
        board: Board,
        node: Node,
        *,
        guard: Guard,
        ask: Ask,
        listener: Listener,
        problem: Report,
        clock: Callable[[], float],
        budget: Budget | None = None,
    ) -> None:
        """`ask(work)` has something done in the loop's thread; only there the guard is touched."""
        state = State(board, node, clock, listener)
        self._state, self._guard, self._ask = state, guard, ask
        self.publisher = Publisher(state, guard, ask)
        self.subscriber = Subscriber(state, guard, ask, problem, budget or Budget())

    def bans(self) -> list[Ban]:
        """All bans that the fleet knows of, whether or not they hold here. Raises StoreError."""
        state, now = self._state, self._state.clock()
        return [*{protocol.key(ban): ban for ban in listed(state, self._clock(now), now)}.values()]

    def lift(self, address: Address | None, jail: str) -> int:
        """Let them in on every node, known here or not; how many bans the fleet knew. Raises StoreError, ValueError."""
        state, now = self._state, self._state.clock()
        lift, sealed = Lift(address, jail, now), bool(state.node.secret)
        if address is None and not sealed:
            raise ValueError(
                "everyone is let in on every node only where the fleet seals what it says: "
                "set WP_SIDECAR_FLEET_KEY_FILE, or name an address"
            )
        clock, lifts = self._clock(now), Lifts([replace(lift, at=math.inf)])
        meant = [
            Unban(ban.jail, ban.address, now, UnbanCause.MANUAL)
            for ban in listed(state, clock, now)
            if lifts.over(ban)
        ]
        first = [lift] if sealed or not protocol.wide(address) else []
        everything: list[Told | Unban] = [*first, *meant]
        for part in parts(everything):
            publish(state, part, clock)
        return len(meant)

    def close(self) -> None:
        """Give up the connections; after both services have ended."""
        self._state.board.close()

    def _clock(self, now: float) -> Clock:
        state = self._state
        return Clock(state.board.hello(state.node.full, fresh()).now / 1000 - now)
