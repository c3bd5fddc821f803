"""A node's hello, once a second: it announces the node, compares the clocks, and notices a flushed server."""

from __future__ import annotations

import math
import secrets
from operator import attrgetter
from typing import NamedTuple

from sidecar.fleet.redis import Hello
from sidecar.fleet.session import Session
from sidecar.runtime.problems import Problem

# The first comparison of the clocks is the quickest of this many: the shorter the round trip, the
# more exact it is.
FIRST_MEASUREMENTS = 3

# The offset is kept while it differs by less: what is published or read twice then has the same
# end.
MAX_DRIFT_S = 1.0


class _Measurement(NamedTuple):
    hello: Hello
    ahead_s: float
    round_trip_s: float


class Heartbeat:
    """What the server's last answer said. Owned by the subscriber's thread."""

    def __init__(self, session: Session, problem: Problem) -> None:
        """`problem`: that the server's clock is not believed."""
        self._session, self._problem = session, problem
        self._epoch = ""
        # Nodes that are there, this one included.
        self.nodes = 1
        # Whether messages are judged by the server's clock.
        self.is_believed = True
        # When the server last answered, by the clock that nobody sets.
        self.answered_at = -math.inf

    def beat(self) -> bool:
        """Say hello. Return whether the server still has the epoch of the last hello. Raises StoreError."""
        session, known = self._session, self._epoch
        count = 1 if known else FIRST_MEASUREMENTS
        best = min((self._measure() for _ in range(count)), key=attrgetter("round_trip_s"))
        if not known or abs(best.ahead_s - session.ahead_s) > MAX_DRIFT_S:
            session.ahead_s = best.ahead_s
        self.is_believed = session.believed_offset(best.ahead_s).ahead_s == best.ahead_s
        if self.is_believed:
            self._problem.clear()
        else:
            self._problem.set(
                f"the clock of Redis at {session.store.url} differs from this host's by {abs(best.ahead_s):,.0f} s, so "
                "it is not believed: correct the clock of this host, or of Redis"
            )
        self._epoch, self.nodes, self.answered_at = best.hello.epoch, best.hello.nodes, session.since_boot()
        session.listener.peers(self.nodes - 1)
        return self._epoch == known

    def _measure(self) -> _Measurement:
        before = self._session.clock()
        hello = say_hello(self._session)
        after = self._session.clock()
        return _Measurement(hello, hello.now_ms / 1000 - (before + after) / 2, after - before)


def say_hello(session: Session) -> Hello:
    """Announce this node, with an epoch for a server that has none. Raises StoreError."""
    return session.store.hello(session.node.full, secrets.token_hex(8), sealed=session.codec.sealed)
