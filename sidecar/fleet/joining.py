"""What a node does when it joins a fleet, or comes back to it after it missed too much of the stream.

It reads the unbans, so that it lifts its own bans that were unbanned meanwhile instead of
publishing them again; then all bans; and then it publishes its own bans that the server does not
have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from operator import attrgetter

from sidecar.core.events import Ban, Decision
from sidecar.fleet.applier import Applier
from sidecar.fleet.lifts import LiftIndex
from sidecar.fleet.protocol import Lift, LineKey, key_of
from sidecar.fleet.publisher import Publisher, is_shared
from sidecar.fleet.session import LOOP_TIMEOUT_S, SLICE_SIZE, Session, slices
from sidecar.fleet.verifier import Verifier

# This many bans are sorted before they are applied: the store writes neighbours twice as fast.
SORTED_BANS = 5_000

# Slices that may wait for the loop while the next ones are read.
MAX_SLICES_AHEAD = 2

# Two ends of a ban are the same if they differ by less: clocks are compared again at each
# connection.
END_TOLERANCE_S = 1.0


class Joining:
    """Brings this node's bans and the server's together. Owned by the subscriber's thread."""

    def __init__(self, session: Session, verifier: Verifier, applier: Applier, publisher: Publisher) -> None:
        self._session, self._verifier = session, verifier
        self._applier, self._publisher = applier, publisher

    def read_all(self) -> None:
        """Apply all unbans and all bans that the server has. Raises StoreError, Closed."""
        self._session.outbox.forget_in_flight()
        now = self._session.clock()
        lifts = [*self._session.stored_lifts(now)]
        self._verifier.remember(lifts)
        self._lift_own(LiftIndex(lifts), now)
        known = {key_of(ban): ban.until for ban in self._applier.bans()}
        pending: deque[Future[Sequence[Decision]]] = deque()
        for part in self._new_bans(known, now):
            pending.append(self._applier.begin(part))
            if len(pending) > MAX_SLICES_AHEAD:
                pending.popleft().result(LOOP_TIMEOUT_S)
        for each in pending:
            each.result(LOOP_TIMEOUT_S)

    def seal_untimed(self) -> None:
        """Seal bans again that a node of version 0.1 sealed without their times, as far as they are in force here.

        The nodes that made them do so too, unless they are gone.
        """
        untimed = self._verifier.take_untimed()
        known = [ban for ban in self._applier.bans() if key_of(ban) in untimed and not ban.dry_run]
        for part in slices(known, SLICE_SIZE):
            self._session.change_sets(part, self._session.offset)

    def publish_missing(self) -> None:
        """Publish own bans that the server does not have, or not for as long: it was flushed, full or failed over."""
        session = self._session
        own = [ban for ban in self._applier.bans() if is_shared(ban)]
        for part in slices(own, SLICE_SIZE):
            missing = [
                ban
                for ban, end in zip(part, session.stored_ends(part), strict=True)
                if end is None or end < ban.until - END_TOLERANCE_S
            ]
            self._publisher.publish_again(missing)

    def _lift_own(self, lifts: LiftIndex, now: float) -> None:
        """Lift own bans that were unbanned while this node was away, and do not publish them."""
        outbox = self._session.outbox
        kept = [each for each in outbox.drain() if not (isinstance(each, Ban) and lifts.covers(each))]
        # In slices, from the last: the loop's thread puts decisions into the outbox, and must not
        # wait for long.
        for part in reversed([*slices(kept, SLICE_SIZE)]):
            outbox.put_back(part)
        lifted = [ban for ban in self._applier.bans() if lifts.covers(ban)]
        self._applier.apply(
            self._verifier.lifts_at_join([Lift(ban.address, ban.jail, now) for ban in lifted])
        )

    def _new_bans(self, known: Mapping[LineKey, float], now: float) -> Iterator[list[Ban]]:
        """Yield the bans that are believed and not known here, a slice at a time."""
        gathered: list[Ban] = []
        for page in self._session.store.bans(sealed=self._session.codec.sealed):
            new = [
                ban
                for ban in self._verifier.stored_bans(page, now)
                if known.get(key_of(ban), 0.0) < ban.until - END_TOLERANCE_S
            ]
            allowed = self._verifier.room_at_join(len(new), now)
            gathered += new[:allowed]
            if len(gathered) >= SORTED_BANS:
                yield from _sorted_slices(gathered)
                gathered.clear()
            if allowed < len(new):
                unread = self._session.store.ban_count() - len(known)
                self._verifier.refuse_at_join(max(len(new) - allowed, unread))
                break
        yield from _sorted_slices(gathered)


def _sorted_slices(bans: Iterable[Ban]) -> Iterator[list[Ban]]:
    return slices(sorted(bans, key=attrgetter("address")), SLICE_SIZE)
