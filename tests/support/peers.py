"""Nodes of a fleet: each a real loop, guard and fleet, in threads of this process."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress

from sidecar.config.redis_url import parse_redis_url
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Hit, Origin, Read
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.fleet import Fleet, Node
from sidecar.fleet.protocol import Budget
from sidecar.fleet.redis import Board
from sidecar.runtime.loop import Closed, Inbox, Loop
from tests.support.waiting import wait_until

LOGIN = Jail("login", maxretry=3, findtime=600, bantime=3600)
SITE = Origin("docker", "blog", "stdout", ("login",))
PREFIX = "wp-sidecar"
EVENTS, BANS = f"{{{PREFIX}}}:events", f"{{{PREFIX}}}:bans"  # where all is told, and what holds


class Heard:
    """What the metrics are told."""

    def __init__(self):
        self.up, self.others, self.waiting = None, 0, 0
        self.lags, self.counts, self.reasons = {}, Counter(), Counter()

    def connected(self, *, up):
        self.up = up

    def peers(self, count):
        self.others = count

    def lag(self, peer, seconds):
        self.lags[peer] = seconds

    def bans(self, direction, result, count):
        self.counts[direction, result] += count

    def outbox(self, length):
        self.waiting = length

    def rejected(self, reason, count):
        self.reasons[reason] += count


class Peer:
    """One host. `turns` are what its sinks were given; `when` is when each address was first banned in force."""

    def __init__(
        self,
        name,
        url,
        *,
        jails=(LOGIN,),
        allowlist=None,
        secret=b"",
        budget=None,
        sinks=(),
        ahead=0.0,
        prefix=PREFIX,
    ):
        def clock():
            return time.time() + ahead

        self.name, self.clock = name, clock
        self.heard, self.turns, self.when = Heard(), [], {}
        self.problems = defaultdict(list)
        self.asked = 0  # how often the own budget was
        self.inbox, self.guard = Inbox(), Guard(jails, allowlist or Allowlist(), budget=self._allows)
        self.fleet = Fleet(
            Board(parse_redis_url(url), prefix),
            Node(name, secret, run=f"run-{name}"),
            guard=self.guard,
            ask=self.inbox.ask,
            listener=self.heard,
            problem=self._troubled,
            clock=clock,
            budget=budget or Budget(),
        )
        self._last = {}
        self.loop = Loop(self.guard, self.inbox, [*sinks, self, self.fleet.publisher], clock, lambda *_: None)
        runs = (self.loop, self.fleet.publisher, self.fleet.subscriber)
        self._threads = [threading.Thread(target=each.run, daemon=True) for each in runs]
        for thread in self._threads:
            thread.start()

    def apply(self, turn):
        now = time.perf_counter()
        self.turns.append(turn)
        for each in turn.decisions:
            if isinstance(each, Ban):
                self.when.setdefault(each.address, now)

    def _allows(self, _):
        """As `Daemon._allows`."""
        self.asked += not self.fleet.obeying
        return True

    def _troubled(self, name, sentence):
        """As `health.Troubles`: changes are told, and only these."""
        if self._last.get(name) != sentence and (sentence or name in self._last):
            self._last[name] = sentence
            self.problems[name].append(sentence)

    @property
    def joined(self):
        return bool(self.heard.up)

    @property
    def banned(self):
        return {ban.address for ban in self.bans}

    @property
    def bans(self):
        """As they are after all that was asked before."""
        found = []

        def work(_):
            found.extend(self.guard.bans)
            return ()

        self.inbox.ask(work).result(10)
        return found

    def ban(self, *whom, jail="login", lasting=None):
        def work(now):
            return [ban for address in whom for ban in self.guard.ban(Address(address), now, jail, lasting)]

        return self.inbox.ask(work).result(10)

    def unban(self, address):
        return self.inbox.ask(lambda now: self.guard.unban(address, now)).result(10)

    def fail(self, address, ago=0.0, target="", line="fail"):
        self.inbox.read(Read(SITE, (Hit("login", Address(address), self.clock() - ago, SITE, line, target),)))
        with suppress(Closed):
            self.bans  # noqa: B018 - it was counted by now

    def close(self):
        """Begin to stop."""
        self.fleet.publisher.close()
        self.fleet.subscriber.close()
        self.loop.stop()
        with suppress(Closed):
            self.inbox.ask(lambda _: ())

    def stop(self):
        self.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self.fleet.close()


def joined(*peers, patience=15.0):
    return wait_until(lambda: all(peer.joined for peer in peers), patience)


def agree(peers, whom, patience=10.0):
    """Wait until all of them ban these and no others; how many seconds it took."""
    wanted = set(whom)
    return wait_until(lambda: all(peer.banned == wanted for peer in peers), patience)
