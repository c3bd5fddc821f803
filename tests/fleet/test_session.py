"""What a node writes to the server, and what then stands there."""

import pytest

from sidecar.config.redis_url import parse_redis_url
from sidecar.core.address import Address
from sidecar.core.events import Ban, Unban
from sidecar.fleet import FleetStore, Node, RedisConnection
from sidecar.fleet.protocol import ClockOffset, Lift
from sidecar.fleet.session import Session, slices
from sidecar.runtime.backoff import Backoff
from tests.support.peers import BANS, PREFIX, FleetCounts

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
NOW = 1_800_000_000.0
SAME = ClockOffset()


@pytest.fixture(params=[(), (b"k" * 32,)], ids=["open", "sealed"])
def session(request, redis):
    store = FleetStore(RedisConnection(parse_redis_url(redis.url)), PREFIX)
    store.hello("a/1", "epoch")
    yield Session(store, Node("a", request.param, "1"), lambda: NOW, FleetCounts(), since_boot=lambda: 0.0)
    store.close()


def ban(address, until=NOW + 3600):
    return Ban("login", address, NOW, until, "failures", failures=3)


def test_a_published_ban_is_stored_until_it_is_unbanned(redis, session):
    session.publish([ban(ANN), ban(BOB), ban(EVE, NOW + 1)], SAME)
    session.publish([Unban("login", BOB, NOW, "manual")], SAME)
    redis.client().zadd(BANS, {"nonsense": 9e15})

    found = list(session.stored_bans(SAME, NOW + 1))
    assert [(each.address, each.until, each.cause) for each in found] == [(ANN, NOW + 3600, "fleet")]
    assert list(session.stored_lifts(NOW + 1)) == [Lift(BOB, "login", NOW)]


def test_a_closed_session_does_not_wait_to_retry(session):
    session.closed.set()
    backoff = Backoff(100.0, 200.0)
    session.wait_to_retry(backoff)

    assert backoff.next() == 200.0


def test_slices_are_all_values_in_their_order():
    assert [*slices([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert [*slices([])] == []


def test_a_clock_that_is_set_is_as_much_nearer_to_the_servers():
    clocks = [1_000.0, 50.0]
    session = Session(None, Node("a"), lambda: clocks[0], FleetCounts(), since_boot=lambda: clocks[1])
    session.ahead_s = 5_000.0
    clocks[:] = 1_010.0, 60.0
    assert session.offset.ahead_s == 5_000.0

    clocks[:] = 6_011.0, 61.0
    assert session.offset.ahead_s == 0.0


def test_with_a_key_a_server_is_believed_once_the_clock_is_near_it():
    clocks = [1_000.0, 50.0]
    session = Session(
        None, Node("a", (b"k" * 32,)), lambda: clocks[0], FleetCounts(), since_boot=lambda: clocks[1]
    )
    session.ahead_s = 5_003.0
    assert session.offset.ahead_s == 0.0

    clocks[:] = 6_001.0, 51.0
    assert session.offset.ahead_s == 3.0
