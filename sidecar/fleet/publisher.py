"""Publishes what this node decides: its bans, its unbans, and the failures that all nodes count together.

    loop ──apply──▶ outbox, failures ──run──▶ one entry of the stream, or one count in the shared windows

The loop never waits: `apply` puts values into bounded queues, and a thread of its own sends them.
Failures are counted at most once: those that the server did not answer to are not sent again. Bans
are published until the server has them.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import TypeVar

from sidecar.core.events import (
    BY_HAND,
    DECIDED_HERE,
    Ban,
    BanCause,
    Decision,
    Forgiven,
    Hit,
    Turn,
    Unban,
    UnbanCause,
)
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail, site_of_jail
from sidecar.fleet.limits import OWN_PROPOSALS, TokenBucket
from sidecar.fleet.protocol import MAX_ENTRY_LINES, LineKey, Outgoing, Proposal, is_client, key_of, seal
from sidecar.fleet.redis import WindowFailures
from sidecar.fleet.session import (
    FIRST_RETRY_S,
    HEARTBEAT_S,
    LONGEST_RETRY_S,
    LOOP_TIMEOUT_S,
    SLICE_SIZE,
    Session,
)
from sidecar.runtime.backoff import Backoff
from sidecar.runtime.loop import Closed, Inbox
from sidecar.stores.base import StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

# Failures that wait to be counted together. The node's own windows have them all, so losing some
# does little harm.
MAX_FAILURES = 10_000

# Proposed bans that wait while Redis is away.
MAX_PROPOSALS = 100

# A line has seven digits for the failures.
MAX_COUNT = 9_999_999

# The evidence that stands for failures which other nodes saw.
COUNTED_ELSEWHERE = "(counted with the other nodes of the fleet)"


class Publisher:
    """A Sink that never waits, and a Service that sends."""

    name = "fleet publisher"

    def __init__(self, session: Session, inbox: Inbox, jails: Iterable[Jail]) -> None:
        self._session, self._inbox = session, inbox
        self._failures: deque[Hit] = deque(maxlen=MAX_FAILURES)
        # Names of windows whose failures are to be forgotten.
        self._cleared: deque[str] = deque(maxlen=MAX_FAILURES)
        self._proposals: deque[Proposal] = deque(maxlen=MAX_PROPOSALS)
        self._proposal_budget = TokenBucket(OWN_PROPOSALS)
        # Window -> when its failures were forgiven, the latest last: they could be written into it again.
        self._forgiven_at: dict[str, float] = {}
        self._wake = threading.Event()
        # Names of failures count up from here.
        self._next_id = random.randrange(1 << 40)  # noqa: S311
        self.reconfigure(jails)

    def reconfigure(self, jails: Iterable[Jail]) -> None:
        """Count failures by the rules of these jails from now on."""
        self._jails = {jail.name: jail for jail in jails}

    def apply(self, turn: Turn) -> None:
        """Queue what was decided here. The other nodes know their own decisions, and which bans expired."""
        own = _to_publish(turn.decisions)
        hits = [hit for hit in turn.hits if not hit.success]
        self._propose(turn)
        if not (own or hits or turn.forgiven):
            return
        banned = {(each.jail, each.address) for each in turn.decisions if isinstance(each, Ban)}
        dropped = self._session.outbox.put(own)
        unbanned = [_window(each) for each in turn.decisions if isinstance(each, Unban)]
        for window in [*map(_window, turn.forgiven), *unbanned]:
            self._forgiven_at.pop(window, None)
            self._forgiven_at[window] = turn.at
        while len(self._forgiven_at) > MAX_FAILURES:
            del self._forgiven_at[next(iter(self._forgiven_at))]
        self._cleared.extend(_window(each) for each in (*own, *turn.forgiven))
        # The other nodes never see the lines, so they need not wait in memory.
        self._failures.extend(hit._replace(line="") for hit in hits if (hit.jail, hit.address) not in banned)
        self._wake.set()
        if dropped:
            self._session.listener.bans("sent", "dropped", dropped)

    def shift(self, by_s: float) -> None:
        """Move the times of failures that wait, because the clock was set. Only the loop calls this."""
        for _ in range(len(self._failures)):
            with contextlib.suppress(IndexError):
                hit = self._failures.popleft()
                self._failures.append(hit._replace(at=hit.at + by_s))
        self._forgiven_at = {window: at + by_s for window, at in self._forgiven_at.items()}

    def _propose(self, turn: Turn) -> None:
        """Queue bans that are due by this host's logs, and of whose addresses this host saw no packet.

        Their packets may enter by another node: a balancer, an ingress.
        """
        for ban in turn.refused:
            jail = self._jails.get(ban.jail)
            # What another host saw of one address of a network says nothing about the others.
            if (
                jail
                and not jail.observe
                and is_client(ban.address)
                and self._proposal_budget.room(turn.at) > 0
            ):
                self._proposal_budget.left -= 1
                self._proposals.append(Proposal(ban.address, ban.jail, turn.at, min(ban.failures, MAX_COUNT)))
                self._wake.set()

    def publish_again(self, bans: Sequence[Ban]) -> None:
        """Publish bans that the server has lost, except those about which something newer is under way."""
        self._session.outbox.put_unless_newer(bans)
        self._wake.set()

    def run(self) -> None:
        retry = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S)
        while self._wait_for_work():
            try:
                self._send()
                retry.reset()
            except StoreError as err:
                # The subscriber reports that the server is away.
                log.debug("not published: %s", err)
                self._session.wait_to_retry(retry)
            except Closed:
                return

    def close(self) -> None:
        self._session.closed.set()
        self._wake.set()

    def _wait_for_work(self) -> bool:
        """Wait until there is something to send and the node has joined. Return False when closed."""
        session = self._session
        while True:
            self._wake.clear()
            if session.closed.is_set():
                return False
            session.listener.outbox(len(session.outbox))
            if not (session.outbox or self._failures or self._cleared or self._proposals):
                self._wake.wait(HEARTBEAT_S)
            elif session.joined.wait(HEARTBEAT_S):
                return True

    def _send(self) -> None:
        """Send failures first: the windows of those that were banned meanwhile are cleared after them."""
        session = self._session
        self._count(_taken(self._failures))
        decisions, cleared = session.outbox.take(), _taken(self._cleared)
        try:
            if decisions:
                session.publish(decisions, session.offset)
            if cleared:
                session.store.clear(cleared)
        except StoreError:
            session.outbox.put_back(decisions)
            self._cleared.extend(cleared)
            session.listener.bans("sent", "failed", len(decisions))
            raise
        session.listener.bans("sent", "ok", len(decisions))
        # They are not sent again: the next failure proposes the ban again.
        if proposals := [
            self._proposals.popleft() for _ in range(min(len(self._proposals), MAX_ENTRY_LINES))
        ]:
            session.propose(proposals)
            session.listener.bans("sent", "proposed", len(proposals))

    def _count(self, hits: Iterable[Hit]) -> None:
        """Count failures together with those of the other nodes, and ban the addresses whose window is full."""
        groups: dict[str, list[Hit]] = {}
        jails, now = self._jails, self._session.clock()
        for hit in hits:
            # With a maxretry of 1 the node's own window is enough.
            if hit.jail in jails and jails[hit.jail].maxretry > 1:
                groups.setdefault(_window(hit), []).append(hit)
        if not groups:
            return
        windows = [self._failures_of(name, jails[each[0].jail], each, now) for name, each in groups.items()]
        full = [windows[index].name for index in self._full(windows, now)]
        if full:
            last = [groups[name][-1] for name in full]
            self._inbox.decide(partial(complete, last)).result(LOOP_TIMEOUT_S)

    def _full(self, windows: Sequence[WindowFailures], now: float) -> list[int]:
        """Count, and return the indexes of the windows that are full: with a key only by failures with its seal."""
        session, codec = self._session, self._session.codec
        found = session.store.count(windows, sealed=codec.sealed)
        if not codec.sealed:
            return [each.place for each in found]
        now_ms, full = session.offset.to_server_ms(now), list[int]()
        for index, names in found:
            window = windows[index]
            forgiven_ms = session.offset.to_server_ms(self._forgiven_at.get(window.name, 0.0))
            between_ms = max(forgiven_ms, now_ms - window.findtime_ms), now_ms
            if codec.is_full(window.name, names, window.maxretry, between_ms):
                full.append(index)
        if full:
            session.store.clear([windows[index].name for index in full])
        return full

    def _failures_of(self, name: str, jail: Jail, hits: Sequence[Hit], now: float) -> WindowFailures:
        codec, offset = self._session.codec, self._session.offset
        failures = tuple(
            (
                codec.failure(name, self._failure_id(hit), offset.to_server_ms(hit.at)),
                max(0, round((now - hit.at) * 1000)),
            )
            for hit in hits
        )
        return WindowFailures(name, jail.maxretry, round(jail.findtime * 1000), failures)

    def _failure_id(self, hit: Hit) -> str:
        """Name a failure. Two at the same target have one name, so that they count once, on whichever nodes."""
        if hit.target:
            return seal(b"target", hit.target)
        self._next_id += 1
        return f"{self._session.node.run}{self._next_id:x}"


def is_shared(decision: Decision) -> bool:
    """Return whether this decision is published.

    The other nodes know their own decisions, and when bans expire. Dry-run bans are not enforced
    anywhere, and unbans by the allowlist concern this host alone. So does what a site's log leads to
    in a jail with its scope: elsewhere the ports are another site's.
    """
    if site_of_jail(decision.jail):
        return False
    if isinstance(decision, Ban):
        return decision.cause in DECIDED_HERE and not decision.dry_run
    return decision.cause in BY_HAND


def complete(hits: Iterable[Hit], guard: Guard, now: float) -> list[Decision]:
    """Ban the addresses that failed too often on all nodes together. `hits`: the last failure of each, seen here.

    The guard decides, with its allowlist, ban times and budget: as many failures count here now as
    are missing.
    """
    maxretry = {jail.name: jail.maxretry for jail in guard.view.jails}
    decisions: list[Decision] = []
    for hit in hits:
        elsewhere = hit._replace(line=COUNTED_ELSEWHERE, target="")
        for _ in range(maxretry.get(hit.jail, 0)):
            decided = guard.hit(elsewhere, now)
            # None: it does not count; a ban: it was the last one that was missing.
            if decided is None or decided:
                decisions += decided or ()
                break
    return decisions


def _to_publish(decisions: Iterable[Decision]) -> Collection[Outgoing]:
    """Return the last of these about each key, unless another node's came after it: that one holds everywhere."""
    own: dict[LineKey, Outgoing] = {}
    for each in decisions:
        if is_shared(each):
            own[key_of(each)] = each
        elif each.cause in (BanCause.FLEET, UnbanCause.FLEET):
            own.pop(key_of(each), None)
    return own.values()


def _window(value: Hit | Outgoing | Forgiven) -> str:
    """Return the name of the shared window of failures in this jail from this address."""
    return f"{value.jail}|{value.address}"


def _taken(queue: deque[T]) -> list[T]:
    """Remove and return the oldest values, as many as are sent at once. Another thread may add some meanwhile."""
    return [queue.popleft() for _ in range(min(len(queue), SLICE_SIZE))]
