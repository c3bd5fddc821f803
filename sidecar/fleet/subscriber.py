"""Reads what the other nodes publish, and puts it in force here.

    join:    hello ─▶ read what was missed ─▶ publish own bans that the server lacks ─▶ joined
    follow:  read the stream; hello each second; own bans compared with the server's every few minutes

When the server cannot be reached, the node waits and joins again. When the server was flushed (its
epoch is another one), the node joins as if for the first time. When the stream lost entries before
this node had read them, it reads all bans again.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import Counter
from collections.abc import Iterator

from sidecar.core.events import Ban
from sidecar.fleet.applier import Applier, Step
from sidecar.fleet.heartbeat import Heartbeat
from sidecar.fleet.joining import Joining
from sidecar.fleet.protocol import Echo, key_of_line
from sidecar.fleet.redis import MAX_EVENTS, READ_ENTRIES, Entry, StreamState
from sidecar.fleet.session import (
    FIRST_RETRY_S,
    HEARTBEAT_S,
    LONGEST_RETRY_S,
    SLICE_SIZE,
    Session,
    slices,
)
from sidecar.fleet.verifier import Verifier
from sidecar.runtime.backoff import Backoff
from sidecar.runtime.clock import HostClock
from sidecar.runtime.loop import Closed
from sidecar.runtime.problems import Problems
from sidecar.stores.base import StoreError

log = logging.getLogger(__name__)

# After each read, news gathers for a moment: a node wakes 200 times a second at most. In a large
# fleet the pause grows, so that the server answers 20,000 readers a second at most; but anybody can
# make up nodes, so it does not grow for ever.
MIN_READ_PAUSE_S, READ_PAUSE_PER_NODE_S, MAX_READ_PAUSE_S = 0.005, 50e-6, 0.1

# On average, between comparisons of own bans with the server's.
COMPARE_INTERVAL_S = 300.0

# A server that restarts is away for less, and is not a problem.
AWAY_PROBLEM_S = 3.0

# Somebody who flushes the server again and again must not keep all nodes busy reading it.
LONGEST_FLUSH_PAUSE_S = 60.0

# Between readings of all bans because the stream lost entries. Whoever floods it must not keep all nodes busy.
MISSED_PAUSE_S = 60.0

# How the names of problems with the server begin.
SERVER = "the fleet's Redis"

CLOCK = "the fleet's clock"

STREAM = "the fleet's stream"


class Subscriber:
    """A Service that follows the other nodes until it is closed."""

    name = "fleet subscriber"

    def __init__(
        self, session: Session, verifier: Verifier, applier: Applier, joining: Joining, problems: Problems
    ) -> None:
        self._session, self._verifier, self._applier, self._joining = session, verifier, applier, joining
        self._heartbeat = Heartbeat(session, problems.problem(CLOCK, critical=False))
        self._problems, self._problem = problems, problems.problem(SERVER, critical=False)
        # The position in the stream up to which all was applied; "" before the first join, and
        # after a flush.
        self._position = ""
        self._compare_at, self._beat_at = -math.inf, -math.inf
        self._host_clock = HostClock(session.clock, session.since_boot)
        self._missed = problems.problem(STREAM, critical=False)
        # When the stream last lost entries that were not read here; and whether what they said was not read since.
        self._missed_at, self._owed = -math.inf, False
        # When all bans may be read again because of it.
        self._catch_up_at = -math.inf

    def run(self) -> None:
        session = self._session
        retry = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S)
        flushed = Backoff(FIRST_RETRY_S, LONGEST_FLUSH_PAUSE_S)
        began = session.since_boot()
        while not session.closed.is_set():
            try:
                self._join()
                retry.reset()
                joined_at = session.since_boot()
                self._follow()
            except StoreError as err:
                self._disconnected(str(err), max(self._heartbeat.answered_at, began))
                session.wait_to_retry(retry)
            except Closed:
                return
            else:
                if session.since_boot() - joined_at >= LONGEST_FLUSH_PAUSE_S:
                    flushed.reset()
                session.closed.wait(flushed.next())

    def close(self) -> None:
        self._session.closed.set()

    def _join(self) -> None:
        """Read what was missed: the rest of the stream, or everything where the stream begins too late."""
        session, began = self._session, time.perf_counter()
        session.joined.clear()
        same = self._beat()
        stream = session.store.stream_state()
        if not same or not _place(stream.oldest) <= _place(self._position) <= _place(stream.newest):
            self._read_all(stream)
        while self._read(0):
            pass
        self._compare()
        session.joined.set()
        session.listener.connected(up=True)
        self._problem.clear()
        self._check_server()
        log.info("joined in %.2f s: the fleet at %s", time.perf_counter() - began, session.store.url)

    def _read_all(self, stream: StreamState) -> None:
        """Read the sets, and go on in the stream where it ended before."""
        # If this fails half-way, no position may be known: the next try must begin again.
        self._position = ""
        self._joining.read_all()
        self._joining.seal_untimed()
        self._position = stream.newest

    def _follow(self) -> None:
        """Read the stream for as long as the server keeps its contents."""
        session = self._session
        while not session.closed.is_set():
            if self._read(HEARTBEAT_S):
                session.closed.wait(read_pause_s(self._heartbeat.nodes))
            if self._owed and session.since_boot() >= self._catch_up_at:
                self._catch_up()
            if session.since_boot() - self._beat_at >= HEARTBEAT_S and not self._beat():
                log.warning("Redis at %s was flushed: joining again", session.store.url)
                self._position = ""
                return
            if session.since_boot() >= self._compare_at:
                self._compare()
                self._check_server()

    def _beat(self) -> bool:
        was_believed, self._beat_at = self._heartbeat.is_believed, self._session.since_boot()
        same = self._heartbeat.beat()
        if self._heartbeat.is_believed and not was_believed:
            self._clock_was_set()
        self._verifier.check_problem()
        if not self._owed and self._session.since_boot() - self._missed_at > MISSED_PAUSE_S:
            self._missed.clear()
        return same

    def _compare(self) -> None:
        """Publish own bans that the server has lost. Not all nodes do so at once."""
        self._compare_at = self._session.since_boot() + COMPARE_INTERVAL_S * random.uniform(0.5, 1.5)  # noqa: S311
        self._joining.publish_missing()

    def _check_server(self) -> None:
        warnings = {f"{SERVER}: {name}": text for name, text in self._session.store.warnings().items()}
        self._problems.replace(f"{SERVER}: ", warnings)

    def _read(self, wait_s: float) -> bool:
        """Read and apply the next entries. Return whether there were any."""
        store, before = self._session.store, self._position
        entries = store.read(before, wait_s)
        if self._host_clock.look():
            self._clock_was_set()
        if not entries:
            return False
        self._receive(entries)
        # The stream keeps so many entries that only a node far behind can miss some. The server is asked after the
        # reading, so that no gap before it is overlooked.
        if len(entries) == READ_ENTRIES and _has_gap(before, store.stream_state()):
            self._missed_at, self._owed = self._session.since_boot(), True
            self._missed.set(
                f"Redis at {store.url} dropped decisions before this host had read them, so it reads all bans again: "
                "find out which node publishes so many, and whether it was taken over (docs/fleet.md)"
            )
        return True

    def _clock_was_set(self) -> None:
        """Have everything read again: what was read has the times of the clock before, and some was refused by it."""
        self._verifier.forget()
        self._owed, self._catch_up_at = True, -math.inf
        self._compare_at = -math.inf

    def _catch_up(self) -> None:
        """Read all bans and unbans: entries of the stream were missed, or the clock was set."""
        self._catch_up_at = self._session.since_boot() + MISSED_PAUSE_S
        self._read_all(self._session.store.stream_state())
        self._owed = False

    def _receive(self, entries: list[Entry]) -> None:
        """Apply what these entries say, in their order."""
        steps = [step for entry in entries for step in self._steps(entry)]
        for part in slices(steps, SLICE_SIZE):
            made = self._applier.apply(part)
            wanted = Counter(each.origin_name for each in part if isinstance(each, Ban))
            self._verifier.refund(
                wanted - Counter(each.origin_name for each in made if isinstance(each, Ban))
            )
        self._position = entries[-1].position

    def _steps(self, entry: Entry) -> Iterator[Step]:
        """Yield what is to be done about one entry.

        Lines of our own that are in flight have arrived. Any other line under our name is treated
        like another node's: it is from before the connection was lost, or somebody else wrote it.
        """
        session, lines = self._session, entry.lines
        if entry.node.partition("/")[2] == session.node.run:
            decided = [line for line in lines if not line.startswith("P ")]
            own = [line for line in decided if session.outbox.is_in_flight(key_of_line(line))]
            yield from (Echo(key_of_line(line)) for line in own)
            self._verifier.remember_own(own, entry.node)
            # Proposals are for the other nodes.
            lines = tuple(line for line in decided if line not in own)
        if lines:
            sent_at = session.offset.to_local_s(_place(entry.position)[0])
            yield from self._verifier.entry(entry._replace(lines=lines), sent_at)

    def _disconnected(self, why: str, since: float) -> None:
        session = self._session
        session.joined.clear()
        session.listener.connected(up=False)
        log.debug("%s", why)
        if session.since_boot() - since > AWAY_PROBLEM_S:
            self._problem.set(f"{why}. This host goes on banning, and shares its bans once Redis is back")


def read_pause_s(nodes: int) -> float:
    """Return how long news gathers after each read, in a fleet of this many nodes."""
    return min(max(MIN_READ_PAUSE_S, READ_PAUSE_PER_NODE_S * nodes), MAX_READ_PAUSE_S)


def _has_gap(position: str, stream: StreamState) -> bool:
    """Return whether the stream may have lost entries after this position."""
    # A short stream that is read from its beginning never lost any.
    begins = _place(position) == (0, 0) and stream.length < MAX_EVENTS
    return not begins and _place(stream.oldest) > _place(position)


def _place(position: str) -> tuple[int, int]:
    """Return a position in the stream as numbers, so that two compare; "" comes before all others."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds or -1), int(number or 0)
