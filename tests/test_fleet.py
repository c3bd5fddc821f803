"""Stories of a fleet: real loops, guards and a real Redis; what goes wrong with it goes wrong for real."""

import math
import random
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from sidecar.core.events import Ban, Hit, Turn, Unban, Who
from sidecar.core.fleet import LIFT_BURST, Budget, Clock, line, told
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.trust import Trust
from sidecar.fleet import completed, told_to_others
from sidecar.stores import StoreError
from tests.peers import LOGIN, PREFIX, SITE, Peer, agree, joined
from tests.redis_server import free_port, serving, until

ANN, BOB, EVE, NET = (
    Who("203.0.113.7"),
    Who("203.0.113.8"),
    Who("2001:db8:bad:1::/64"),
    Who("198.51.100.0/24"),
)
BACK = 5.0  # seconds after the engine is back, in which all agree
KEY = b"k" * 32
EVENTS, BANS = f"{{{PREFIX}}}:events", f"{{{PREFIX}}}:bans"


@pytest.fixture
def redis(tmp_path):
    with serving(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def fleet(redis):
    """Makes nodes; they end with the test."""
    peers = []

    def make(*names, url=redis.url, **options):
        new = [Peer(name, url, **options) for name in names]
        peers.extend(new)
        joined(*new)
        return new

    yield make
    for peer in peers:
        peer.close()
    for peer in peers:
        peer.stop()


# What it is for


def test_a_ban_on_one_holds_on_all(fleet):
    a, b, c = fleet("a", "b", "c")
    (ban,) = a.ban(ANN)
    agree([b, c], [ANN])
    (heard,) = b.bans

    assert (heard.cause, heard.site, heard.jail) == ("fleet", "a", "login")
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
    until(lambda: not redis.client().keys("*:w:*"))
    a.fail(ANN)
    b.fail(ANN)
    time.sleep(0.2)

    assert [a.banned, b.banned] == [set(), set()]


def test_a_newcomer_learns_all_and_a_ban_for_good_only_for_as_long_as_its_own_jail_would(redis, fleet):
    (a,) = fleet("a")
    a.ban(ANN, EVE, NET)
    a.ban(BOB, lasting=math.inf)
    until(lambda: redis.client().zcard(BANS) == 4)
    (b,) = fleet("b")
    agree([b], [ANN, BOB, EVE, NET])

    assert max(ban.until for ban in b.bans) <= time.time() + LOGIN.bantime


def test_what_was_only_observed_or_came_from_others_is_not_told_on():
    ban = Ban("login", ANN, 1.0, 2.0, "failures")

    assert told_to_others(ban)
    assert told_to_others(Unban("login", ANN, 1.0, "manual"))
    assert not told_to_others(Ban("login", ANN, 1.0, 2.0, "failures", observed=True))
    assert told_to_others(Ban("login", NET, 1.0, 2.0, "group"))
    assert not told_to_others(Ban("login", ANN, 1.0, 2.0, "fleet"))
    assert [told_to_others(Unban("login", ANN, 1.0, cause)) for cause in ("expired", "allowed", "fleet")] == [
        False
    ] * 3


def test_whom_all_nodes_together_saw_too_often_is_banned_as_the_guard_bans():
    guard = Guard([LOGIN], Trust({"ignoreip": ["203.0.113.8"]}))
    hit = Hit("login", ANN, 5.0, SITE, "fail", "admin")
    guard.hit(hit, 5.0)

    (ban,) = completed(guard, hit, 6.0)
    assert (ban.who, ban.until, ban.failures) == (ANN, 5.0 + LOGIN.bantime, 3)
    assert ban.evidence == ("fail", *["(counted with the other nodes of the fleet)"] * 2)
    assert completed(guard, hit, 6.0) == []
    assert completed(guard, hit._replace(who=BOB), 6.0) == []
    assert completed(guard, hit._replace(jail="gone"), 6.0) == []


@pytest.mark.parametrize("faults", [0, 5])
def test_orders_that_cross_end_alike_everywhere(redis, fleet, faults):
    """Bans and liftings of the same few addresses on all nodes at once: the engine's order holds everywhere.

    A fault cuts all connections, whatever was on its way.
    """
    peers = fleet("a", "b", "c")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    whom = [Who(f"203.0.113.{number}") for number in range(5)]
    cuts = {chance.randrange(300) for _ in range(faults)}
    for number in range(300):
        peer, who = chance.choice(peers), chance.choice(whom)
        peer.ban(who) if chance.random() < 0.5 else peer.unban(who)
        if number in cuts:
            redis.client().client_kill_filter(_type="normal", skipme=True)
    until(lambda: not any(peer.heard.waiting for peer in peers) and all(peer.joined for peer in peers))
    until(lambda: len({frozenset(peer.banned) for peer in peers}) == 1, patience=5)
    assert {ban.who for ban in peers[0].fleet.bans()} == peers[0].banned


# When the engine is not well: local bans never wait, nothing is lifted, all agree again within five seconds


def outage(peers, end, *, before=ANN, meanwhile=(BOB, EVE)):
    """What each story of an outage is to show; `end` makes it end."""
    slow = 0.0
    for peer, who in zip(peers, meanwhile, strict=False):
        began = time.perf_counter()
        peer.ban(who)
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
    until(lambda: not any(peer.joined for peer in peers))
    outage(peers, redis.start)
    (newcomer,) = fleet("d")  # and it came back empty
    agree([newcomer], [ANN, BOB, EVE], BACK)


def test_the_engine_is_paused(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.pause()
    until(lambda: not any(peer.joined for peer in peers))
    until(lambda: all(peer.troubles["fleet news"] for peer in peers))
    outage(peers, redis.resume)
    until(lambda: all(peer.troubles["fleet news"][-1] is None for peer in peers))


def test_the_engine_is_flushed(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.client().flushall()
    peers[1].ban(BOB)
    until(lambda: redis.client().zcard(BANS) == 2, BACK)
    (newcomer,) = fleet("d")
    agree([*peers, newcomer], [ANN, BOB], BACK)


def test_the_engine_is_full(redis, fleet):
    peers = fleet("a", "b", "c")
    peers[0].ban(ANN)
    agree(peers, [ANN])
    redis.client().config_set("maxmemory", 1)
    until(lambda: all(peer.troubles["fleet news"] for peer in peers))
    assert "is full: raise its maxmemory" in peers[0].troubles["fleet news"][0]
    outage(peers, lambda: redis.client().config_set("maxmemory", 0))


def test_the_network_between_is_cut(redis, tmp_path, fleet):
    with serving(tmp_path / "tcp", free_port()) as server, Cable(server.port) as cable:
        (alone,) = fleet("a", url=f"redis://127.0.0.1:{cable.port}")
        others = fleet("b", "c", url=server.url)
        alone.ban(ANN)
        agree([alone, *others], [ANN])
        cable.cut()
        until(lambda: not alone.joined)
        outage([alone, *others], cable.mend)


def test_the_master_fails_over(tmp_path, fleet):
    master, replica, sentinel = free_port(), free_port(), free_port()
    watch = f"sentinel monitor wp 127.0.0.1 {master} 1\nsentinel down-after-milliseconds wp 500\nsentinel failover-timeout wp 3000\n"
    with (
        serving(tmp_path / "m", master) as first,
        serving(tmp_path / "r", replica, "--replicaof", "127.0.0.1", str(master)),
    ):
        until(
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
            until(lambda: watcher.client().execute_command("SENTINEL REPLICAS", "wp"))
            peers = fleet("a", "b", "c", url=f"redis+sentinel://127.0.0.1:{sentinel}/wp")
            peers[0].ban(ANN)
            agree(peers, [ANN])
            first.kill()
            until(lambda: not any(peer.joined for peer in peers))
            outage(peers, lambda: until(lambda: _master(watcher) == replica, patience=30))
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
        until(
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


# Coming back


def test_who_was_away_for_hours_reads_everything(redis, fleet):
    a, b = fleet("a", "b")
    with off(b):
        a.ban(ANN)
        until(lambda: redis.client().xlen(EVENTS))
        redis.client().xtrim(EVENTS, maxlen=0, approximate=False)
        a.ban(BOB)
        agree([a], [ANN, BOB])
    agree([b], [ANN, BOB], BACK)


def test_what_was_lifted_meanwhile_is_not_told_again(redis, fleet):
    a, b, c = fleet("a", "b", "c")
    b.ban(ANN, BOB)
    agree([a, b, c], [ANN, BOB])
    with off(b):
        b.ban(EVE)  # of before what is lifted next, and still to be told
        a.unban(ANN)
        a.unban(EVE)
        assert a.fleet.lift(EVE, "") == 0
        until(lambda: c.banned == {BOB})
        redis.client().xtrim(EVENTS, maxlen=0, approximate=False)
    agree([a, b, c], [BOB], BACK)


def test_bans_that_the_engine_lost_are_told_again(redis, fleet, monkeypatch):
    monkeypatch.setattr("sidecar.fleet.AGAIN", 0.5)
    (a,) = fleet("a")
    a.ban(ANN)
    until(lambda: redis.client().zcard(BANS))
    redis.client().delete(BANS, EVENTS)  # as an eviction would
    until(lambda: redis.client().zcard(BANS))
    (b,) = fleet("b")
    agree([b], [ANN])


@contextmanager
def off(peer):
    """This node hears and says nothing for a while."""
    board = peer.fleet._state.board
    ask, board._told = board._told, _refusing
    until(lambda: not peer.joined)
    try:
        yield
    finally:
        board._told = ask


@contextmanager
def _refusing():
    raise StoreError("the cable is out")
    yield


# What people ask


def test_all_that_the_fleet_knows_is_shown(fleet):
    a, b = fleet("a", "b")
    a.ban(ANN, lasting=math.inf)
    a.ban(BOB)
    agree([b], [ANN, BOB])

    assert sorted((ban.who, ban.for_good, ban.cause) for ban in b.fleet.bans()) == [
        (ANN, True, "fleet"),
        (BOB, False, "fleet"),
    ]


def test_a_network_is_let_in_on_every_node_wherever_it_is_banned(redis, fleet):
    a, b = fleet("a", "b")
    (deaf,) = fleet("c", trust=Trust({"ignoreip": ["203.0.113.0/24"]}))
    a.ban(ANN, BOB, EVE)
    agree([a, b], [ANN, BOB, EVE])

    assert deaf.fleet.lift(Who("203.0.113.0/24"), "") == 2
    agree([a, b, deaf], [EVE])
    assert [ban.who for ban in deaf.fleet.bans()] == [EVE]


def test_everyone_is_let_in_only_where_the_fleet_has_a_secret(redis, fleet):
    (a,) = fleet("a")
    with pytest.raises(ValueError, match="WP_SIDECAR_FLEET_KEY_FILE"):
        a.fleet.lift(None, "")
    b, c = fleet("b", "c", secret=KEY, prefix="sealed")
    b.ban(ANN, BOB)
    agree([c], [ANN, BOB])

    assert c.fleet.lift(None, "") == 2
    agree([b], [])


# Hostile peers


def test_nobody_bans_who_may_never_be_banned(redis, fleet):
    (a,) = fleet("a", trust=Trust({"ignoreip": ["203.0.113.0/24"]}))
    whom = ("127.0.0.1", "10.1.2.3", "203.0.113.9", "192.168.1.1", "169.254.1.1", "224.0.0.1")
    shout(redis, [f"B {who} login 99999999999999 1 3 -" for who in whom])
    shout(redis, [f"B {ANN.replace('113', '114')} login 99999999999999 1 3 -"])
    agree([a], ["203.0.114.7"])


def test_nonsense_is_counted_and_changes_nothing(redis, fleet):
    (a,) = fleet("a")
    shout(
        redis,
        ["B", "B 0.0.0.0/0 login inf 1 3 -", "B 203.0.113.7 login 1 1 3 -", "U * * - 1 0 -", "\x00\xff"],
    )
    shout(redis, ["B 203.0.113.7 login inf 1 3 -"], node="no node's name")
    shout(redis, ["B 203.0.113.7 login inf 1 3 -"] * 200, node="many")
    redis.client().xadd(EVENTS, {"other": "fields"})
    redis.client().zadd(BANS, {"x" * 5000: 9e15, "203.0.113.9\nlogin": 9e15, "0.0.0.0/1 login": 9e15})
    until(lambda: a.heard.reasons == {"malformed": 3 + 1 + 72 + 1, "expired": 1, "too wide": 1})
    (b,) = fleet("b")

    assert a.banned == {ANN}  # one of 200, which is a ban as any
    assert b.banned == set()
    assert b.heard.reasons == {"malformed": 1}  # the others never left the engine


def test_a_flood_of_bans_is_believed_only_up_to_the_budget(redis, fleet):
    """100,000 of one peer; docs/scale.md has what a million do."""
    (a,) = fleet("a")
    (b,) = fleet("b", budget=Budget(peer=(2_000, 10.0), everyone=(3_000, 10.0)))
    numbers = iter(range(100_000))
    for _ in range(100_000 // 100):
        shout(redis, [f"B {address(next(numbers))} login inf 1 3 -" for _ in range(100)], node="evil/1")
    a.ban(ANN)
    until(lambda: ANN in b.banned)

    assert 2_000 <= len(b.bans) <= 2_300
    assert b.asked == 0  # the budget of its own bans is as it was
    assert b.heard.reasons["budget"] > 97_000
    (sentence,) = b.troubles["the fleet's bans"][:1]
    assert "evil tells more than is believed at once" in sentence


def test_all_that_is_told_again_after_a_flush_is_within_the_budget(redis, fleet):
    (a,) = fleet("a")
    (b,) = fleet("b", budget=Budget(peer=(3_000, 0.0), everyone=(3_500, 0.0)))
    a.ban(*[address(number) for number in range(1_000)])
    until(lambda: len(b.banned) == 1_000)
    for _ in range(3):  # 4,000 in all: more than would be believed if they were new
        redis.client().flushall()
        until(lambda: redis.client().zcard(BANS) == 1_000)
    a.ban(ANN)
    until(lambda: ANN in b.banned)

    assert b.heard.reasons == {}
    assert b.heard.counts["received", "ok"] == 1_001  # what was known is decided once


def test_a_set_full_of_bans_is_joined_only_up_to_the_budget(redis, fleet):
    redis.client().zadd(BANS, {f"{address(number)} login": 9e15 for number in range(20_000)})
    (a,) = fleet("a", budget=Budget(everyone=(3_000, 10.0)))

    assert 3_000 <= len(a.bans) <= 3_100
    assert a.heard.reasons["budget"] >= 16_000


def test_what_somebody_says_in_our_name_is_heard_as_anybodys(redis, fleet):
    """It may be ours, of before the connection was lost; or somebody else's."""
    (a,) = fleet("a")
    shout(redis, [f"B {ANN} login inf 1 3 -", f"B {BOB} login inf 1 3 -"], node="a/run-a")
    shout(redis, [f"U {BOB} login - 1 0 -"], node="a/run-a")
    agree([a], [ANN])


def test_nobody_opens_the_gate(redis, fleet):
    whom = [address(number) for number in range(3 * LIFT_BURST)]
    (a,) = fleet("a", budget=Budget(everyone=(10_000, 1.0)))
    a.ban(*whom)
    until(lambda: redis.client().zcard(BANS) == len(whom))
    lines = [f"U {who} login - 99999999999999 0 -" for who in whom]
    for at in range(0, len(lines), 100):
        shout(redis, lines[at : at + 100])
    shout(redis, ["U * * - 99999999999999 0 -", "U 198.18.0.0/16 * - 99999999999999 0 -"])
    until(lambda: a.heard.reasons["too wide"] == 2)
    redis.client().flushall()
    until(lambda: redis.client().zcard(BANS))
    (sentence,) = a.troubles["the fleet's bans"][:1]

    assert len(a.bans) >= 2 * LIFT_BURST - 10
    assert "was taken over" in sentence


def test_without_the_secret_nobody_is_heard(redis, fleet):
    a, b = fleet("a", "b", secret=KEY)
    shout(redis, ["B 203.0.113.7 login inf 1 3 -", "U 203.0.113.8 login - 1 0 -"])
    (c,) = fleet("c", secret=b"another" * 5)
    c.ban(EVE)
    a.ban(BOB)
    agree([a, b], [BOB])
    until(lambda: a.heard.reasons["unsealed"] == 3)

    assert c.banned == {EVE}


def test_jails_that_are_not_here_have_their_bans_too(fleet):
    (a,) = fleet("a", jails=(LOGIN, Jail("shop", bantime=7200)))
    (b,) = fleet("b")
    a.ban(ANN, jail="shop")
    agree([b], [ANN])

    assert [ban.jail for ban in b.bans] == ["shop"]


def test_names_that_peers_make_up_do_not_make_series_without_end(redis, fleet):
    (a,) = fleet("a")
    for number in range(150):
        shout(redis, [f"B {ANN} login inf 1 3 -"], node=f"made-up-{number}/1")
    until(lambda: "other" in a.heard.lags)

    assert len(a.heard.lags) == 101


def address(number):
    return str(
        Who(
            f"198.18.{number >> 8 & 255}.{number & 255}"
            if number < 65_536
            else f"198.19.{number >> 8 & 255}.{number & 255}"
        )
    )


def shout(redis, lines, node="evil/1"):
    """What anyone may do who may write to the engine."""
    redis.client().xadd(EVENTS, {"n": node, "t": "\n".join(lines)})


# What it tells


def test_an_engine_that_forgets_is_warned_about(redis, fleet):
    redis.client().config_set("maxmemory-policy", "allkeys-lru")
    redis.client().set("wp:options:alloptions", "...")
    (a,) = fleet("a")
    until(lambda: a.troubles["the fleet's engine"])
    (sentence,) = a.troubles["the fleet's engine"]

    assert "maxmemory-policy allkeys-lru" in sentence
    assert "wp:options:alloptions" in sentence


def test_a_password_that_is_refused_is_told_without_it(tmp_path, redis, fleet):
    with serving(tmp_path / "closed", 0, "--requirepass", "right") as server:
        peer = Peer("a", f"unix://:wrong-secret@{server.socket}")
        until(lambda: peer.troubles["fleet news"])
        peer.stop()

    (sentence,) = peer.troubles["fleet news"]
    assert "refuses our user or password" in sentence
    assert "wrong-secret" not in sentence


def test_a_sink_never_waits_and_holds_only_so_much(redis):
    """As many as come while the engine is away; the oldest go, and are told again when it is back."""
    redis.kill()
    peer = Peer("a", redis.url)
    publisher = peer.fleet.publisher
    began = time.perf_counter()
    for number in range(0, 150_000, 1_000):
        bans = tuple(Ban("login", Who(str(at)), 1.0, 2.0, "manual") for at in range(number, number + 1_000))
        publisher.apply(Turn(1.0, bans))
    took = time.perf_counter() - began
    peer.stop()
    redis.start()

    assert took < 5
    assert len(peer.fleet._state.outbox) == 100_000
    assert peer.heard.counts["sent", "dropped"] == 50_000


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


def test_a_line_is_as_it_is_heard():
    """The other half of `core/test_fleet.py`: what `shout` writes is what nodes write."""
    ban = Ban("login", ANN, 1.0, math.inf, "failures", failures=3)

    assert line(ban, "evil/1", Clock()) == f"B {ANN} login inf 1000 3 -"
    assert told(line(ban, "evil/1", Clock()), "evil/1", Clock(), 5.0).who == ANN
