"""A host as a member of a fleet: the parts of one node, and what its operator can ask of the fleet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sidecar.core.address import Address
from sidecar.core.events import Ban, Unban, UnbanCause
from sidecar.core.jail import Jail
from sidecar.fleet.applier import Applier
from sidecar.fleet.heartbeat import say_hello
from sidecar.fleet.joining import Joining
from sidecar.fleet.lifts import LiftIndex
from sidecar.fleet.limits import PeerBudget
from sidecar.fleet.protocol import ClockOffset, Lift, Outgoing, is_wide, key_of
from sidecar.fleet.publisher import Publisher
from sidecar.fleet.redis import FleetStore
from sidecar.fleet.session import FleetListener, Node, Session, slices
from sidecar.fleet.subscriber import Subscriber
from sidecar.fleet.verifier import Verifier
from sidecar.runtime.clock import Clock
from sidecar.runtime.loop import Inbox
from sidecar.runtime.problems import Problems


class FleetMember:
    """One node: a sink and two services (`publisher`, `subscriber`), and the operator's commands."""

    def __init__(
        self,
        store: FleetStore,
        node: Node,
        *,
        inbox: Inbox,
        jails: Iterable[Jail],
        listener: FleetListener,
        problems: Problems,
        clock: Clock,
        budget: PeerBudget | None = None,
    ) -> None:
        self._session = session = Session(store, node, clock, listener)
        self.publisher = Publisher(session, inbox, jails)
        verifier, applier = Verifier(session, budget or PeerBudget(), problems), Applier(inbox, session)
        joining = Joining(session, verifier, applier, self.publisher)
        self.subscriber = Subscriber(session, verifier, applier, joining, problems)

    def reconfigure(self, jails: Iterable[Jail], keys: Sequence[bytes] | None = None) -> None:
        """Use these jails from now on, and these keys (None: those in use)."""
        self.publisher.reconfigure(jails)
        if keys is not None:
            self._session.rekey(keys)

    def shift(self, by_s: float) -> None:
        """Move the times of what is not published yet, because the clock was set. Only the loop calls this."""
        self._session.outbox.shift(by_s)
        self.publisher.shift(by_s)

    def bans(self) -> list[Ban]:
        """Return all bans that the server has, whether or not they are in force here. Raises StoreError."""
        now = self._session.clock()
        session, offset = self._session, self._offset(now)
        found = {key_of(ban): ban for ban in session.stored_bans(offset, now)}
        if not session.codec.sealed:
            return [*found.values()]
        lifted = LiftIndex(session.stored_lifts(now, offset))
        return [ban for ban in found.values() if not lifted.is_stale(ban)]

    def unban(self, address: Address | None, jail: str) -> int:
        """Unban an address, a network or (None) everyone on every node, whether or not it is banned here.

        Return how many bans the server had of them. Raises StoreError; and ValueError, with a
        sentence for the operator, where everyone is meant and the fleet has no key.
        """
        session, now = self._session, self._session.clock()
        sealed = session.codec.sealed
        if address is None and not sealed:
            raise ValueError(
                "everyone can be unbanned on every node only where the fleet has a key: "
                "set WP_SIDECAR_FLEET_KEY_FILE, or name an address"
            )
        offset, index = self._offset(now), LiftIndex([Lift(address, jail, math.inf)])
        found = [
            Unban(ban.jail, ban.address, now, UnbanCause.MANUAL)
            for ban in session.stored_bans(offset, now)
            if index.covers(ban)
        ]
        lift = Lift(address, jail, now)
        # One sealed line unbans them all; single ones would exceed what the others believe.
        if sealed and is_wide(address):
            session.publish([lift], offset)
            for single in slices(found):
                session.change_sets(single, offset)
            return len(found)
        # A wide lift that is not sealed would be refused by the others: it is published as single
        # unbans only.
        decisions: list[Outgoing] = [*found] if is_wide(address) else [lift, *found]
        for part in slices(decisions):
            session.publish(part, offset)
        return len(found)

    def close(self) -> None:
        """Close the connections. Call it after both services have ended."""
        self._session.store.close()

    def _offset(self, now: float) -> ClockOffset:
        """Ask the server for its clock: the subscriber may not have joined yet."""
        return self._session.believed_offset(say_hello(self._session).now_ms / 1000 - now)
