"""What a node makes of the stream, and of a server that it cannot use."""

import threading
import time

import pytest

from sidecar.config.redis_url import parse_redis_url
from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.core.jail import Jail
from sidecar.fleet import FleetStore, RedisConnection
from sidecar.fleet.protocol import ClockOffset, Codec, end_ms, key_of
from sidecar.fleet.redis import MAX_EVENTS, BanChange, Publication, StreamState
from sidecar.fleet.subscriber import CLOCK, STREAM, _has_gap, read_pause_s
from tests.support.peers import LOGIN, PREFIX, Peer, agree, publish_lines
from tests.support.redis_server import serving
from tests.support.waiting import wait_until

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
KEY = b"k" * 32


def test_a_line_under_our_own_name_is_another_nodes_unless_it_is_in_flight(redis, fleet):
    """It may be ours, from before the connection was lost; or somebody else wrote it."""
    (a,) = fleet("a")
    publish_lines(redis, [f"B {ANN} login inf 1 3 -", f"B {BOB} login inf 1 3 -"], node="a/run-a")
    publish_lines(redis, [f"U {BOB} login - 1 0 -"], node="a/run-a")
    agree([a], [ANN])


def test_bans_of_jails_that_are_not_here_hold_too(fleet):
    (a,) = fleet("a", jails=(LOGIN, Jail("shop", bantime=7200)))
    (b,) = fleet("b")
    a.ban(ANN, jail="shop")
    agree([b], [ANN])

    assert [ban.jail for ban in b.bans] == ["shop"]


@pytest.mark.parametrize(("nodes", "pause_s"), [(1, 0.005), (1_000, 0.05), (1_000_000, 0.1)])
def test_the_larger_the_fleet_the_longer_news_gathers(nodes, pause_s):
    assert read_pause_s(nodes) == pytest.approx(pause_s)


def test_a_server_that_may_lose_bans_is_a_problem(redis, fleet):
    redis.client().config_set("maxmemory-policy", "allkeys-lru")
    redis.client().set("wp:options:alloptions", "...")
    (a,) = fleet("a")
    wait_until(lambda: len(a.problems) == 2)
    (eviction,), (other,) = (a.problems[f"the fleet's Redis: {name}"] for name in ("eviction", "other keys"))

    assert "maxmemory-policy allkeys-lru" in eviction
    assert "wp:options:alloptions" in other


def test_a_server_that_is_set_right_is_no_problem_any_more(redis, fleet, monkeypatch):
    monkeypatch.setattr("sidecar.fleet.subscriber.COMPARE_INTERVAL_S", 0.2)
    redis.client().config_set("maxmemory-policy", "allkeys-lru")
    (a,) = fleet("a")
    wait_until(lambda: a.problems["the fleet's Redis: eviction"])
    redis.client().config_set("maxmemory-policy", "noeviction")
    wait_until(lambda: a.problems["the fleet's Redis: eviction"][-1] is None)

    assert len(a.problems["the fleet's Redis: eviction"]) == 2


def test_a_refused_password_is_a_problem_that_does_not_show_it(tmp_path):
    with serving(tmp_path / "closed", 0, "--requirepass", "right") as server:
        peer = Peer("a", f"unix://:wrong-secret@{server.socket}")
        wait_until(lambda: peer.problems["the fleet's Redis"])
        peer.stop()

    (sentence,) = peer.problems["the fleet's Redis"]
    assert "refuses our user or password" in sentence
    assert "wrong-secret" not in sentence


def test_what_the_stream_dropped_before_it_was_read_is_read_from_the_set(redis, fleet, monkeypatch):
    for name in ("sidecar.fleet.redis.MAX_EVENTS", "sidecar.fleet.subscriber.MAX_EVENTS"):
        monkeypatch.setattr(name, 200)
    monkeypatch.setattr("sidecar.fleet.subscriber.MISSED_PAUSE_S", 0.1)
    busy = Busy()
    (a,) = fleet("a", sinks=[busy])
    addresses = [f"198.18.{number}.1" for number in range(256)] * 4
    busy.free.clear()
    publish_bans(redis, [ANN])
    busy.reached.wait(60)
    publish_bans(redis, addresses)
    busy.free.set()
    wait_until(lambda: a.problems[STREAM][-1:] == [None])

    assert a.banned == {ANN, *addresses}
    assert "dropped decisions before this host had read them" in a.problems[STREAM][0]


def test_a_long_backlog_of_which_the_stream_dropped_nothing_is_no_gap(redis, fleet):
    busy = Busy()
    (a,) = fleet("a", sinks=[busy])
    addresses = [f"198.18.{number}.1" for number in range(200)]
    busy.free.clear()
    publish_bans(redis, [ANN])
    busy.reached.wait(60)
    publish_bans(redis, addresses)
    busy.free.set()
    agree([a], [ANN, *addresses])

    assert a.problems[STREAM] == []


@pytest.mark.parametrize(
    ("position", "oldest", "length", "gap"),
    [
        ("5-0", "5-0", MAX_EVENTS, False),
        ("5-0", "5-1", MAX_EVENTS, True),
        ("5-0", "6-0", 3, True),
        ("0-0", "6-0", 3, False),
        ("0-0", "6-0", MAX_EVENTS, True),
    ],
)
def test_a_gap_begins_where_the_stream_begins_after_what_was_read(position, oldest, length, gap):
    assert _has_gap(position, StreamState(oldest, "9-0", length)) == gap


class Busy:
    """A sink that holds its host's loop up while it is not `free`; `reached` once it does."""

    name = "busy"

    def __init__(self):
        self.free, self.reached = threading.Event(), threading.Event()
        self.free.set()

    def apply(self, _turn):
        if not self.free.is_set():
            self.reached.set()
        assert self.free.wait(60)


def publish_bans(redis, addresses):
    """Publish bans as another node does, one in each entry."""
    store, codec, now = FleetStore(RedisConnection(parse_redis_url(redis.url)), PREFIX), Codec(), time.time()
    for address in addresses:
        ban = Ban("login", Address(address), now, now + 3600, "failures", failures=3)
        change = BanChange(end_ms(ban, ClockOffset()), codec.ban_member(key_of(ban)))
        store.publish("b/1", [codec.line(ban, "b/1", ClockOffset())], Publication([change]))
    store.close()


def test_a_host_whose_clock_is_set_right_believes_what_it_had_refused(fleet):
    """One without a clock of its own begins in 1970; with a key, the others' bans are from its future."""
    (host,) = fleet("a", keys=(KEY,), ahead=-time.time())
    (other,) = fleet("b", keys=(KEY,))
    other.ban(ANN)
    wait_until(lambda: host.heard.rejections["stale"])
    assert host.banned == set()

    host.ahead = 0.0
    agree([host], [ANN])
    (ban,) = host.bans
    assert abs(ban.until - other.bans[0].until) < 2.0
    assert host.problems[CLOCK][-1] is None
