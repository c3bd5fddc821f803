"""What a node makes of the stream, and of a server that it cannot use."""

import pytest

from sidecar.core.address import Address
from sidecar.core.jail import Jail
from sidecar.fleet.subscriber import read_pause_s
from tests.support.peers import LOGIN, Peer, agree, publish_lines
from tests.support.redis_server import serving
from tests.support.waiting import wait_until

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")


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
