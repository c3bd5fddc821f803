"""What a node does when it comes to a fleet, or comes back."""

from sidecar.core.address import Address
from sidecar.fleet.limits import PeerBudget
from sidecar.fleet.redis import FleetStore
from sidecar.stores.base import StoreError
from tests.support.peers import BANS, EVENTS, agree
from tests.support.waiting import wait_until

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")

# All nodes agree again this many seconds after the server is back.
BACK = 60.0


def test_a_node_that_missed_too_much_of_the_stream_reads_all_bans(redis, fleet):
    a, b = fleet("a", "b")
    with b.unplugged():
        a.ban(ANN)
        wait_until(lambda: redis.client().xlen(EVENTS))
        redis.client().xtrim(EVENTS, maxlen=0, approximate=False)
        a.ban(BOB)
        agree([a], [ANN, BOB])
    agree([b], [ANN, BOB], BACK)


def test_what_was_unbanned_meanwhile_is_not_published_again(redis, fleet):
    a, b, c = fleet("a", "b", "c")
    b.ban(ANN, BOB)
    agree([a, b, c], [ANN, BOB])
    with b.unplugged():
        # Made before it is unbanned, and still to be published.
        b.ban(EVE)
        a.unban(ANN)
        a.unban(EVE)
        assert a.fleet.unban(EVE, "") == 0
        wait_until(lambda: c.banned == {BOB})
        redis.client().xtrim(EVENTS, maxlen=0, approximate=False)
    agree([a, b, c], [BOB], BACK)


def test_bans_that_the_server_lost_are_published_again(redis, fleet, monkeypatch):
    monkeypatch.setattr("sidecar.fleet.subscriber.COMPARE_INTERVAL_S", 0.5)
    (a,) = fleet("a")
    a.ban(ANN)
    wait_until(lambda: redis.client().zcard(BANS))
    # As an eviction would.
    redis.client().delete(BANS, EVENTS)
    wait_until(lambda: redis.client().zcard(BANS))
    (b,) = fleet("b")
    agree([b], [ANN])


def test_a_join_that_fails_half_way_begins_again(redis, fleet, monkeypatch):
    """What was read before the connection broke must not count as all that there is."""
    pages, failures = FleetStore.bans, []

    def break_once(store, **options):
        yield from ()
        if not failures:
            failures.append(store)
            raise StoreError("the cable is out")
        yield from pages(store, **options)

    redis.client().zadd(BANS, {f"{ANN} login": 9e15})
    monkeypatch.setattr(FleetStore, "bans", break_once)
    (a,) = fleet("a")

    agree([a], [ANN])
    assert len(failures) == 1


def test_a_set_full_of_bans_is_believed_only_up_to_the_limit(redis, fleet):
    redis.client().zadd(
        BANS, {f"198.18.{number >> 8}.{number & 255} login": 9e15 for number in range(20_000)}
    )
    (a,) = fleet("a", budget=PeerBudget(total=(3_000, 10.0)))

    assert 3_000 <= len(a.bans) <= 3_100
    assert a.heard.rejections["budget"] >= 16_000
