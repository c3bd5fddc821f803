"""An attacker who can read and write everything on the server, and has no key.

What nodes sealed earlier can be written again, at any place and with any score. It is made here as the nodes would have
written it a while ago.
"""

import math
import time

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.fleet.protocol import ClockOffset, Codec, Lift
from sidecar.fleet.redis import FleetStore
from tests.support.peers import BANS, EVENTS, PREFIX, Peer, agree, publish_lines
from tests.support.waiting import wait_until

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
KEY, NEW_KEY = b"k" * 32, b"n" * 32
CODEC, SAME = Codec([KEY]), ClockOffset()
SEALS, LIFTS = f"{{{PREFIX}}}:seals", f"{{{PREFIX}}}:lifts"
NODE = "z/run-z"


def ban(address, ago, lasting=3600.0):
    at = time.time() - ago
    return Ban("login", address, at, at + lasting, "failures", failures=3)


def everyone(ago):
    return Lift(None, "", time.time() - ago)


def lines(*decisions):
    return [CODEC.line(each, NODE, SAME) for each in decisions]


def write_ban(redis, made, score=9e15):
    """Put a ban into the set, as its node sealed it, with any score."""
    member = CODEC.ban_member((made.address, made.jail))
    redis.client().zadd(BANS, {member: score})
    redis.client().hset(SEALS, member, CODEC.ban_times(made, SAME))


def write_lift(redis, lift):
    """Put an unban into the set as if it were of now."""
    redis.client().zadd(LIFTS, {CODEC.lift_member(lift, SAME): time.time() * 1000})


def read_all(redis, peer):
    """Have a node come back after it missed too much of the stream."""
    with peer.unplugged():
        redis.client().xadd(EVENTS, {"n": "x", "t": "x"})
        redis.client().xtrim(EVENTS, maxlen=0, approximate=False)
    wait_until(lambda: peer.joined)


def test_a_former_unban_of_everyone_ends_no_ban(redis, fleet):
    a, b = fleet("a", "b", keys=(KEY,))
    a.ban(ANN)
    agree([a, b], [ANN])
    for ago in (3, 60, 3600, 86_000):
        publish_lines(redis, lines(everyone(ago)), NODE)
        write_lift(redis, everyone(ago))
    publish_lines(redis, lines(everyone(90_000)), NODE)
    wait_until(lambda: a.heard.rejections["expired"] and b.heard.rejections["expired"])
    agree([a, b], [ANN])

    (c,) = fleet("c", keys=(KEY,))
    agree([c], [ANN])
    read_all(redis, a)
    agree([a, b, c], [ANN])


def test_what_is_published_again_is_stale(redis, fleet):
    a, b = fleet("a", "b", keys=(KEY,))
    captured = lines(ban(ANN, ago=100), ban(BOB, ago=100))
    publish_lines(redis, captured, NODE)
    agree([a, b], [ANN, BOB])
    a.unban(ANN)
    agree([a, b], [BOB])
    publish_lines(redis, captured, NODE)
    wait_until(lambda: a.heard.rejections["stale"] == b.heard.rejections["stale"] == 1)

    assert a.banned == b.banned == {BOB}


def test_an_unbanned_client_is_not_banned_again_by_the_set(redis, fleet):
    (a,) = fleet("a", keys=(KEY,))
    a.ban(BOB)
    a.unban(ANN)
    a.fleet.unban(ANN, "")
    write_ban(redis, ban(ANN, ago=100))
    (c,) = fleet("c", keys=(KEY,))
    agree([a, c], [BOB])

    assert c.heard.rejections == {"stale": 1}
    assert [each.address for each in a.fleet.bans()] == [BOB]


def test_a_ban_for_a_minute_does_not_last_for_ever(redis, fleet):
    write_ban(redis, ban(ANN, ago=100, lasting=60), score=math.inf)
    write_ban(redis, ban(BOB, ago=30, lasting=60), score=math.inf)
    (a,) = fleet("a", keys=(KEY,))
    agree([a], [BOB])

    assert a.heard.rejections == {"expired": 1}
    (found,) = a.bans
    assert found.until == pytest.approx(time.time() + 30, abs=5)


def test_a_former_unban_clears_no_failures(redis, fleet):
    a, b = fleet("a", "b", keys=(KEY,))
    b.ban(BOB)
    agree([a, b], [BOB])
    old = Lift(ANN, "login", time.time() - 100)
    for ago in (0.3, 0.2, 0.1):
        a.fail(ANN, ago)
        publish_lines(redis, lines(old, ban(EVE, ago=10_000, lasting=1)), NODE)
        seen = a.heard.rejections["expired"]
        wait_until(lambda seen=seen: a.heard.rejections["expired"] > seen or seen)
    agree([a, b], [ANN, BOB])


def test_members_without_a_seal_or_with_another_key_are_not_believed(redis, fleet):
    redis.client().zadd(BANS, {f"{ANN} login": 9e15, f"{BOB} login": 9e15})
    redis.client().hset(SEALS, f"{BOB} login", Codec([NEW_KEY]).ban_times(ban(BOB, 1), SAME))
    redis.client().zadd(LIFTS, {"* *": 9e15, Codec([NEW_KEY]).lift_member(everyone(0), SAME): 9e15})
    (a,) = fleet("a", keys=(KEY,))
    a.ban(EVE)
    read_all(redis, a)

    assert a.banned == {EVE}
    assert a.heard.rejections["unsealed"] == 4


def test_unbans_of_everyone_have_a_limit_even_with_the_key(redis, fleet):
    """As a node publishes that was taken over, which knows the key."""
    (a,) = fleet("a", keys=(KEY,))
    for number in range(5):
        published = redis.client().xlen(EVENTS)
        a.ban(ANN)
        # A ban that is still under way would come after the unban, and stay.
        wait_until(lambda published=published: redis.client().xlen(EVENTS) > published)
        # Each is another unban, and within what two clocks may differ it came after the ban.
        publish_lines(redis, lines(everyone(1.5 - number * 0.3)), NODE)
        if number < 3:
            agree([a], [])
    wait_until(lambda: a.heard.rejections["too many lifted"] == 2)

    assert a.banned == {ANN}
    (sentence,) = a.problems["the fleet's bans"]
    assert sentence.startswith("z publishes more than is believed at once")


@pytest.mark.parametrize("lie_ms", [365 * 86_400_000, -365 * 86_400_000, 7_200_000])
def test_a_server_that_lies_about_the_time_changes_nothing(redis, fleet, monkeypatch, lie_ms):
    hello = FleetStore.hello

    def lying(self, *arguments, **options):
        found = hello(self, *arguments, **options)
        return found._replace(now_ms=found.now_ms + lie_ms)

    honest = fleet("a", keys=(KEY,))[0]
    honest.ban(ANN)
    monkeypatch.setattr(FleetStore, "hello", lying)
    (b,) = fleet("b", keys=(KEY,))
    b.ban(BOB)
    agree([honest, b], [ANN, BOB])
    publish_lines(redis, lines(everyone(60), ban(EVE, ago=100, lasting=50)), NODE)
    wait_until(lambda: honest.heard.rejections["expired"] and b.heard.rejections["expired"])

    assert honest.banned == b.banned == {ANN, BOB}
    assert [round(each.until - time.time(), -2) for each in b.bans] == [3600, 3600]
    wait_until(lambda: honest.problems["the fleet's clock"] and b.problems["the fleet's clock"])


def test_a_key_is_changed_without_a_gap(redis, fleet):
    peers = fleet("a", "b", keys=(KEY,))
    a, b = peers
    expected = []

    def ban_on_each():
        for peer in peers:
            expected.append(Address(f"203.0.113.{len(expected)}"))
            peer.ban(expected[-1])
            agree(peers, expected)

    ban_on_each()
    for step in ((KEY, NEW_KEY), (NEW_KEY, KEY), (NEW_KEY,)):
        for peer in peers:
            peer.fleet.reconfigure([], step)
            # One has this key already, the other not yet.
            ban_on_each()
        for peer in peers:
            # As every few minutes.
            peer.fleet.subscriber._compare_at = 0.0
        wait_until(lambda step=step: sealed_with(redis, step[0]) == len(expected))
    (c,) = fleet("c", keys=(NEW_KEY,))
    agree([a, b, c], expected)

    assert a.heard.rejections == b.heard.rejections == c.heard.rejections == {}


def sealed_with(redis, key):
    """How many bans on the server have the seal of this key."""
    codec = Codec([key])
    return sum(
        codec.stored_end_ms(member, None, times) is not None
        for member, times in redis.client().hgetall(SEALS).items()
    )


def test_bans_that_a_former_version_sealed_are_sealed_again(redis, fleet):
    """Their node is gone; another one has them in force."""
    (a,) = fleet("a", keys=(KEY,))
    publish_lines(redis, lines(ban(ANN, ago=10)), NODE)
    agree([a], [ANN])
    ends = (time.time() + 3600) * 1000
    untimed = [CODEC.untimed_member((address, "login")) for address in (ANN, BOB)]
    redis.client().zadd(BANS, dict.fromkeys(untimed, ends))
    read_all(redis, a)
    wait_until(lambda: redis.client().hkeys(SEALS) == [f"{ANN} login"])

    # The other one is in force nowhere, and nobody knows when it was made.
    assert redis.client().zrange(BANS, 0, -1) == sorted([f"{ANN} login", untimed[1]])
    (c,) = fleet("c", keys=(KEY,))
    agree([a, c], [ANN])
    assert a.heard.rejections == c.heard.rejections == {}


def test_an_unban_within_seconds_of_a_ban_holds_everywhere(redis, fleet):
    """Clocks cannot say which came first, so the stream does."""
    a, b = fleet("a", "b", keys=(KEY,))
    for _ in range(3):
        a.ban(ANN)
        agree([a, b], [ANN])
        b.unban(ANN)
        agree([a, b], [])
    b.ban(ANN)
    agree([a, b], [ANN])


def test_an_unban_that_comes_late_holds_against_a_ban_that_comes_later_still(redis, fleet):
    """A ban from before the unban, which its node could not publish in time."""
    a, b = fleet("a", "b", keys=(KEY,))
    early = Ban("login", ANN, time.time() - 100, time.time() + 3600, "failures", failures=3)
    a.inbox.decide(lambda guard, now: [guard._register.put(early)]).result(10)
    agree([a, b], [ANN])
    publish_lines(redis, lines(Lift(ANN, "login", time.time() - 50)), NODE)

    agree([a, b], [])


def test_nodes_with_and_without_a_key_use_one_server(redis, tmp_path):
    """While a fleet is given a key, its nodes share nothing, and nobody's ban is lost."""
    sealed, unsealed = Peer("a", redis.url, keys=(KEY,)), Peer("b", redis.url)
    wait_until(lambda: sealed.joined and unsealed.joined)
    unsealed.ban(BOB)
    sealed.ban(ANN)
    wait_until(lambda: sealed.heard.rejections["unsealed"])
    agree([sealed], [ANN])
    unsealed.fleet.reconfigure([], (KEY,))
    unsealed.fleet.subscriber._compare_at = 0.0
    agree([sealed, unsealed], [ANN, BOB])
    for peer in (sealed, unsealed):
        peer.stop()


def test_a_client_that_mistypes_once_is_not_banned_for_failures_that_an_attacker_wrote(redis, fleet):
    a, b = fleet("a", "b", keys=(KEY,))
    window, now = f"login|{ANN}", time.time() * 1000
    key = f"{{{PREFIX}}}:w:{window}"
    # Made up, of another client, and of yesterday.
    for number in range(5):
        redis.client().zadd(key, {f"made-up-{number}": now})
        redis.client().zadd(key, {CODEC.failure(f"login|{BOB}", f"x{number}", round(now)): now})
        redis.client().zadd(key, {CODEC.failure(window, f"x{number}", round(now) - 86_400_000): now})
    a.fail(ANN)
    b.fail(ANN)
    for _ in range(3):
        b.fail(EVE)
    agree([a, b], [EVE])

    # A third failure is the fleet's third, whatever else is in the window.
    a.fail(ANN)
    agree([a, b], [ANN, EVE])


def test_failures_on_all_nodes_are_counted_together_in_a_fleet_with_a_key(redis, fleet):
    peers = fleet("a", "b", "c", keys=(KEY,))
    for peer in peers:
        peer.fail(ANN)
    agree(peers, [ANN])
    peers[0].unban(ANN)
    agree(peers, [])
    # It began again with nothing.
    peers[1].fail(ANN)
    peers[2].fail(ANN)
    peers[0].ban(BOB)
    agree(peers, [BOB])


def test_one_target_counts_once_in_a_fleet_with_a_key(redis, fleet):
    peers = fleet("a", "b", "c", keys=(KEY,))
    for peer in peers:
        peer.fail(ANN, target="admin")
    peers[0].ban(BOB)
    agree(peers, [BOB])


def test_failures_that_were_forgiven_are_not_counted_again(redis, fleet):
    (a,) = fleet("a", keys=(KEY,))
    key = f"{{{PREFIX}}}:w:login|{ANN}"
    a.fail(ANN)
    a.fail(ANN)
    wait_until(lambda: redis.client().zcard(key) == 2)
    captured = redis.client().zrange(key, 0, -1, withscores=True)
    a.unban(ANN)
    wait_until(lambda: not redis.client().exists(key))
    redis.client().zadd(key, dict(captured))
    a.fail(ANN)
    a.ban(BOB)
    wait_until(lambda: redis.client().zcard(key) == 3)
    agree([a], [BOB])


def test_nonsense_under_a_nodes_own_name_does_not_stop_it(redis, fleet):
    a, b = fleet("a", "b", keys=(KEY,))
    for peer in (a, b):
        publish_lines(
            redis,
            ["", "x", "B", "U  ", "P x", "B 203.0.113.7 login inf 1 3 -"],
            f"{peer.name}/run-{peer.name}",
        )
    a.ban(ANN)
    b.ban(BOB)
    agree([a, b], [ANN, BOB])


def test_what_people_do_twice_is_no_sign_of_an_attack(redis, fleet):
    a, b = fleet("a", "b", keys=(KEY,))
    a.ban(ANN)
    agree([a, b], [ANN])
    a.fleet.unban(ANN, "")
    a.unban(ANN)
    b.unban(ANN)
    agree([a, b], [])
    a.ban(BOB)
    agree([a, b], [BOB])

    assert a.heard.rejections == b.heard.rejections == {}
