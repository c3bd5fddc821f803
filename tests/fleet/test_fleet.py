"""Stories of a fleet: real loops, guards and a real Redis; what goes wrong with it goes wrong for real."""

import math
import random
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Unban
from tests.support.peers import BANS, LOGIN, agree
from tests.support.redis_server import free_port, serving
from tests.support.waiting import wait_until

ANN, BOB, EVE, NET = (
    Address("203.0.113.7"),
    Address("203.0.113.8"),
    Address("2001:db8:bad:1::/64"),
    Address("198.51.100.0/24"),
)
BACK = 5.0  # seconds after the engine is back, in which all agree
KEY = b"k" * 32


# What it is for


def test_a_ban_on_one_holds_on_all(fleet):
    a, b, c = fleet("a", "b", "c")
    (ban,) = a.ban(ANN)
    agree([b, c], [ANN])
    (heard,) = b.bans

    assert (heard.cause, heard.origin_name, heard.jail) == ("fleet", "a", "login")
    assert heard.until == pytest.approx(ban.until, abs=0.1)
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


def test_what_is_too_long_ago_does_not_count_together(fleet):
    peers = fleet("a", "b", "c")
    for peer, ago in zip(peers, (1300, 650, 0), strict=True):
        peer.fail(ANN, ago=ago)
    for peer, ago in zip(peers, (900, 500, 400), strict=True):  # an old burst, read late, was one
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


def test_who_is_let_in_on_one_is_let_in_on_all(fleet):
    a, b, c = fleet("a", "b", "c")
    a.ban(ANN, BOB)
    agree([b, c], [ANN, BOB])
    b.unban(ANN)
    agree([a, b, c], [BOB])

    assert Unban("login", ANN, pytest.approx(time.time(), abs=10), "fleet") in [
        each for turn in c.turns for each in turn.decisions
    ]


def test_after_being_let_in_the_count_starts_afresh(redis, fleet):
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
    time.sleep(0.2)

    assert [a.banned, b.banned] == [set(), set()]


def test_a_newcomer_learns_all_and_a_ban_for_good_only_for_as_long_as_its_own_jail_would(redis, fleet):
    (a,) = fleet("a")
    a.ban(ANN, EVE, NET)
    a.ban(BOB, lasting=math.inf)
    wait_until(lambda: redis.client().zcard(BANS) == 4)
    (b,) = fleet("b")
    agree([b], [ANN, BOB, EVE, NET])

    assert max(ban.until for ban in b.bans) <= time.time() + LOGIN.bantime


@pytest.mark.parametrize("faults", [0, 5])
def test_orders_that_cross_end_alike_everywhere(redis, fleet, faults):
    """Bans and liftings of the same few addresses on all nodes at once: the engine's order holds everywhere.

    A fault cuts all connections, whatever was on its way.
    """
    peers = fleet("a", "b", "c")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    whom = [Address(f"203.0.113.{number}") for number in range(5)]
    cuts = {chance.randrange(300) for _ in range(faults)}
    for number in range(300):
        peer, address = chance.choice(peers), chance.choice(whom)
        peer.ban(address) if chance.random() < 0.5 else peer.unban(address)
        if number in cuts:
            redis.client().client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: not any(peer.heard.waiting for peer in peers) and all(peer.joined for peer in peers))
    wait_until(lambda: len({frozenset(peer.banned) for peer in peers}) == 1, timeout=5)
    assert {ban.address for ban in peers[0].fleet.bans()} == peers[0].banned


# When the engine is not well: local bans never wait, nothing is lifted, all agree again within five seconds


def outage(peers, end, *, before=ANN, meanwhile=(BOB, EVE)):
    """What each story of an outage is to show; `end` makes it end."""
    slow = 0.0
    for peer, address in zip(peers, meanwhile, strict=False):
        began = time.perf_counter()
        peer.ban(address)
        slow = max(slow, time.perf_counter() - began)
    assert slow < 0.5  # some 0.0002: it never waited
    assert all(before in peer.banned for peer in peers)
    end()
    took = agree(peers, {before, *meanwhile}, patience=BACK)
    print(f"all agree {took:.2f} s after it is back")  # noqa: T201


def test_the_engine_is_killed(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.kill()
    wait_until(lambda: not any(peer.joined for peer in peers))
    outage(peers, redis.start)
    (newcomer,) = fleet("d")  # and it came back empty
    agree([newcomer], [ANN, BOB, EVE], BACK)


def test_the_engine_is_paused(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.pause()
    wait_until(lambda: not any(peer.joined for peer in peers))
    wait_until(lambda: all(peer.problems["fleet news"] for peer in peers))
    outage(peers, redis.resume)
    wait_until(lambda: all(peer.problems["fleet news"][-1] is None for peer in peers))


def test_the_engine_is_flushed(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.client().flushall()
    peers[1].ban(BOB)
    wait_until(lambda: redis.client().zcard(BANS) == 2, BACK)
    (newcomer,) = fleet("d")
    agree([*peers, newcomer], [ANN, BOB], BACK)


def test_the_engine_is_full(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.client().config_set("maxmemory", 1)
    wait_until(lambda: all(peer.problems["fleet news"] for peer in peers))
    assert "is full: raise its maxmemory" in peers[0].problems["fleet news"][0]
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
            outage(peers, lambda: wait_until(lambda: _master(watcher) == replica, timeout=30))
            first.start()  # or there would be nothing to stop


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
    """A TCP connection to a port that can be cut without either end being told, as a switch that dies."""

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
                self._open.append(near)  # it is never answered
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one, other):
        try:
            while data := one.recv(65_536):
                if not self._up.is_set():
                    return  # what was on its way is lost, and so is the connection, silently
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


# What people ask


def test_all_that_the_fleet_knows_is_shown(fleet):
    a, b = fleet("a", "b")
    a.ban(ANN, lasting=math.inf)
    a.ban(BOB)
    agree([b], [ANN, BOB])

    assert sorted((ban.address, ban.is_permanent, ban.cause) for ban in b.fleet.bans()) == [
        (ANN, True, "fleet"),
        (BOB, False, "fleet"),
    ]


def test_a_network_is_let_in_on_every_node_wherever_it_is_banned(redis, fleet):
    a, b = fleet("a", "b")
    (deaf,) = fleet("c", allowlist=Allowlist({"ignoreip": ["203.0.113.0/24"]}))
    a.ban(ANN, BOB, EVE)
    agree([a, b], [ANN, BOB, EVE])

    assert deaf.fleet.lift(Address("203.0.113.0/24"), "") == 2
    agree([a, b, deaf], [EVE])
    assert [ban.address for ban in deaf.fleet.bans()] == [EVE]


def test_everyone_is_let_in_only_where_the_fleet_has_a_secret(redis, fleet):
    (a,) = fleet("a")
    with pytest.raises(ValueError, match="WP_SIDECAR_FLEET_KEY_FILE"):
        a.fleet.lift(None, "")
    b, c = fleet("b", "c", secret=KEY, prefix="sealed")
    b.ban(ANN, BOB)
    agree([c], [ANN, BOB])

    assert c.fleet.lift(None, "") == 2
    agree([b], [])
