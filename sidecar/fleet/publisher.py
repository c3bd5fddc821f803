"""Own bans, liftings and failures, told to the others."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Collection, Iterable, Sequence

from sidecar.core.events import DECIDED_HERE, Ban, BanCause, Decision, Hit, Turn, UnbanCause
from sidecar.core.guard import Guard
from sidecar.fleet import protocol
from sidecar.fleet.protocol import Key
from sidecar.fleet.redis import Failures
from sidecar.fleet.session import BEAT, FIRST, LONGEST, PATIENCE, SLICE, Ask, State, publish
from sidecar.runtime.loop import Closed
from sidecar.stores.base import StoreError

log = logging.getLogger(__name__)

COUNTED = 10_000  # failures that wait to be counted together; a node's own windows have them all
SHOWN = 300  # characters of a line that are kept meanwhile


class Publisher:
    """Tells the others what was decided here. A Sink, which never waits, and a Service."""

    name = "fleet"

    def __init__(self, state: State, guard: Guard, ask: Ask) -> None:
        self._state, self._guard, self._ask = state, guard, ask
        self._hits: deque[Hit] = deque(maxlen=COUNTED)
        self._forgiven: deque[str] = deque(maxlen=COUNTED)
        self._rules: dict[str, tuple[int, int]] = {}  # jail -> so many failures, in so many milliseconds
        self._numbers = random.randrange(1 << 40)  # names of failures go up from here  # noqa: S311

    def apply(self, turn: Turn) -> None:
        """The loop's: what was decided here is told; what others decided, or time did, they know."""
        own = _own(turn.decisions)
        hits = [hit for hit in turn.hits if not hit.success]
        if not (own or hits or turn.forgiven):
            return
        banned = {(each.jail, each.address) for each in turn.decisions if isinstance(each, Ban)}
        if hits:
            self._rules = {
                jail.name: (jail.maxretry, round(jail.findtime * 1000)) for jail in self._guard.jails
            }
        state, dropped = self._state, 0
        with state.changed:
            for decision in own:
                dropped += state.outbox.put(decision)
                self._forgiven.append(f"{decision.jail}|{decision.address}")
            self._forgiven.extend(f"{each.jail}|{each.address}" for each in turn.forgiven)
            self._hits.extend(
                hit._replace(line=hit.line[:SHOWN]) for hit in hits if (hit.jail, hit.address) not in banned
            )
            state.changed.notify_all()
        if dropped:
            state.listener.bans("sent", "dropped", dropped)

    def run(self) -> None:
        pause = FIRST
        while self._waiting():
            try:
                self._send()
                pause = FIRST
            except StoreError as err:
                log.debug("%s; again in %.1f s", err, pause)  # the subscriber tells people
                self._state.closed.wait(pause * random.uniform(0.5, 1))  # noqa: S311 - all nodes are away at once
                pause = min(pause * 2, LONGEST)
            except Closed:
                return

    def close(self) -> None:
        self._state.closed.set()
        with self._state.changed:
            self._state.changed.notify_all()

    def _waiting(self) -> bool:
        """Wait for something to send, and for the way to be free. False: we are to stop; the rest is told next time."""
        state = self._state
        while True:
            with state.changed:
                state.listener.outbox(len(state.outbox))
                something = bool(state.outbox or self._hits or self._forgiven)
                if state.closed.is_set():
                    return False
                if not something:
                    state.changed.wait(BEAT)
                    continue
            if state.joined.wait(BEAT):
                return True

    def _send(self) -> None:
        """Failures first: whoever is banned by now has their count cleared after it."""
        state = self._state
        with state.changed:
            hits = [self._hits.popleft() for _ in range(min(len(self._hits), SLICE))]
        if hits:
            self._count(hits)
        with state.changed:
            told = state.outbox.take()
            forgiven = [self._forgiven.popleft() for _ in range(min(len(self._forgiven), SLICE))]
        try:
            if told:
                publish(state, told, state.ahead)
            if forgiven:
                state.board.forget(forgiven)
        except StoreError:
            with state.changed:
                state.outbox.back(told)
                self._forgiven.extend(forgiven)
            state.listener.bans("sent", "failed", len(told))
            raise
        state.listener.bans("sent", "ok", len(told))

    def _count(self, hits: list[Hit]) -> None:
        """Count these with what the other nodes saw; who failed too often by that is banned here, and so everywhere.

        They are counted at most once: what the engine did not answer to is not sent again.
        """
        now = self._state.clock()
        groups: dict[str, list[Hit]] = {}
        for hit in hits:
            if self._rules.get(hit.jail, (0, 0))[0] > 1:  # of one failure the own window knows
                groups.setdefault(f"{hit.jail}|{hit.address}", []).append(hit)
        found = [self._failures(name, each, now) for name, each in groups.items()]
        full = self._state.board.count(found) if found else []
        lasts = [groups[found[place].name][-1] for place in full]

        def work(now: float) -> Sequence[Decision]:
            return [ban for hit in lasts for ban in completed(self._guard, hit, now)]

        if lasts:
            self._ask(work).result(PATIENCE)

    def _failures(self, name: str, hits: list[Hit], now: float) -> Failures:
        most, span = self._rules[hits[0].jail]
        return Failures(
            name, most, span, tuple((self._number(hit), max(0, round((now - hit.at) * 1000))) for hit in hits)
        )

    def _number(self, hit: Hit) -> str:
        """A name for this failure: of two at the same target only one counts, wherever they were seen."""
        if hit.target:
            return protocol.seal(b"target", hit.target)
        self._numbers += 1
        return f"{self._state.node.run}{self._numbers:x}"


def told_to_others(decision: Decision) -> bool:
    """Is this for the other nodes? They know their own, and what time does; who is only observed is nobody's ban."""
    if isinstance(decision, Ban):
        return decision.cause in DECIDED_HERE and not decision.dry_run
    return decision.cause == UnbanCause.MANUAL  # "allowed": each host has its own list of those


def _own(decisions: Iterable[Decision]) -> Collection[Decision]:
    """What of these is for the others; not what another node then decided otherwise: theirs came first to all."""
    own: dict[Key, Decision] = {}
    for each in decisions:
        if told_to_others(each):
            own[protocol.key(each)] = each
        elif each.cause in (BanCause.FLEET, UnbanCause.FLEET):
            own.pop(protocol.key(each), None)
    return own.values()


def completed(guard: Guard, hit: Hit, now: float) -> list[Decision]:
    """The ban of one who failed too often on all nodes together; this is their last failure here.

    It is the guard's own ban, with its never-ban list, its lengths and its budget: the failures that others saw
    count here now.
    """
    there = hit._replace(line="(counted with the other nodes of the fleet)", target="")
    for _ in range(_maxretry(guard, hit.jail)):
        decided = guard.hit(there, now)
        if decided is None or decided:
            return decided or []
    return []


def _maxretry(guard: Guard, name: str) -> int:
    return next((jail.maxretry for jail in guard.jails if jail.name == name), 0)
