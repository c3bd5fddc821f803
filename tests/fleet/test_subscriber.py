"""What the others say: who is believed, and what is made up for."""

import math
from contextlib import contextmanager

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban
from sidecar.core.jail import Jail
from sidecar.fleet.protocol import LIFT_BURST, Budget, Clock, line, told
from sidecar.stores.base import StoreError
from tests.support.peers import BANS, EVENTS, LOGIN, Peer, agree
from tests.support.redis_server import serving
from tests.support.waiting import wait_until

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
BACK = 5.0  # seconds after the engine is back, in which all agree
KEY = b"k" * 32


# Coming back


def test_who_was_away_for_hours_reads_everything(redis, fleet):
    a, b = fleet("a", "b")
    with off(b):
        a.ban(ANN)
        wait_until(lambda: redis.client().xlen(EVENTS))
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
        wait_until(lambda: c.banned == {BOB})
        redis.client().xtrim(EVENTS, maxlen=0, approximate=False)
    agree([a, b, c], [BOB], BACK)


def test_bans_that_the_engine_lost_are_told_again(redis, fleet, monkeypatch):
    monkeypatch.setattr("sidecar.fleet.subscriber.AGAIN", 0.5)
    (a,) = fleet("a")
    a.ban(ANN)
    wait_until(lambda: redis.client().zcard(BANS))
    redis.client().delete(BANS, EVENTS)  # as an eviction would
    wait_until(lambda: redis.client().zcard(BANS))
    (b,) = fleet("b")
    agree([b], [ANN])


@contextmanager
def off(peer):
    """This node hears and says nothing for a while."""
    board = peer.fleet._state.board
    ask, board._told = board._told, _refusing
    wait_until(lambda: not peer.joined)
    try:
        yield
    finally:
        board._told = ask


@contextmanager
def _refusing():
    raise StoreError("the cable is out")
    yield


# Hostile peers


def test_nobody_bans_who_may_never_be_banned(redis, fleet):
    (a,) = fleet("a", allowlist=Allowlist({"ignoreip": ["203.0.113.0/24"]}))
    whom = ("127.0.0.1", "10.1.2.3", "203.0.113.9", "192.168.1.1", "169.254.1.1", "224.0.0.1")
    shout(redis, [f"B {address} login 99999999999999 1 3 -" for each in whom])
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
    wait_until(lambda: a.heard.reasons == {"malformed": 3 + 1 + 72 + 1, "expired": 1, "too wide": 1})
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
    wait_until(lambda: ANN in b.banned)

    assert 2_000 <= len(b.bans) <= 2_300
    assert b.asked == 0  # the budget of its own bans is as it was
    assert b.heard.reasons["budget"] > 97_000
    (sentence,) = b.problems["the fleet's bans"][:1]
    assert "evil tells more than is believed at once" in sentence


def test_all_that_is_told_again_after_a_flush_is_within_the_budget(redis, fleet):
    (a,) = fleet("a")
    (b,) = fleet("b", budget=Budget(peer=(3_000, 0.0), everyone=(3_500, 0.0)))
    a.ban(*[address(number) for number in range(1_000)])
    wait_until(lambda: len(b.banned) == 1_000)
    for _ in range(3):  # 4,000 in all: more than would be believed if they were new
        redis.client().flushall()
        wait_until(lambda: redis.client().zcard(BANS) == 1_000)
    a.ban(ANN)
    wait_until(lambda: ANN in b.banned)

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
    wait_until(lambda: redis.client().zcard(BANS) == len(whom))
    lines = [f"U {each} login - 99999999999999 0 -" for each in whom]
    for at in range(0, len(lines), 100):
        shout(redis, lines[at : at + 100])
    shout(redis, ["U * * - 99999999999999 0 -", "U 198.18.0.0/16 * - 99999999999999 0 -"])
    wait_until(lambda: a.heard.reasons["too wide"] == 2)
    redis.client().flushall()
    wait_until(lambda: redis.client().zcard(BANS))
    (sentence,) = a.problems["the fleet's bans"][:1]

    assert len(a.bans) >= 2 * LIFT_BURST - 10
    assert "was taken over" in sentence


def test_without_the_secret_nobody_is_heard(redis, fleet):
    a, b = fleet("a", "b", secret=KEY)
    shout(redis, ["B 203.0.113.7 login inf 1 3 -", "U 203.0.113.8 login - 1 0 -"])
    (c,) = fleet("c", secret=b"another" * 5)
    c.ban(EVE)
    a.ban(BOB)
    agree([a, b], [BOB])
    wait_until(lambda: a.heard.reasons["unsealed"] == 3)

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
    wait_until(lambda: "other" in a.heard.lags)

    assert len(a.heard.lags) == 101


# What it tells


def test_an_engine_that_forgets_is_warned_about(redis, fleet):
    redis.client().config_set("maxmemory-policy", "allkeys-lru")
    redis.client().set("wp:options:alloptions", "...")
    (a,) = fleet("a")
    wait_until(lambda: a.problems["the fleet's engine"])
    (sentence,) = a.problems["the fleet's engine"]

    assert "maxmemory-policy allkeys-lru" in sentence
    assert "wp:options:alloptions" in sentence


def test_a_password_that_is_refused_is_told_without_it(tmp_path, redis, fleet):
    with serving(tmp_path / "closed", 0, "--requirepass", "right") as server:
        peer = Peer("a", f"unix://:wrong-secret@{server.socket}")
        wait_until(lambda: peer.problems["fleet news"])
        peer.stop()

    (sentence,) = peer.problems["fleet news"]
    assert "refuses our user or password" in sentence
    assert "wrong-secret" not in sentence


def address(number):
    return str(
        Address(
            f"198.18.{number >> 8 & 255}.{number & 255}"
            if number < 65_536
            else f"198.19.{number >> 8 & 255}.{number & 255}"
        )
    )


def shout(redis, lines, node="evil/1"):
    """What anyone may do who may write to the engine."""
    redis.client().xadd(EVENTS, {"n": node, "t": "\n".join(lines)})


def test_a_line_is_as_it_is_heard():
    """The other half of `core/test_fleet.py`: what `shout` writes is what nodes write."""
    ban = Ban("login", ANN, 1.0, math.inf, "failures", failures=3)

    assert line(ban, "evil/1", Clock()) == f"B {ANN} login inf 1000 3 -"
    assert told(line(ban, "evil/1", Clock()), "evil/1", Clock(), 5.0).address == ANN
