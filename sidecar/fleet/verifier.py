"""Which decisions of other nodes are believed: those that are well-formed, sealed, in force and within the limits.

Whatever is not believed is counted by its reason. More than the limits allow is also a problem that
people are shown, for the likeliest cause is a host that an attacker has taken over.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from sidecar.config.node_name import NODE_NAME
from sidecar.core.events import Ban
from sidecar.fleet.lifts import LiftIndex
from sidecar.fleet.limits import LiftKind, PeerBudget
from sidecar.fleet.protocol import (
    MAX_ENTRY_LINES,
    Incoming,
    Lift,
    LineError,
    LineKey,
    Proposal,
    Rejection,
    is_wide,
)
from sidecar.fleet.redis import Entry, StoredBan
from sidecar.fleet.session import Session
from sidecar.runtime.problems import Problems

# Without a refusal for this long, the limits are no longer a problem.
PROBLEM_OVER_S = 60.0

# What is stale and younger is no sign of an attack.
JUST_NOW_S = 10.0

# Unbans that are remembered; the server keeps as many.
MAX_REMEMBERED_LIFTS = 100_000

# Peers with a time series of their own in the metrics; anybody with access to the server can
# make up names.
MAX_PEER_LABELS = 100


class Verifier:
    """Turns what was read from the server into decisions that are believed. Owned by the subscriber's thread."""

    def __init__(self, session: Session, budget: PeerBudget, problems: Problems) -> None:
        self._session, self._budget = session, budget
        self._problem = problems.problem("the fleet's bans", critical=False)
        self._refused_at = -math.inf
        # What was unbanned: a ban from before is not believed, whoever publishes it again.
        self._lifts = LiftIndex(())
        # Keys of bans in the set that a former version sealed without their times.
        self._untimed = set[LineKey]()
        self._peer_labels: set[str] = set()

    def entry(self, entry: Entry, sent_at: float) -> list[Incoming]:
        """Return what is believed of an entry of another node, in its order. `sent_at`: by this host's clock."""
        peer = entry.node.partition("/")[0]
        if not NODE_NAME.fullmatch(peer):
            self._reject(Counter({Rejection.MALFORMED: len(entry.lines)}))
            return []
        now = self._session.clock()
        self._session.listener.lag(self._peer_label(peer), max(0.0, now - sent_at))
        lines = self._as_many_bans(entry.lines, peer, self._budget.room(now, peer))
        parsed = self._current(self._parse(lines, entry.node, now))
        bans = [each for each in parsed if isinstance(each, Ban)]
        lifts = [each for each in parsed if isinstance(each, Lift)]
        allowed = self._budget.take(len(bans), now, peer)
        if allowed < len(bans):
            self._refuse(Rejection.BUDGET, len(bans) - allowed, peer)
        believed = {*map(id, bans[:allowed]), *map(id, self.lifts(lifts, peer))}
        believed |= set(
            map(id, self._proposals([each for each in parsed if isinstance(each, Proposal)], peer))
        )
        return [each for each in parsed if id(each) in believed]

    def _proposals(self, proposals: Sequence[Proposal], peer: str) -> Sequence[Proposal]:
        allowed = self._budget.take_proposals(len(proposals), self._session.clock())
        if allowed < len(proposals):
            self._refuse(Rejection.BUDGET, len(proposals) - allowed, peer)
        return proposals[:allowed]

    def remember_own(self, lines: Sequence[str], node: str) -> None:
        """Remember the unbans among lines that this node itself has published."""
        unbans = [line for line in lines if line.startswith("U ")]
        parsed = self._parse(unbans, node, self._session.clock())
        self.remember(each for each in parsed if isinstance(each, Lift))

    def forget(self) -> None:
        """Forget all unbans: the clock was set, and they are read again by the new one."""
        self._lifts = LiftIndex(())

    def remember(self, lifts: Iterable[Lift]) -> None:
        """Believe no ban from before these unbans."""
        for lift in lifts:
            self._lifts.add(lift)
        if len(self._lifts) > MAX_REMEMBERED_LIFTS:
            self._lifts.forget_older_half()

    def stored_bans(self, page: Iterable[StoredBan], now: float) -> list[Ban]:
        """Return the bans that a page of the set stands for, before any limit."""
        session, bans, wrong = self._session, list[Ban](), Counter[Rejection]()
        codec, offset = session.codec, session.offset
        for found in page:
            try:
                bans.append(codec.parse_ban(*found, offset, now))
            except LineError as err:
                if key := codec.parse_untimed(found.member):
                    self._untimed.add(key)
                else:
                    wrong[err.reason] += 1
        self._reject(wrong)
        return [ban for ban in self._current(bans) if isinstance(ban, Ban)]

    def take_untimed(self) -> set[LineKey]:
        """Return the keys of bans that a former version sealed without their times, as far as they were read."""
        untimed, self._untimed = self._untimed, set()
        return untimed

    def room_at_join(self, wanted: int, now: float) -> int:
        """Return how many of a number of bans of the set are believed."""
        return self._budget.take(wanted, now)

    def refuse_at_join(self, count: int) -> None:
        """Report that this many bans of the set are not believed."""
        self._refuse(Rejection.BUDGET, count)

    def lifts(self, lifts: Sequence[Lift], peer: str = "") -> Sequence[Lift]:
        """Return the lifts that are believed. Of everyone, and of wide networks, there are few."""
        now, usual = self._session.clock(), LiftKind.UNSEALED
        if self._session.codec.sealed:
            usual = LiftKind.SEALED
        believed = list[Lift]()
        for lift in lifts:
            if self._budget.take_lift(LiftKind.WIDE if is_wide(lift.address) else usual, now):
                believed.append(lift)
        if len(believed) < len(lifts):
            self._refuse(Rejection.TOO_MANY_LIFTED, len(lifts) - len(believed), peer)
        self.remember(believed)
        return believed

    def lifts_at_join(self, lifts: Sequence[Lift]) -> Sequence[Lift]:
        """Return the lifts of own bans that are believed, by what the set holds: all of them where it is sealed."""
        return lifts if self._session.codec.sealed else self.lifts(lifts)

    def refund(self, repeated: Counter[str]) -> None:
        """Give back most of what bans cost that were known already: their number by peer."""
        for peer, count in repeated.items():
            self._budget.refund(peer, count)

    def check_problem(self) -> None:
        """Clear the problem when nothing was refused for a while."""
        if self._session.since_boot() - self._refused_at > PROBLEM_OVER_S:
            self._problem.clear()

    def _parse(self, lines: Sequence[str], node: str, now: float) -> list[Incoming]:
        session, parsed, wrong = self._session, list[Incoming](), Counter[Rejection]()
        codec, offset = session.codec, session.offset
        for line in lines[:MAX_ENTRY_LINES]:
            try:
                parsed.append(codec.parse_line(line, node, offset, now))
            except LineError as err:
                wrong[err.reason] += 1
        wrong[Rejection.MALFORMED] += len(lines[MAX_ENTRY_LINES:])
        self._reject(wrong)
        return parsed

    def _current(self, decisions: Sequence[Incoming]) -> list[Incoming]:
        """Leave out what is older than something that is known: it was published before, and somebody does so again.

        Without a key an attacker could write any time.
        """
        if not self._session.codec.sealed:
            return [*decisions]
        current, stale, redundant = list[Incoming](), 0, 0
        # What was decided twice just now, on two nodes or by two commands, is nothing to report.
        before = self._session.clock() - JUST_NOW_S
        for each in decisions:
            if not (self._lifts.knows(each) if isinstance(each, Lift) else self._lifts.is_stale(each)):
                current.append(each)
            elif each.at < before:
                stale += 1
            else:
                redundant += isinstance(each, Ban)
        self._reject(Counter({Rejection.STALE: stale}))
        if redundant:
            self._session.listener.bans("received", "redundant", redundant)
        return current

    def _as_many_bans(self, lines: Sequence[str], peer: str, room: int) -> Sequence[str]:
        """Drop the bans for which there is no room before they are parsed: a flood should cost little."""
        if len(lines) <= room:
            return lines
        bans = [line for line in lines if line.startswith(("B ", "P "))]
        if len(bans) <= room:
            return lines
        self._refuse(Rejection.BUDGET, len(bans) - room, peer)
        if len(bans) == len(lines):
            return bans[:room]
        left = itertools.count(room, -1)
        return [line for line in lines if not line.startswith(("B ", "P ")) or next(left) > 0]

    def _refuse(self, reason: Rejection, count: int, peer: str = "") -> None:
        self._reject(Counter({reason: count}))
        self._refused_at = self._session.since_boot()
        self._problem.set(
            f"{peer or 'the fleet'} publishes more than is believed at once: {count:,} decisions were refused. "
            "Check whether one of the hosts was taken over (docs/fleet.md)"
        )

    def _reject(self, reasons: Counter[Rejection]) -> None:
        for reason, count in reasons.items():
            if count:
                self._session.listener.rejected(reason.value, count)

    def _peer_label(self, peer: str) -> str:
        if len(self._peer_labels) < MAX_PEER_LABELS:
            self._peer_labels.add(peer)
        return peer if peer in self._peer_labels else "other"
