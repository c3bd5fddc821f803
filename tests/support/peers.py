"""Nodes of a fleet: each a real loop, guard and fleet member, in threads of this process."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from functools import partial

from sidecar.config.redis_url import parse_redis_url
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Hit, Origin, Read
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.witness import NO_WITNESS
from sidecar.fleet import FleetMember, FleetStore, Node, RedisConnection
from sidecar.runtime.loop import Closed, Inbox, Loop
from sidecar.runtime.problems import Problems
from sidecar.stores.base import StoreError
from tests.support.waiting import wait_until

LOGIN = Jail("login", maxretry=3, findtime=600, bantime=3600)
SITE = Origin("docker", "blog", "stdout", ("login",))
PREFIX = "wp-sidecar"

# The stream of everything that is published, and the set of all bans in force.
EVENTS, BANS = f"{{{PREFIX}}}:events", f"{{{PREFIX}}}:bans"


class Unpluggable(RedisConnection):
    """A connection that a test can interrupt. `askers` are the threads that have used it."""

    unplugged = False

    def __init__(self, url):
        super().__init__(url)
        self.askers = set()

    @contextmanager
    def client(self):
        self.askers.add(threading.current_thread())
        if self.unplugged:
            raise StoreError("the cable is out")
        with super().client() as client:
            yield client


class FleetCounts:
    """A FleetListener that keeps what it hears."""

    def __init__(self):
        self.up, self.others, self.waiting = None, 0, 0
        self.lags, self.counts, self.rejections = {}, Counter(), Counter()

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
        self.rejections[reason] += count


class Peer:
    """One host. `turns` are what its sinks were given, `problems` the sentences of each problem in turn."""

    def __init__(
        self,
        name,
        url,
        *,
        jails=(LOGIN,),
        allowlist=None,
        keys=(),
        budget=None,
        sinks=(),
        ahead=0.0,
        prefix=PREFIX,
        witness=NO_WITNESS,
    ):
        def clock():
            return time.time() + self.ahead

        self.name, self.clock, self.ahead = name, clock, ahead
        self.heard, self.turns = FleetCounts(), []
        self.problems = defaultdict(list)
        self.budget_asked = 0
        self.inbox = Inbox()
        self.guard = Guard(jails, allowlist or Allowlist(), budget=self, witness=witness)
        self.connection = Unpluggable(parse_redis_url(url))
        self.fleet = FleetMember(
            FleetStore(self.connection, prefix),
            Node(name, keys, run=f"run-{name}"),
            inbox=self.inbox,
            jails=jails,
            listener=self.heard,
            problems=Problems(self),
            clock=clock,
            budget=budget,
        )
        self.loop = Loop(self.guard, self.inbox, [*sinks, self, self.fleet.publisher], clock, Problems())
        runs = (self.loop, self.fleet.publisher, self.fleet.subscriber)
        self._threads = [threading.Thread(target=each.run, daemon=True) for each in runs]
        for thread in self._threads:
            thread.start()

    def apply(self, turn):
        self.turns.append(turn)

    def allows(self, _now, _site):
        """The guard's ban budget: it has no limit, and counts how often it is asked."""
        self.budget_asked += 1
        return True

    allows_again = allows

    def problem_changed(self, name, sentence):
        self.problems[name].append(sentence)

    @property
    def loop_waits(self):
        """Does the loop ever wait for the server?"""
        return self._threads[0] in self.connection.askers

    @property
    def joined(self):
        return bool(self.heard.up)

    @property
    def banned(self):
        return {ban.address for ban in self.bans}

    @property
    def bans(self):
        """As they are after all that was asked before."""
        return [*self.inbox.query(lambda view, _: view.bans).result(60)]

    def ban(self, *addresses, jail="login", lasting=None):
        return self.inbox.decide(partial(_ban, addresses, jail, lasting)).result(60)

    def unban(self, address):
        return self.inbox.decide(lambda guard, now: guard.unban(address, now)).result(60)

    def reconfigure(self, jails):
        def command(guard, now):
            self.fleet.reconfigure(jails)
            return guard.reconfigure(jails, now)

        self.inbox.decide(command).result(60)

    def fail(self, address, ago=0.0, target="", line="fail"):
        self.inbox.read(Read(SITE, (Hit("login", Address(address), self.clock() - ago, SITE, line, target),)))
        # Afterwards it is counted.
        with suppress(Closed):
            self.inbox.query(lambda *_: None).result(60)

    @contextmanager
    def unplugged(self):
        """Run the block while this node can neither read nor write."""
        self.connection.unplugged = True
        wait_until(lambda: not self.joined)
        try:
            yield
        finally:
            self.connection.unplugged = False

    def close(self):
        """Begin to stop."""
        self.fleet.publisher.close()
        self.fleet.subscriber.close()
        self.loop.stop()
        with suppress(Closed):
            self.inbox.query(lambda *_: None)

    def stop(self):
        self.close()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        self.fleet.close()


def _ban(addresses, jail, lasting, guard, now):
    return [ban for address in addresses for ban in guard.ban(Address(address), now, jail, lasting)]


def joined(*peers, timeout=60):
    return wait_until(lambda: all(peer.joined for peer in peers), timeout)


def agree(peers, addresses, timeout=60):
    """Wait until all of them ban these addresses and no others. Return how many seconds it took."""
    wanted = set(addresses)
    return wait_until(lambda: all(peer.banned == wanted for peer in peers), timeout)


def publish_lines(redis, lines, node="evil/1"):
    """Write to the stream, as anybody can who has access to the server."""
    redis.client().xadd(EVENTS, {"n": node, "t": "\n".join(lines)})
