"""What hostile nodes write, and how much of it is believed."""

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban
from sidecar.fleet.limits import LIFTS, LiftKind, PeerBudget
from sidecar.fleet.protocol import ClockOffset, Lift, key_of
from sidecar.fleet.redis import Entry, StoredBan
from sidecar.fleet.session import Node, Session
from sidecar.fleet.verifier import Verifier
from sidecar.runtime.problems import Problems
from tests.support.peers import BANS, EVENTS, FleetCounts, agree, publish_lines
from tests.support.waiting import wait_until

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
KEY = b"k" * 32


def test_the_allowlist_holds_against_every_node(redis, fleet):
    (a,) = fleet("a", allowlist=Allowlist({"ignoreip": ["203.0.113.0/24"]}))
    allowed = ("127.0.0.1", "10.1.2.3", "203.0.113.9", "192.168.1.1", "169.254.1.1", "224.0.0.1")
    publish_lines(redis, [f"B {address} login 99999999999999 1 3 -" for address in allowed])
    publish_lines(redis, ["B 203.0.114.7 login 99999999999999 1 3 -"])
    agree([a], ["203.0.114.7"])


def test_nonsense_is_counted_and_changes_nothing(redis, fleet):
    (a,) = fleet("a")
    publish_lines(
        redis,
        ["B", "B 0.0.0.0/0 login inf 1 3 -", "B 203.0.113.7 login 1 1 3 -", "U * * - 1 0 -", "\x00\xff"],
    )
    publish_lines(redis, ["B 203.0.113.7 login inf 1 3 -"], node="no node's name")
    publish_lines(redis, ["B 203.0.113.7 login inf 1 3 -"] * 200, node="many")
    redis.client().xadd(EVENTS, {"other": "fields"})
    redis.client().zadd(BANS, {"x" * 5000: 9e15, "203.0.113.9\nlogin": 9e15, "0.0.0.0/1 login": 9e15})
    wait_until(lambda: a.heard.rejections == {"malformed": 3 + 1 + 1 + 1, "expired": 1, "too wide": 1})
    (b,) = fleet("b")

    # The one of 200 lines that is a ban like any other. What follows on 128 is one line.
    assert a.banned == {ANN}
    assert b.banned == set()
    # The others never left the server.
    assert b.heard.rejections == {"malformed": 1}


def test_a_flood_of_bans_is_believed_only_up_to_the_limit(redis, fleet):
    """100,000 bans of one peer; docs/scale.md has what a million do."""
    (a,) = fleet("a")
    (b,) = fleet("b", budget=PeerBudget(peer=(2_000, 10.0), total=(3_000, 10.0)))
    numbers = iter(range(100_000))
    for _ in range(100_000 // 100):
        lines = [f"B {address(next(numbers))} login inf 1 3 -" for _ in range(100)]
        publish_lines(redis, lines, node="evil/1")
    a.ban(ANN)
    wait_until(lambda: ANN in b.banned)

    assert 2_000 <= len(b.bans) <= 2_300
    # The budget for this host's own bans is as it was.
    assert b.budget_asked == 0
    assert b.heard.rejections["budget"] > 97_000
    (sentence,) = b.problems["the fleet's bans"][:1]
    assert sentence.startswith("evil publishes more than is believed at once")


def test_of_bans_beyond_the_limit_only_as_many_are_parsed_as_are_believed():
    heard = FleetCounts()
    session = Session(None, Node("a"), lambda: 1_000.0, heard, since_boot=lambda: 0.0)
    verifier = Verifier(session, PeerBudget(peer=(3, 0.0)), Problems())
    lines = [
        "nonsense",
        *(f"B {address(number)} login inf 1 3 -" for number in range(9)),
        f"U {ANN} login - 1 0 -",
    ]
    believed = verifier.entry(Entry("1-0", "evil/1", tuple(lines)), 1_000.0)

    assert [each.address for each in believed] == [*map(address, range(3)), ANN]
    assert heard.rejections == {"malformed": 1, "budget": 6}
    assert verifier.entry(Entry("2-0", "evil/1", tuple(lines[1:-1])), 1_000.0) == []


def test_everything_that_is_published_again_after_a_flush_is_within_the_limit(redis, fleet):
    (a,) = fleet("a")
    (b,) = fleet("b", budget=PeerBudget(peer=(3_000, 0.0), total=(3_500, 0.0)))
    a.ban(*[address(number) for number in range(1_000)])
    wait_until(lambda: len(b.banned) == 1_000)
    # 4,000 in all: more than would be believed if they were new.
    for _ in range(3):
        redis.client().flushall()
        wait_until(lambda: redis.client().zcard(BANS) == 1_000)
    a.ban(ANN)
    wait_until(lambda: ANN in b.banned)

    assert b.heard.rejections == {}
    assert b.heard.counts["received", "ok"] == 1_001


def test_unsealed_lines_cannot_unban_many(redis, fleet):
    burst = round(LIFTS[LiftKind.UNSEALED].burst)
    banned = [address(number) for number in range(3 * burst)]
    (a,) = fleet("a", budget=PeerBudget(total=(10_000, 1.0)))
    a.ban(*banned)
    wait_until(lambda: redis.client().zcard(BANS) == len(banned))
    lines = [f"U {each} login - 99999999999999 0 -" for each in banned]
    for at in range(0, len(lines), 100):
        publish_lines(redis, lines[at : at + 100])
    publish_lines(redis, ["U * * - 99999999999999 0 -", "U 198.18.0.0/16 * - 99999999999999 0 -"])
    wait_until(lambda: a.heard.rejections["too wide"] == 2)
    redis.client().flushall()
    wait_until(lambda: redis.client().zcard(BANS))
    (sentence,) = a.problems["the fleet's bans"][:1]

    assert len(a.bans) >= 2 * burst - 10
    assert "was taken over" in sentence


def test_unsealed_lines_are_not_believed_where_the_fleet_has_a_key(redis, fleet):
    a, b = fleet("a", "b", keys=(KEY,))
    publish_lines(redis, ["B 203.0.113.7 login inf 1 3 -", "U 203.0.113.8 login - 1 0 -"])
    (c,) = fleet("c", keys=(b"another" * 5,))
    c.ban(EVE)
    a.ban(BOB)
    agree([a, b], [BOB])
    wait_until(lambda: a.heard.rejections["unsealed"] == 3)

    assert c.banned == {EVE}


def test_what_is_older_than_an_unban_is_found_without_comparing_bans_with_each_other(monkeypatch):
    """A page of the set has thousands."""

    def compare(*_):
        raise AssertionError

    heard = FleetCounts()
    session = Session(None, Node("a", (KEY,), "1"), lambda: 1_000.0, heard, since_boot=lambda: 0.0)
    verifier, offset = Verifier(session, PeerBudget(), Problems()), ClockOffset()
    bans = [
        Ban("login", Address(address(number)), at, 2_000.0, "fleet")
        for number in range(9)
        for at in (900.0, 999.0)
    ]
    verifier.remember(Lift(ban.address, "login", ban.at + 50) for ban in bans[:2])
    page = [
        StoredBan(session.codec.ban_member(key_of(ban)), 2e6, session.codec.ban_times(ban, offset))
        for ban in bans
    ]
    monkeypatch.setattr(Ban, "__eq__", compare)
    found = verifier.stored_bans(page, 1_000.0)

    assert [(ban.address, ban.at) for ban in found] == [(ban.address, ban.at) for ban in bans[2:]]
    assert (heard.rejections, heard.counts) == ({"stale": 1}, {("received", "redundant"): 1})


def test_made_up_names_do_not_make_endless_time_series(redis, fleet):
    (a,) = fleet("a")
    for number in range(150):
        publish_lines(redis, [f"B {ANN} login inf 1 3 -"], node=f"made-up-{number}/1")
    wait_until(lambda: "other" in a.heard.lags)

    assert len(a.heard.lags) == 101


def address(number):
    """One of 131,072 addresses for benchmarks (RFC 2544)."""
    return f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
