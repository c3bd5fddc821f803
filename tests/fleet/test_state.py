"""What is said to the engine, and what then stands there."""

import pytest

from sidecar.core.address import address
from sidecar.core.events import Ban, Unban, Who
from sidecar.core.fleet import Clock, Lift
from sidecar.fleet.state import Node, State, lifts, listed, parts, publish
from sidecar.stores.redis import Board
from tests.peers import BANS, PREFIX, Heard

ANN, BOB, EVE = Who("203.0.113.7"), Who("203.0.113.8"), Who("2001:db8:bad:1::/64")
NOW = 1_800_000_000.0


@pytest.fixture(params=[b"", b"k" * 32], ids=["open", "sealed"])
def state(request, redis):
    state = State(Board(address(redis.url), PREFIX), Node("a", request.param, "1"), lambda: NOW, Heard())
    state.board.hello("a/1", "epoch")
    yield state
    state.board.close()


def ban(who, until=NOW + 3600):
    return Ban("login", who, NOW, until, "failures", failures=3)


def test_what_is_told_is_listed_and_what_is_lifted_is_not(redis, state):
    publish(state, [ban(ANN), ban(BOB), ban(EVE, NOW + 1)], Clock())
    publish(state, [Unban("login", BOB, NOW, "manual")], Clock())
    redis.client().zadd(BANS, {"nonsense": 9e15})

    found = list(listed(state, Clock(), NOW + 1))
    assert [(each.who, each.until, each.cause) for each in found] == [(ANN, NOW + 3600, "fleet")]
    assert list(lifts(state, NOW + 1)) == [Lift(BOB, "login", NOW)]


def test_parts_are_all_of_it_in_its_order():
    assert [*parts([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert [*parts([])] == []
