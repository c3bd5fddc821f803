"""Stories of a fleet: real loops, guards and a real Redis, which is really killed, paused, flushed, filled and cut off."""

import math
import random
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Unban
from tests.support.peers import BANS, LOGIN, agree
from tests.support.redis_server import free_port, serving
from tests.support.seed import SEED
from tests.support.waiting import wait_until

ANN, BOB, EVE, NET = (
    Address("203.0.113.7"),
    Address("203.0.113.8"),
    Address("2001:db8:bad:1::/64"),
    Address("198.51.100.0/24"),
)

# So long is waited until all nodes agree again after the server is back. It takes up to five seconds.
BACK = 60.0


# What it is for


def test_a_ban_on_one_holds_on_all(fleet):
    a, b, c = fleet("a", "b", "c")
    (ban,) = a.ban(ANN)
    agree([b, c], [ANN])
    (received,) = b.bans

    assert (received.cause, received.origin_name, received.jail) == ("fleet", "a", "login")
    assert received.until == pytest.approx(ban.until, abs=0.1)
    assert c.heard.lags["a"] < 1.0


def test_tries_on_three_nodes_are_counted_together(fleet):
    peers = fleet("a", "b", "c")
    for peer in peers:
        peer.fail(ANN)
    agree(peers, [ANN])
    (own,) = [ban for peer in peers for ban in peer.bans if ban.cause == "failures"]

    assert own.failures == 3


def test_one_target_tried_on_three_nodes_counts_once(fleet):
    peers = fleet("a", "b", "c")
    for peer in peers:
        peer.fail(ANN, target="admin")
    for peer, target in zip(peers, ("admin", "editor", "author"), strict=True):
        peer.fail(BOB, target=target)
    agree(peers, [BOB])


def test_failures_longer_ago_than_findtime_do_not_count_together(fleet):
    peers = fleet("a", "b", "c")
    for peer, ago in zip(peers, (1300, 650, 0), strict=True):
        peer.fail(ANN, ago=ago)
    # An old burst that is read late was one.
    for peer, ago in zip(peers, (900, 500, 400), strict=True):
        peer.fail(BOB, ago=ago)
    agree(peers, [BOB])


def test_clocks_that_differ_change_nothing(redis, fleet):
    (a,) = fleet("a")
    (b,) = fleet("b", ahead=900.0)
    (c,) = fleet("c", ahead=-900.0)
    a.ban(ANN)
    for peer in (a, b, c):
        peer.fail(BOB)
    agree([a, b, c], [ANN, BOB])

    for peer in (a, b, c):
        assert {round(ban.until - peer.clock(), -1) for ban in peer.bans} == {3600}


def test_an_unban_on_one_node_is_an_unban_on_all(fleet):
    a, b, c = fleet("a", "b", "c")
    a.ban(ANN, BOB)
    agree([b, c], [ANN, BOB])
    b.unban(ANN)
    agree([a, b, c], [BOB])

    assert Unban("login", ANN, pytest.approx(time.time(), abs=10), "fleet") in [
        each for turn in c.turns for each in turn.decisions
    ]


def test_after_an_unban_the_count_begins_again(redis, fleet):
    a, b = fleet("a", "b")
    a.fail(ANN)
    b.fail(ANN)
    b.ban(ANN)
    agree([a], [ANN])
    b.unban(ANN)
    agree([a, b], [])
    wait_until(lambda: not redis.client().keys("*:w:*"))
    a.fail(ANN)
    b.fail(ANN)
    wait_until(lambda: [redis.client().zcard(key) for key in redis.client().keys("*:w:*")] == [2])

    assert [a.banned, b.banned] == [set(), set()]


def test_a_newcomer_reads_all_bans_and_cuts_them_to_its_own_ban_time(redis, fleet):
    (a,) = fleet("a")
    a.ban(ANN, EVE, NET)
    a.ban(BOB, lasting=math.inf)
    wait_until(lambda: redis.client().zcard(BANS) == 4)
    (b,) = fleet("b")
    agree([b], [ANN, BOB, EVE, NET])

    assert max(ban.until for ban in b.bans) <= time.time() + LOGIN.bantime


@pytest.mark.parametrize("faults", [0, 5])
def test_decisions_that_cross_end_the_same_everywhere(redis, fleet, faults):
    """Bans and unbans of the same few addresses on all nodes at once: the stream's order holds everywhere.

    A fault cuts all connections, whatever was on its way.
    """
    peers = fleet("a", "b", "c")
    chance = random.Random(SEED)
    addresses = [Address(f"203.0.113.{number}") for number in range(5)]
    cuts = {chance.randrange(300) for _ in range(faults)}
    for number in range(300):
        peer, address = chance.choice(peers), chance.choice(addresses)
        peer.ban(address) if chance.random() < 0.5 else peer.unban(address)
        if number in cuts:
            redis.client().client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: not any(peer.heard.waiting for peer in peers) and all(peer.joined for peer in peers))
    wait_until(lambda: len({frozenset(peer.banned) for peer in peers}) == 1)
    assert {ban.address for ban in peers[0].fleet.bans()} == peers[0].banned


# When the server is not well: local bans never wait, no ban is lifted, and all agree again within five seconds


def outage(peers, end, *, before=ANN, meanwhile=(BOB, EVE)):
    """Check what holds during every outage, end it with `end()`, and check that all nodes agree again."""
    for peer, address in zip(peers, meanwhile, strict=False):
        peer.ban(address)
    assert not any(peer.loop_waits for peer in peers)
    assert all(before in peer.banned for peer in peers)
    end()
    took = agree(peers, {before, *meanwhile}, timeout=BACK)
    print(f"all agree {took:.2f} s after it is back")  # noqa: T201


def test_the_server_is_killed(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.kill()
    wait_until(lambda: not any(peer.joined for peer in peers))
    outage(peers, redis.start)
    # It came back empty.
    (newcomer,) = fleet("d")
    agree([newcomer], [ANN, BOB, EVE], BACK)


def test_the_server_is_paused(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.pause()
    wait_until(lambda: not any(peer.joined for peer in peers))
    wait_until(lambda: all(peer.problems["the fleet's Redis"] for peer in peers))
    outage(peers, redis.resume)
    wait_until(lambda: all(peer.problems["the fleet's Redis"][-1] is None for peer in peers))


def test_the_server_is_flushed(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.client().flushall()
    peers[1].ban(BOB)
    wait_until(lambda: redis.client().zcard(BANS) == 2, BACK)
    (newcomer,) = fleet("d")
    agree([*peers, newcomer], [ANN, BOB], BACK)


def test_the_server_is_full(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.client().config_set("maxmemory", 1)
    wait_until(lambda: all(peer.problems["the fleet's Redis"] for peer in peers))
    assert "is full: raise its maxmemory" in peers[0].problems["the fleet's Redis"][0]
    outage(peers, lambda: redis.client().config_set("maxmemory", 0))


def test_the_network_between_is_cut(redis, tmp_path, fleet):
    with serving(tmp_path / "tcp", free_port()) as server, Cable(server.port) as cable:
        (alone,) = fleet("a", url=f"redis://127.0.0.1:{cable.port}")
        others = fleet("b", "c", url=server.url)
        alone.ban(ANN)
        agree([alone, *others], [ANN])
        cable.cut()
        wait_until(lambda: not alone.joined)
        outage([alone, *others], cable.mend)


def test_the_master_fails_over(tmp_path, fleet):
    master, replica, sentinel = free_port(), free_port(), free_port()
    watch = f"sentinel monitor wp 127.0.0.1 {master} 1\nsentinel down-after-milliseconds wp 500\nsentinel failover-timeout wp 3000\n"
    with (
        serving(tmp_path / "m", master) as first,
        serving(tmp_path / "r", replica, "--replicaof", "127.0.0.1", str(master)),
    ):
        wait_until(
            lambda: (
                "state=online" in str(first.client().info("replication"))
                or "online" in str(first.client().info("replication"))
            )
        )
        (tmp_path / "s").mkdir()
        (tmp_path / "s" / "redis.conf").write_text(
            f"port {sentinel}\nunixsocket {tmp_path}/s/redis.sock\ndir {tmp_path}/s\nbind 127.0.0.1\n{watch}"
        )
        with serving(tmp_path / "s", sentinel, sentinel=True) as watcher:
            wait_until(lambda: watcher.client().execute_command("SENTINEL REPLICAS", "wp"))
            peers = fleet("a", "b", "c", url=f"redis+sentinel://127.0.0.1:{sentinel}/wp")
            peers[0].ban(ANN)
            agree(peers, [ANN])
            first.kill()
            wait_until(lambda: not any(peer.joined for peer in peers))
            outage(peers, lambda: wait_until(lambda: _master(watcher) == replica, timeout=60))
            # Otherwise there is nothing to stop.
            first.start()


def _master(watcher):
    found = watcher.client().execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", "wp")
    return int(found[1])


def test_a_cluster(tmp_path, fleet):
    ports = [free_port() for _ in range(3)]
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                serving(
                    tmp_path / str(port), port, "--cluster-enabled", "yes", "--cluster-port", str(free_port())
                )
            )
            for port in ports
        ]
        edges = (0, 5461, 10923, 16384)
        for node, low, high in zip(nodes, edges, edges[1:], strict=False):
            node.client().execute_command("CLUSTER ADDSLOTSRANGE", low, high - 1)
        for node in nodes[1:]:
            bus = nodes[0].client().config_get("cluster-port")["cluster-port"]
            node.client().execute_command("CLUSTER MEET", "127.0.0.1", ports[0], bus)
        wait_until(
            lambda: all(
                "cluster_state:ok" in str(n.client().execute_command("CLUSTER INFO"))
                or n.client().execute_command("CLUSTER INFO").get("cluster_state") == "ok"
                for n in nodes
            ),
            30,
        )
        peers = fleet("a", "b", "c", url=f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}")
        peers[0].ban(ANN)
        for peer in peers:
            peer.fail(BOB)
        agree(peers, [ANN, BOB])
        peers[1].unban(ANN)
        agree(peers, [BOB])


class Cable:
    """A TCP connection to a port that can be cut without a word to either end, as by a switch that dies."""

    def __init__(self, target):
        self._target, self._up = target, threading.Event()
        self._up.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listening.close()
        for one in self._open:
            one.close()

    def cut(self):
        self._up.clear()

    def mend(self):
        self._up.set()

    def _accept(self):
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if not self._up.is_set():
                # It is never answered.
                self._open.append(near)
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one, other):
        try:
            while data := one.recv(65_536):
                if not self._up.is_set():
                    # What was on its way is lost, and so, silently, is the connection.
                    return
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass
