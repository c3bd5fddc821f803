"""One real Redis (FLEET_SERVER: another of its kind), and what is kept there."""

import re
import ssl
import subprocess

import pytest

from sidecar.config.redis_url import parse_redis_url
from sidecar.fleet.redis import LIFTS, Board, Entry, Failures
from sidecar.stores.base import StoreError
from tests.support.paths import ROOT
from tests.support.redis_server import free_port, serving
from tests.support.waiting import wait_until

DAY = 86_400_000
RULE = re.search(
    r"user sidecar on >password (.*?)```",
    (ROOT / "docs/fleet.md").read_text(),
    re.DOTALL,
)


@pytest.fixture
def redis(tmp_path):
    with serving(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def board(redis):
    board = Board(parse_redis_url(redis.url), "wps")
    yield board
    board.close()


def failures(name, *ages, most=3, span=10_000):
    """So many milliseconds ago each; a failure is named by its age."""
    return Failures(name, most, span, tuple((f"{name}{age}", age) for age in ages))


def test_the_first_who_says_hello_names_the_epoch(board, redis):
    first, second = board.hello("a/1", "one"), board.hello("b/2", "two")
    seconds, micros = redis.client().time()

    assert [(each.epoch, each.nodes) for each in (first, second)] == [("one", 1), ("one", 2)]
    assert 0 <= seconds * 1000 + micros // 1000 - second.now < 1000
    redis.client().flushall()
    assert board.hello("a/1", "three").epoch == "three"


def test_nodes_that_say_nothing_are_gone(board, redis):
    redis.client().zadd("{wps}:nodes", {"old/1": board.hello("a/1", "one").now - 61_000})

    assert board.hello("a/1", "one").nodes == 1


def test_what_is_told_is_heard_in_its_order_by_who_reads_on(board):
    before = board.position()
    first = board.tell("a/1", ["B x", "B y"], [], [])
    second = board.tell("b/2", ["U z"], [], [])

    assert before == ("0-0", "0-0")
    assert board.position() == (first, second)
    assert board.read("0-0", 0) == [Entry(first, "a/1", ("B x", "B y")), Entry(second, "b/2", ("U z",))]
    assert board.read(first, 0.01) == [Entry(second, "b/2", ("U z",))]
    assert board.read(second, 0.01) == []
    assert board.read(second, 0) == []


def test_a_stream_that_was_emptied_begins_where_it_ends(board, redis):
    last = board.tell("a/1", ["B x"], [], [])
    redis.client().xtrim("{wps}:events", 0, approximate=False)

    assert board.position() == (last, last)


def test_the_sets_are_as_was_told(board, redis):
    now = board.hello("a/1", "one").now
    board.tell("a/1", ["..."], [(now + 1000, "x login"), ("inf", "y login")], [])
    board.tell(
        "a/1", ["..."], [(now + 500, "x login"), (now + 2000, "z login")], [("y login", "y login", now)]
    )

    assert sorted(each for page in board.bans() for each in page) == [
        ("x login", now + 1000),  # the longer ban holds
        ("z login", now + 2000),
    ]
    assert [*board.lifts()] == [[("y login", now)]]
    assert board.ends(["x login", "y login"]) == [now + 1000, None]
    assert board.ends([]) == []
    assert board.known() == 2


def test_bans_that_are_over_are_cleared_away(board, redis):
    board.tell("a/1", ["..."], [(1, "x login")], [])
    board.hello("a/1", "one")

    assert board.known() == 0


def test_liftings_are_remembered_for_a_week_and_so_many(board, redis):
    now = board.hello("a/1", "one").now
    redis.client().zadd("{wps}:lifts", {"x login": now - 8 * DAY})
    board.tell("a/1", ["..."], [], [("y login", "y login", now)])
    assert [*board.lifts()] == [[("y login", now)]]

    redis.client().zadd("{wps}:lifts", {f"{number} login": now - 5 for number in range(LIFTS)})
    board.tell("a/1", ["..."], [], [("z login", "z login", now)])
    assert redis.client().zcard("{wps}:lifts") == LIFTS


def test_pages_have_every_member_and_no_text_that_would_break_them(board, redis):
    wanted = {f"{number} login": float(number + 1e12) for number in range(12_000)}
    redis.client().zadd("{wps}:bans", wanted | {"x\ny": 1e13, "x" * 300: 1e13})
    found = [*board.bans()]

    assert {member: end for page in found for member, end in page} == wanted
    assert len(found) > 2


def test_the_window_slides_over_the_failures_of_all(board):
    def full(*each):
        return board.count(each)

    assert full(failures("ann", 9000, 5000)) == []
    assert full(failures("bob", 0), failures("ann", 1)) == [1]
    assert full(failures("ann", 1)) == []  # it starts afresh
    assert full(failures("eve", 30_000, 20_000, 0), failures("kim", 29_000, 25_000, 20_000)) == [1]


def test_a_failure_that_is_told_twice_counts_once(board):
    assert [board.count([failures("ann", 1, 2)]) for _ in range(3)] == [[], [], []]


def test_a_window_holds_little_and_not_for_long(board, redis):
    board.count([failures("ann", *range(20_000, 500_000, 20_000))])

    assert redis.client().zcard("{wps}:w:ann") == 6
    assert 9_000 < redis.client().pttl("{wps}:w:ann") <= 10_000
    board.forget(["ann", "bob"])
    assert redis.client().zcard("{wps}:w:ann") == 0


def test_scripts_that_were_forgotten_are_told_again(board, redis):
    board.hello("a/1", "one")
    redis.client().script_flush()

    assert board.hello("a/1", "two").epoch == "one"


def test_nothing_is_doubted_of_an_engine_of_our_own(board):
    board.hello("a/1", "one")
    board.count([failures("ann", 1)])

    assert board.doubts() == []


def test_an_engine_that_others_use_and_that_forgets_is_doubted(board, redis):
    redis.client().config_set("maxmemory-policy", "volatile-lru")
    redis.client().set("wp:posts:7", "...")
    evicts, mixed = board.doubts()

    assert "maxmemory-policy volatile-lru" in evicts
    assert "'wp:posts:7'" in mixed


def test_an_engine_that_is_not_there_is_told_in_a_sentence(tmp_path):
    with pytest.raises(StoreError) as told:
        Board(parse_redis_url(f"unix://:secret@{tmp_path}/redis.sock"), "wps").hello("a/1", "one")

    assert str(told.value).startswith(f"Redis at {tmp_path}/redis.sock does not answer as it should")
    assert "secret" not in str(told.value)


def test_an_engine_that_does_not_answer_is_waited_for_only_so_long(redis):
    board = Board(parse_redis_url(redis.url), "wps", patience=0.2)
    board.hello("a/1", "one")
    redis.pause()
    with pytest.raises(StoreError, match="does not answer"):
        board.hello("a/1", "one")
    redis.resume()
    wait_until(lambda: board.hello("a/1", "one"))


def test_a_replica_is_told_from_a_master(tmp_path, redis):
    port = free_port()
    with (
        serving(tmp_path / "master", port),
        serving(tmp_path / "replica", 0, "--replicaof", "127.0.0.1", str(port)) as replica,
        pytest.raises(StoreError, match="is a replica: name the master, or its sentinels"),
    ):
        Board(parse_redis_url(replica.url), "wps").hello("a/1", "one")


def test_a_user_of_its_own_needs_no_more_than_is_documented(redis):
    """The rule in docs/fleet.md."""
    redis.client().execute_command("ACL SETUSER", "sidecar", "on", ">secret", *RULE[1].split())
    board = Board(parse_redis_url(f"unix://sidecar:secret@{redis.socket}"), "wp-sidecar")
    now = board.hello("a/1", "one").now
    board.tell("a/1", ["..."], [(now + 10_000, "x login")], [("y login", "y login", now)])
    board.count([failures("ann", 1, 2, 3)])
    board.forget(["ann"])

    assert board.position()[1] == board.read("0-0", 0.01)[0].position
    assert [*board.bans(), *board.lifts()] == [[("x login", now + 10_000)], [("y login", now)]]
    assert (board.ends(["x login"]), board.known(), board.doubts()) == ([now + 10_000], 1, [])
    with pytest.raises(StoreError, match="does not let this user do all that is needed"):
        Board(parse_redis_url(f"unix://sidecar:secret@{redis.socket}"), "other").hello("a/1", "one")
    with pytest.raises(StoreError, match="refuses our user or password"):
        Board(parse_redis_url(f"unix://sidecar:wrong@{redis.socket}"), "wps").hello("a/1", "one")


def strict(monkeypatch):
    """As Python 3.13 is by default."""
    default = ssl.create_default_context

    def context():
        made = default()
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    monkeypatch.setattr(ssl, "create_default_context", context)


def test_by_tls_with_an_authority_that_does_not_say_what_it_is_for(tmp_path, monkeypatch):
    port, names = free_port(), ("ca", "ca-key", "key", "request", "cert")
    ca, ca_key, key, request, cert = (tmp_path / name for name in names)
    (tmp_path / "plain").write_text(
        "[req]\ndistinguished_name = dn\n[dn]\n[ca]\nbasicConstraints = CA:TRUE\n"
    )
    (tmp_path / "names").write_text("subjectAltName = DNS:localhost\n")
    new = ["openssl", "req", "-config", tmp_path / "plain", "-newkey", "rsa:2048", "-nodes"]
    sign = [
        "openssl",
        "x509",
        "-req",
        "-in",
        request,
        "-CA",
        ca,
        "-CAkey",
        ca_key,
        "-CAcreateserial",
        "-days",
        "1",
    ]
    for command in (
        [
            *new,
            "-x509",
            "-extensions",
            "ca",
            "-subj",
            "/CN=ours",
            "-days",
            "1",
            "-keyout",
            ca_key,
            "-out",
            ca,
        ],
        [*new, "-subj", "/CN=localhost", "-keyout", key, "-out", request],
        [*sign, "-extfile", tmp_path / "names", "-out", cert],
    ):
        subprocess.run(command, check=True, capture_output=True)
    strict(monkeypatch)
    tls = ["--tls-port", str(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca]
    with serving(tmp_path / "redis", 0, *map(str, tls), "--tls-auth-clients", "no"):
        allowlisting = Board(parse_redis_url(f"rediss://localhost:{port}", str(ca)), "wps")
        assert allowlisting.hello("a/1", "one").nodes == 1
        allowlisting.close()


def test_by_tls_with_an_authority_of_our_own(tmp_path):
    port, ca, key = free_port(), tmp_path / "ca.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", ca],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = [
        "--tls-port",
        str(port),
        "--tls-cert-file",
        str(ca),
        "--tls-key-file",
        str(key),
        "--tls-auth-clients",
        "no",
    ]
    with serving(tmp_path / "redis", 0, *tls):
        allowlisting = Board(parse_redis_url(f"rediss://localhost:{port}", str(ca)), "wps")
        assert allowlisting.hello("a/1", "one").nodes == 1
        allowlisting.close()
        with pytest.raises(StoreError, match="certificate verify failed"):
            Board(parse_redis_url(f"rediss://localhost:{port}"), "wps").hello("a/1", "one")
        with pytest.raises(StoreError, match="does not answer as it should"):
            Board(parse_redis_url(f"rediss://127.0.0.1:{port}", str(ca)), "wps").hello("a/1", "one")
