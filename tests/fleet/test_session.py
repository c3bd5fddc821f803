"""What is said to the engine, and what then stands there."""

import pytest

from sidecar.config.redis_url import parse_redis_url
from sidecar.core.address import Address
from sidecar.core.events import Ban, Unban
from sidecar.fleet.protocol import Clock, Lift
from sidecar.fleet.redis import Board
from sidecar.fleet.session import Node, State, lifts, listed, parts, publish
from tests.support.peers import BANS, PREFIX, Heard

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
NOW = 1_800_000_000.0


@pytest.fixture(params=[b"", b"k" * 32], ids=["open", "sealed"])
def state(request, redis):
    state = State(
        Board(parse_redis_url(redis.url), PREFIX), Node("a", request.param, "1"), lambda: NOW, Heard()
    )
    state.board.hello("a/1", "epoch")
    yield state
    state.board.close()


def ban(address, until=NOW + 3600):
    return Ban("login", address, NOW, until, "failures", failures=3)


def test_what_is_told_is_listed_and_what_is_lifted_is_not(redis, state):
    publish(state, [ban(ANN), ban(BOB), ban(EVE, NOW + 1)], Clock())
    publish(state, [Unban("login", BOB, NOW, "manual")], Clock())
    redis.client().zadd(BANS, {"nonsense": 9e15})

    found = list(listed(state, Clock(), NOW + 1))
    assert [(each.address, each.until, each.cause) for each in found] == [(ANN, NOW + 3600, "fleet")]
    assert list(lifts(state, NOW + 1)) == [Lift(BOB, "login", NOW)]


def test_parts_are_all_of_it_in_its_order():
    assert [*parts([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert [*parts([])] == []
