"""What the others decided, read and made to hold here."""

from __future__ import annotations

import logging
import math
import random
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import groupby
from operator import attrgetter, itemgetter

from sidecar.core.events import Ban, Decision, Unban, UnbanCause
from sidecar.core.guard import Guard
from sidecar.fleet import protocol
from sidecar.fleet.protocol import MOST, Budget, Clock, Key, Lift, Lifts, Outbox, Told, Unsound
from sidecar.fleet.publisher import told_to_others
from sidecar.fleet.redis import Entry, Hello
from sidecar.fleet.session import (
    BEAT,
    FIRST,
    LONGEST,
    PATIENCE,
    SLICE,
    Ask,
    Report,
    State,
    fresh,
    lifts,
    parts,
)
from sidecar.runtime.loop import Closed
from sidecar.stores.base import StoreError

log = logging.getLogger(__name__)

TOGETHER = 0.005  # seconds in which news gathers after the last: a node wakes 200 times a second at most
SHARE = 50e-6  # and at least that for each node: their engine then has 20,000 readers a second to answer, not more
TARDY = 0.1  # seconds: and at most that
AGAIN = 300.0  # seconds, on average, between looks whether all still know our own bans
NEIGHBOURS = 5_000  # bans that are put in order first: the store writes those near each other twice as fast
AHEAD = 2  # slices that may wait for the loop while the next ones are read
CAREFULLY = 3  # times that the engine's clock is asked at the start; the quickest answer is the most exact
SLACK = 1.0  # seconds by which two ends of a ban are the same: clocks are compared again at each connection
CALM = 60.0  # seconds without a refusal until that is no trouble any more
QUIET = 3.0  # seconds away until people are told: an engine that starts again is no trouble
NAMES = 100  # peers that have a series of their own; whoever writes to the engine may make up names


class Subscriber:
    """Has hold here what the others decided. A Service."""

    name = "fleet news"

    def __init__(self, state: State, guard: Guard, ask: Ask, problem: Report, budget: Budget) -> None:
        self._state, self._guard, self._ask = state, guard, ask
        self._trouble, self._budget = problem, budget
        self.obeying = False
        self._last = ""  # the position up to which the stream was read
        self._nodes = 1
        self._there = -math.inf  # when the engine last answered
        self._refused = -math.inf  # when somebody last said more than is believed
        self._again = 0.0
        self._doubts: list[str] = []
        self._names: set[str] = set()

    def run(self) -> None:
        """Follow the others until closed."""
        state, pause, wiped = self._state, FIRST, FIRST
        began = state.clock()
        while not state.closed.is_set():
            try:
                self._join()
                pause, joined = FIRST, state.clock()
                self._follow()
            except StoreError as err:
                self._away(str(err), max(self._there, began))
                state.closed.wait(pause * random.uniform(0.5, 1))  # noqa: S311 - all nodes are away at once
                pause = min(pause * 2, LONGEST)
            except Closed:
                return
            else:  # it was wiped; somebody who does so all the time shall not keep everyone reading
                wiped = min(wiped * 2, CALM) if state.clock() - joined < CALM else FIRST
                state.closed.wait(wiped)

    def close(self) -> None:
        self._state.closed.set()

    # Coming in

    def _join(self) -> None:
        """Read what was missed: the rest of the stream, or all there is where it reaches back too little."""
        state, began = self._state, time.perf_counter()
        state.joined.clear()
        known = state.epoch
        self._beat()
        first, last = state.board.position()
        if state.epoch != known or not _place(first) <= _place(self._last) <= _place(last):
            self._read_all(last)
        while entries := state.board.read(self._last, 0):
            self._hear(entries)
        self._tell_again()
        state.joined.set()
        state.listener.connected(up=True)
        self._trouble(self.name, None)
        self._doubt()
        log.info("the fleet at %s: joined in %.2f s", state.board.url, time.perf_counter() - began)

    def _read_all(self, last: str) -> None:
        """All that holds and all that was lifted, as of now; what is told meanwhile comes after `last`."""
        state = self._state
        with state.changed:
            state.outbox.settle()
        self._last, now = last, state.clock()
        self._lift_here(Lifts(lifts(state, now)))
        known = {protocol.key(ban): ban.until for ban in self._here()}
        waiting: deque[Future[Sequence[Decision]]] = deque()
        for part in self._fresh(known, now):
            waiting.append(self._begin(part))
            if len(waiting) > AHEAD:
                waiting.popleft().result(PATIENCE)
        for each in waiting:
            each.result(PATIENCE)

    def _fresh(self, known: Mapping[Key, float], now: float) -> Iterator[list[Ban]]:
        """All bans that hold and are believed, but for those that are known here, a slice at a time."""
        gathered: list[Ban] = []
        for page in self._state.board.bans():
            fresh = [
                ban
                for ban in self._listed(page, now)
                if known.get(protocol.key(ban), 0.0) < ban.until - SLACK
            ]
            allowed = self._budget.take(len(fresh), now)
            gathered += fresh[:allowed]
            if len(gathered) >= NEIGHBOURS:
                yield from _ordered(gathered)
                gathered.clear()
            if allowed < len(fresh):
                self._refuse("budget", max(len(fresh) - allowed, self._state.board.known() - len(known)))
                break
        yield from _ordered(gathered)

    def _listed(self, page: Iterable[tuple[str, float]], now: float) -> list[Ban]:
        state, sound, wrong = self._state, [], Counter[str]()
        for member, until in page:
            try:
                sound.append(protocol.listed(member, until, state.ahead, now, state.node.secret))
            except Unsound as err:
                wrong[str(err)] += 1
        self._reject(wrong)
        return sound

    def _lift_here(self, lifts: Lifts) -> None:
        """Own bans that were lifted while we were away: nobody is told of them again."""
        state, now = self._state, self._state.clock()
        with state.changed:
            waiting = _drained(state.outbox)
        kept = [each for each in waiting if not (isinstance(each, Ban) and lifts.over(each))]
        for part in reversed([*parts(kept, SLICE)]):  # the loop's thread never waits for long
            with state.changed:
                state.outbox.back(part)
        over = [ban for ban in self._here() if lifts.over(ban)]
        self._obey(self._lifts_allowed([Lift(ban.address, ban.jail, now) for ban in over]))

    def _tell_again(self) -> None:
        """Own bans that the others do not know, or not for as long: a flushed, full or failed-over engine lost them."""
        state = self._state
        self._again = state.clock() + AGAIN * random.uniform(0.5, 1.5)  # noqa: S311 - not all nodes at once
        own = [ban for ban in self._here() if told_to_others(ban)]
        for part in parts(own, SLICE):
            ends = state.board.ends([protocol.member(protocol.key(ban), state.node.secret) for ban in part])
            missing = [
                ban
                for ban, end in zip(part, ends, strict=True)
                if end is None or state.ahead.ours(end) < ban.until - SLACK
            ]
            with state.changed:
                for ban in missing:
                    if not state.outbox.overrules(protocol.key(ban)):
                        state.outbox.put(ban)
                state.changed.notify_all()

    # Being there

    def _follow(self) -> None:
        """Read what is told, for as long as the fleet stays the same one."""
        state, beat = self._state, self._state.clock()
        while not state.closed.is_set():
            if entries := state.board.read(self._last, BEAT):
                self._hear(entries)
                state.closed.wait(together(self._nodes))
            if not 0 <= state.clock() - beat < BEAT:
                beat, known = state.clock(), state.epoch
                self._beat()
                if state.epoch != known:
                    log.warning("the fleet's memory at %s was wiped: ours is told again", state.board.url)
                    self._last = ""
                    return
            if state.clock() >= self._again:
                self._tell_again()
                self._doubt()

    def _beat(self) -> None:
        """Say that we are here; learn the engine's time, and whether it still is the fleet that we knew."""
        state = self._state
        hello, ahead = min(
            (self._asked() for _ in range(1 if state.epoch else CAREFULLY)), key=itemgetter(2)
        )[:2]
        now = state.clock()
        if not state.epoch or abs(ahead - state.ahead.ahead) > SLACK:
            state.ahead = Clock(ahead)  # and else not: what is told or heard twice shall have the same end
        state.epoch, self._there = hello.epoch, now
        self._nodes = hello.nodes
        state.listener.peers(hello.nodes - 1)
        if now - self._refused > CALM:
            self._trouble("the fleet's bans", None)

    def _asked(self) -> tuple[Hello, float, float]:
        """The engine's answer, by how much its clock is ahead, and how many seconds it took to say so."""
        before = self._state.clock()
        hello = self._state.board.hello(self._state.node.full, fresh())
        now = self._state.clock()
        return hello, hello.now / 1000 - (before + now) / 2, now - before

    def _hear(self, entries: list[Entry]) -> None:
        """Have hold here what was told, in its order."""
        heard = [each for entry in entries for each in self._read(entry)]
        for part in parts(heard, SLICE):
            self._obey(part)
        self._last = entries[-1].position

    def _read(self, entry: Entry) -> Sequence[Told | Key]:
        """What is said in this entry, as far as it is sound and believed; of what we said ourselves, about whom.

        What was said in our name and is not in flight is heard as anybody's: it is older than our memory of it.
        """
        peer, _, run = entry.node.partition("/")
        own: list[Key] = []
        if run == self._state.node.run:
            with self._state.changed:
                flying = [line for line in entry.lines if self._state.outbox.flies(protocol.about(line))]
            own = [*map(protocol.about, flying)]
            entry = entry._replace(lines=tuple(line for line in entry.lines if line not in flying))
        if not entry.lines:
            return own
        if not protocol.NODE.fullmatch(peer):
            self._reject(Counter({"malformed": len(entry.lines)}))
            return []
        state, now = self._state, self._state.clock()
        state.listener.lag(self._label(peer), max(0.0, now - state.ahead.ours(_place(entry.position)[0])))
        if not self._budget.room(now, peer):
            entry = self._shortened(entry, peer)
        heard = self._sound(entry, peer, now)
        bans = [each for each in heard if isinstance(each, Ban)]
        lifts = [each for each in heard if isinstance(each, Lift)]
        believed = {*map(id, bans[: self._allowed(bans, peer, now)]), *map(id, self._lifts_allowed(lifts))}
        return [*own, *(each for each in heard if id(each) in believed)]

    def _allowed(self, bans: list[Ban], peer: str, now: float) -> int:
        allowed = self._budget.take(len(bans), now, peer)
        if allowed < len(bans):
            self._refuse("budget", len(bans) - allowed, peer)
        return allowed

    def _shortened(self, entry: Entry, peer: str) -> Entry:
        """Without its bans: nothing is read that is not believed anyway, a flood least of all."""
        lines = tuple(line for line in entry.lines if not line.startswith("B "))
        if less := len(entry.lines) - len(lines):
            self._refuse("budget", less, peer)
        return entry._replace(lines=lines)

    def _sound(self, entry: Entry, peer: str, now: float) -> list[Told]:
        state, heard, wrong = self._state, [], Counter[str]()
        for line in entry.lines[:MOST]:
            try:
                heard.append(protocol.told(line, entry.node, state.ahead, now, state.node.secret))
            except Unsound as err:
                wrong[str(err)] += 1
        wrong["malformed"] += len(entry.lines[MOST:])
        self._reject(wrong)
        return [replace(told, origin_name=peer) if isinstance(told, Ban) else told for told in heard]

    def _lifts_allowed(self, lifts: list[Lift]) -> list[Lift]:
        if self._state.node.secret:
            return lifts
        allowed = self._budget.lifts(len(lifts), self._state.clock())
        if allowed < len(lifts):
            self._refuse("too many lifted", len(lifts) - allowed)
        return lifts[:allowed]

    # What is done with it: the only calls into the guard

    def _obey(self, heard: Sequence[Told | Key]) -> None:
        """Have this hold here. Raises Closed where the loop has stopped."""
        if not heard:
            return
        made = self._begin(heard).result(PATIENCE)
        told = Counter(each.origin_name for each in heard if isinstance(each, Ban))
        for peer, repeated in (
            told - Counter(each.origin_name for each in made if isinstance(each, Ban))
        ).items():
            self._budget.give(peer, repeated)

    def _begin(self, heard: Sequence[Told | Key]) -> Future[Sequence[Decision]]:
        """In the engine's order: until ours about someone comes by, what others say about them does not hold."""
        state, counts = self._state, Counter[str]()

        def work(now: float) -> Sequence[Decision]:
            decisions: list[Decision] = []
            for kind, run in groupby(heard, type):
                with state.changed:
                    if kind is tuple:
                        for name in run:
                            state.outbox.landed(name)  # type: ignore[arg-type]
                        continue
                    later = [each for each in run if not state.outbox.overrules(protocol.key(each))]  # type: ignore[arg-type]
                made = self._lifted(later, now) if kind is Lift else self._shared(later, now)  # type: ignore[arg-type]
                counts["lifted" if kind is Lift else "ok"] += len(made)
                counts["nothing new"] += len(later) - len(made) if kind is Ban else 0
                decisions += made
            return decisions

        def count(_: Future[Sequence[Decision]]) -> None:
            for result in ("ok", "nothing new"):
                state.listener.bans("received", result, counts[result])

        done = self._ask(work)
        done.add_done_callback(count)
        return done

    def _shared(self, bans: list[Ban], now: float) -> list[Decision]:
        self.obeying = True
        try:
            return self._guard.shared(bans, now)
        finally:
            self.obeying = False

    def _lifted(self, lifts: list[Lift], now: float) -> list[Decision]:
        return [
            each
            for lift in lifts
            for each in self._guard.unban(lift.address, now, lift.jail, cause=UnbanCause.FLEET)
        ]

    def _here(self) -> tuple[Ban, ...]:
        """Who is banned here, after all that was decided before."""
        found: list[tuple[Ban, ...]] = []

        def work(_: float) -> Sequence[Decision]:
            found.append(self._guard.bans)
            return ()

        self._ask(work).result(PATIENCE)
        return found[0]

    # Telling

    def _away(self, why: str, since: float) -> None:
        self._state.joined.clear()
        self._state.listener.connected(up=False)
        log.debug("%s", why)
        if self._state.clock() - since > QUIET:
            self._trouble(self.name, f"{why} Bans go on here, and are shared once it is back.")

    def _doubt(self) -> None:
        doubts = self._state.board.doubts()
        for sentence in [each for each in doubts if each not in self._doubts]:
            log.warning("%s", sentence)
        if doubts != self._doubts:
            self._trouble("the fleet's engine", " ".join(doubts) or None)
        self._doubts = doubts

    def _refuse(self, reason: str, count: int, peer: str = "") -> None:
        self._reject(Counter({reason: count}))
        self._refused = self._state.clock()
        address = f"{peer} tells" if peer else "the fleet tells"
        self._trouble(
            "the fleet's bans",
            f"{address} more than is believed at once, {count:,} just now were not: "
            "look whether one of the hosts was taken over (docs/protocol.md)",
        )

    def _reject(self, reasons: Counter[str]) -> None:
        for reason, count in reasons.items():
            if count:
                self._state.listener.rejected(reason, count)

    def _label(self, peer: str) -> str:
        if len(self._names) < NAMES:
            self._names.add(peer)
        return peer if peer in self._names else "other"


def together(nodes: int) -> float:
    """Seconds in which news gathers after the last, in a fleet of so many; anybody may make up nodes."""
    return min(max(TOGETHER, SHARE * nodes), TARDY)


def _drained(outbox: Outbox) -> list[Told | Unban]:
    waiting = outbox.take(len(outbox))
    outbox.settle()
    return waiting


def _ordered(bans: Iterable[Ban]) -> Iterator[list[Ban]]:
    return parts(sorted(bans, key=attrgetter("address")), SLICE)


def _place(position: str) -> tuple[int, int]:
    """A position in the stream, so that two can be compared; "" is before all, and after none."""
    first, _, second = position.partition("-")
    return int(first or -1), int(second or 0)
