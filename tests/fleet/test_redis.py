"""One real Redis (FLEET_SERVER: another of its kind), and what a fleet keeps there."""

import contextlib
import math
import re
import socketserver
import threading

import pytest

from sidecar.config.redis_url import parse_redis_url
from sidecar.fleet.connection import RedisConnection
from sidecar.fleet.redis import BanChange, Entry, FleetStore, LiftChange, Publication, WindowFailures
from sidecar.fleet.scripts import MAX_LIFTS
from sidecar.stores.base import StoreError
from tests.support.paths import ROOT

DAY = 86_400_000
RULE = re.search(
    r"user sidecar on >password (.*?)```",
    (ROOT / "docs/fleet.md").read_text(),
    re.DOTALL,
)


def store_at(url, prefix="wps"):
    return FleetStore(RedisConnection(parse_redis_url(url)), prefix)


@pytest.fixture
def store(redis):
    store = store_at(redis.url)
    yield store
    store.close()


def publish(store, bans=(), lifts=(), *, sealed=False):
    """Bans: end, member and sealed times. Lifts: the ban's member, the lift's member and its time."""
    bans = [BanChange(str(end), *more) for end, *more in bans]
    return store.publish(
        "a/1", ["..."], Publication(bans, [LiftChange(*each) for each in lifts]), sealed=sealed
    )


def failures(name, *ages, maxretry=3, findtime_ms=10_000):
    """So many milliseconds ago each; a failure is named by its age."""
    return WindowFailures(name, maxretry, findtime_ms, tuple((f"{name}{age}", age) for age in ages))


def test_the_first_node_names_the_epoch(store, redis):
    def now_ms():
        seconds, micros = redis.client().time()
        return seconds * 1000 + micros // 1000

    first, before = store.hello("a/1", "one"), now_ms()
    second, after = store.hello("b/2", "two"), now_ms()

    assert [(each.epoch, each.nodes) for each in (first, second)] == [("one", 1), ("one", 2)]
    assert before <= second.now_ms <= after
    redis.client().flushall()
    assert store.hello("a/1", "three").epoch == "three"


def test_silent_nodes_are_gone(store, redis):
    redis.client().zadd("{wps}:nodes", {"old/1": store.hello("a/1", "one").now_ms - 61_000})

    assert store.hello("a/1", "one").nodes == 1


def test_entries_are_read_in_their_order_from_any_position(store):
    before = store.stream_state()
    first = store.publish("a/1", ["B x", "B y"], Publication())
    second = store.publish("b/2", ["U z"], Publication())

    assert before == ("0-0", "0-0", 0)
    assert store.stream_state() == (first, second, 2)
    assert store.read("0-0", 0) == [Entry(first, "a/1", ("B x", "B y")), Entry(second, "b/2", ("U z",))]
    assert store.read(first, 0.01) == [Entry(second, "b/2", ("U z",))]
    assert store.read(second, 0.01) == []
    assert store.read(second, 0) == []


def test_an_entry_that_no_node_writes_is_not_taken_apart(store, redis):
    redis.client().xadd("{wps}:events", {"n": "evil/1", "t": "\n" * 1_000_000})
    ((_, node, lines),) = store.read("0-0", 0)

    assert (node, len(lines), len(lines[-1])) == ("evil/1", 129, 1_000_000 - 128)


def test_an_emptied_stream_begins_where_it_ends(store, redis):
    last = store.publish("a/1", ["B x"], Publication())
    redis.client().xtrim("{wps}:events", 0, approximate=False)

    assert store.stream_state() == (last, last, 0)


def test_the_sets_match_what_was_published(store, redis):
    now = store.hello("a/1", "one").now_ms
    publish(store, bans=[(now + 1000, "x login"), ("inf", "y login")])
    publish(
        store, bans=[(now + 500, "x login"), (now + 2000, "z login")], lifts=[("y login", "y login", now)]
    )

    assert sorted(each for page in store.bans() for each in page) == [
        ("x login", now + 1000, ""),
        ("z login", now + 2000, ""),
    ]
    assert [*store.lifts()] == [[("y login", now)]]
    assert store.stored(["x login", "y login"]) == [("x login", now + 1000, ""), None]
    assert store.stored([]) == []
    assert store.ban_count() == 2


def test_the_sealed_times_of_a_ban_stand_and_go_with_it(store, redis):
    now = store.hello("a/1", "one", sealed=True).now_ms

    def times():
        return redis.client().hgetall("{wps}:seals")

    publish(store, bans=[(now + 9000, "x login", "first"), ("inf", "y login", "second")], sealed=True)
    # A shorter ban changes nothing, one that is sealed again replaces the seal.
    publish(store, bans=[(now + 500, "x login", "third"), ("inf", "y login", "fourth")], sealed=True)
    assert times() == {"x login": "first", "y login": "fourth"}
    assert sorted(each for page in store.bans(sealed=True) for each in page) == [
        ("x login", now + 9000, "first"),
        ("y login", math.inf, "fourth"),
    ]
    assert store.stored(["y login", "z login"], sealed=True) == [("y login", math.inf, "fourth"), None]

    publish(store, lifts=[("y login", "y login 1 seal", now)], sealed=True)
    assert times() == {"x login": "first"}
    redis.client().zadd("{wps}:bans", {"x login": now - 1})
    store.hello("a/1", "one", sealed=True)
    assert (times(), store.ban_count()) == ({}, 0)


def test_sets_are_changed_without_an_entry_in_the_stream(store, redis):
    now = store.hello("a/1", "one").now_ms
    redis.client().zadd("{wps}:bans", {"x login v1seal": now + 1000})
    store.publish(
        "a/1", (), Publication([BanChange(str(now + 1000), "x login", "t", "x login v1seal")]), sealed=True
    )

    assert redis.client().zrange("{wps}:bans", 0, -1) == ["x login"]
    assert store.stream_state() == ("0-0", "0-0", 0)


def test_expired_bans_are_removed(store, redis):
    publish(store, bans=[(1, "x login")])
    store.hello("a/1", "one")

    assert store.ban_count() == 0


def test_lifts_are_remembered_for_a_week_and_up_to_a_number(store, redis):
    now = store.hello("a/1", "one").now_ms
    redis.client().zadd("{wps}:lifts", {"x login": now - 8 * DAY})
    publish(store, lifts=[("y login", "y login", now)])
    assert [*store.lifts()] == [[("y login", now)]]

    redis.client().zadd("{wps}:lifts", {f"{number} login": now - 5 for number in range(MAX_LIFTS)})
    publish(store, lifts=[("z login", "z login", now)])
    assert redis.client().zcard("{wps}:lifts") == MAX_LIFTS


def test_pages_have_every_member_and_no_text_that_would_break_them(store, redis):
    wanted = {f"{number} login": float(number + 1e12) for number in range(12_000)}
    redis.client().zadd("{wps}:bans", wanted | {"x\ny": 1e13, "x" * 300: 1e13})
    found = [*store.bans()]

    assert {member: end for page in found for member, end, _ in page} == wanted
    assert len(found) > 2


def test_a_window_slides_over_the_failures_of_all_nodes(store):
    def full(*each):
        return [found.place for found in store.count(each)]

    assert full(failures("ann", 9000, 5000)) == []
    assert full(failures("bob", 0), failures("ann", 1)) == [1]
    # It began again with nothing.
    assert full(failures("ann", 1)) == []
    assert full(failures("eve", 30_000, 20_000, 0), failures("kim", 29_000, 25_000, 20_000)) == [1]


def test_in_a_fleet_with_a_key_the_names_of_a_full_window_are_read_and_it_stays(store, redis):
    for age in (9000, 5000, 1):
        found = store.count([failures("ann", age)], sealed=True)
    redis.client().zadd("{wps}:w:ann", {"x\ny": 9e15, "x" * 300: 9e15})
    again = store.count([failures("bob", 0), failures("ann", 2)], sealed=True)

    assert found == [(0, ("ann9000", "ann5000", "ann1"))]
    ((place, names),) = again
    assert (place, {*names}) == (1, {"ann9000", "ann5000", "ann2", "ann1"})
    store.clear(["ann"])
    assert store.count([failures("ann", 1)], sealed=True) == []


def test_of_the_times_of_a_ban_no_endless_text_is_read(store, redis):
    redis.client().zadd("{wps}:bans", {"x login": 9e15})
    redis.client().hset("{wps}:seals", "x login", "x" * 1_000)

    assert store.stored(["x login"], sealed=True) == [("x login", 9e15, "")]


def test_a_failure_that_is_sent_twice_counts_once(store):
    assert [store.count([failures("ann", 1, 2)]) for _ in range(3)] == [[], [], []]


def test_a_window_is_small_and_expires(store, redis):
    store.count([failures("ann", *range(20_000, 500_000, 20_000))])

    assert redis.client().zcard("{wps}:w:ann") == 6
    assert 9_000 < redis.client().pttl("{wps}:w:ann") <= 10_000
    store.clear(["ann", "bob"])
    assert redis.client().zcard("{wps}:w:ann") == 0


def test_a_server_of_its_own_is_not_warned_about(store):
    store.hello("a/1", "one")
    store.count([failures("ann", 1)])

    assert store.warnings() == {}


def test_a_server_that_evicts_keys_or_holds_others_is_warned_about(store, redis):
    redis.client().config_set("maxmemory-policy", "volatile-lru")
    redis.client().set("wp:posts:7", "...")
    warnings = store.warnings()

    assert "maxmemory-policy volatile-lru" in warnings["eviction"]
    assert "(wp:posts:7)" in warnings["other keys"]


def test_an_acl_user_needs_no_more_than_is_documented(redis):
    """The rule in docs/fleet.md."""
    redis.client().execute_command("ACL SETUSER", "sidecar", "on", ">secret", *RULE[1].split())
    store = store_at(f"unix://sidecar:secret@{redis.socket}", "wp-sidecar")
    now = store.hello("a/1", "one").now_ms
    for sealed in (False, True):
        store.hello("a/1", "one", sealed=sealed)
        publish(store, [(now + 10_000, "x login", "times")], [("y login", "y login", now)], sealed=sealed)
    store.count([failures("ann", 1, 2, 3)])
    store.clear(["ann"])

    assert store.stream_state().newest == store.read("0-0", 0.01)[-1].position
    assert [*store.bans(), *store.lifts()] == [[("x login", now + 10_000, "")], [("y login", now)]]
    assert [*store.bans(sealed=True)] == [store.stored(["x login"], sealed=True)]
    assert (store.ban_count(), store.warnings()) == (1, {})
    with pytest.raises(StoreError, match="does not permit this user a command that we need"):
        store_at(f"unix://sidecar:secret@{redis.socket}", "other").hello("a/1", "one")
    with pytest.raises(StoreError, match="refuses our user or password"):
        store_at(f"unix://sidecar:wrong@{redis.socket}").hello("a/1", "one")


@contextlib.contextmanager
def liar(folder, answer):
    """Something that gives this answer to every command of a client."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            # The greeting of redis-py is two commands.
            while self.request.recv(65536):
                self.request.sendall(answer)

    path = str(folder / "liar.sock")
    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [b"*0\r\n", b":1\r\n", b"$-1\r\n", b"+OK\r\n", b"*3\r\n$1\r\nx\r\n*0\r\n:1\r\n", b"*1\r\n" * 5000, b"HTTP/1.1 400\r\n"],
    ids=["empty", "number", "nothing", "word", "list", "nested", "other"],
)  # fmt: skip
def test_whatever_answers_like_no_redis_is_an_error_of_the_store(tmp_path, answer):
    with liar(tmp_path, answer) as url:
        store = store_at(url)
        windows = [WindowFailures("login 203.0.113.7", 3, 1000, (("a", 0),))]
        for ask in (
            lambda: store.hello("a", "e"),
            store.stream_state,
            lambda: store.publish("a", ["x"], Publication()),
            lambda: store.read("0-0", 0),
            lambda: list(store.bans()),
            lambda: store.stored(["a"]),
            lambda: store.stored(["a"], sealed=True),
            store.ban_count,
            lambda: store.count(windows),
            lambda: store.clear(["a"]),
            store.warnings,
        ):
            # An answer may happen to be one.
            with contextlib.suppress(StoreError):
                ask()
        with pytest.raises(StoreError):
            store.hello("a", "e")
        store.close()


def test_a_list_without_an_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("sidecar.fleet.redis.MAX_PAGES", 20)
    with liar(tmp_path, b"*2\r\n:1\r\n$11\r\na login\n1\n\n\r\n") as url:
        store = store_at(url)
        with pytest.raises(StoreError, match="never ends its list of bans"):
            list(store.bans())
        store.close()
