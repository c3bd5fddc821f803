import itertools
import logging
import threading
import time
from contextlib import closing
from datetime import UTC

import pytest

from sidecar.core.events import Batch, Framing, Hit, Origin
from sidecar.filters.cpu_budget import REST
from sidecar.filters.loader import load
from sidecar.filters.matcher import MAX_EVIDENCE_CHARS, MAX_LINE_BYTES, Matcher, evidence
from sidecar.runtime.problems import Problems
from tests.filters.samples import all_samples
from tests.support.problems import ProblemChanges

NOW = 1_795_338_000.0
ANN = "203.0.113.7"
FAILED = "wordpress(h)[8]: Authentication failure for admin from {}"


def rules(tmp_path, text, name="x"):
    (tmp_path / f"{name}.conf").write_text(f"[Definition]\n{text}\n")
    return load(name, [tmp_path])


def batch(*lines, framing=Framing.NONE, jails=("a", "b")):
    return Batch(
        Origin("docker", "wp", "stderr", jails), "".join(f"{line}\n" for line in lines).encode(), framing
    )


def brief(hits):
    return [(hit.jail, hit.address, hit.at) for hit in hits]


@pytest.fixture
def simple(tmp_path):
    return Matcher({"a": rules(tmp_path, "failregex = ^no <HOST>$")}, UTC)


def test_a_hit_is_a_line_that_counts_with_its_evidence():
    wanted = batch("hello", FAILED.format(ANN), "bye")
    matcher = Matcher({"a": load("wordpress")})

    assert matcher.scan(wanted, NOW) == [Hit("a", ANN, NOW, wanted.origin, FAILED.format(ANN))]


def test_an_ipv6_customer_is_a_64():
    hits = Matcher({"a": load("wordpress")}).scan(batch(FAILED.format("2001:db8:1:2:3::4")), NOW)

    assert brief(hits) == [("a", "2001:db8:1:2::/64", NOW)]


def test_hits_come_in_the_order_of_lines_and_then_of_the_origins_jails(tmp_path):
    one, two = rules(tmp_path, "failregex = <HOST>$"), rules(tmp_path, "failregex = ^no <HOST>$", "y")
    matcher = Matcher({"a": one, "b": two, "c": one, "d": two})
    hits = matcher.scan(batch("no 203.0.113.7", "yes 203.0.113.8", jails=("c", "b", "gone", "a")), NOW)

    assert [(hit.jail, hit.address) for hit in hits] == [
        *(("c", ANN), ("a", ANN), ("b", ANN)),
        *(("c", "203.0.113.8"), ("a", "203.0.113.8")),
    ]


def test_a_hit_carries_what_was_aimed_at(tmp_path):
    matcher = Matcher({"a": rules(tmp_path, "failregex = ^<HOST> (?:GET <F-TARGET>\\S+</F-TARGET>|no)$")})
    hits = matcher.scan(batch(f"{ANN} GET /.env", f"{ANN} GET /x", f"{ANN} no"), NOW)

    assert [hit.target for hit in hits] == ["/.env", "/x", ""]


def test_only_the_jails_that_look_at_an_origin_count_its_lines(simple):
    assert simple.scan(batch("no 203.0.113.7", jails=()), NOW) == []


@pytest.mark.parametrize(
    ("framing", "line", "at"),
    [
        (Framing.DOCKER, "2026-11-22T08:40:04.250000000Z 2001-01-01 00:00:00 no 203.0.113.7", 1795336804.25),
        (Framing.CRI, "2026-11-22T08:40:04Z stderr F no 203.0.113.7", 1795336804.0),
        (Framing.SYSLOG, "<37>Nov 22 08:40:04 no 203.0.113.7", 1795336804.0),
        (Framing.NONE, "2026-11-22 08:40:04 no 203.0.113.7", 1795336804.0),
        (Framing.NONE, "no 203.0.113.7", NOW),
        (Framing.NONE, "2026-02-30 08:40:04 no 203.0.113.7", NOW),
    ],
)
def test_the_time_is_the_transports_then_the_lines_then_now(tmp_path, framing, line, at):
    matcher = Matcher({"a": rules(tmp_path, "failregex = ^ ?no <HOST>$")}, UTC)

    assert brief(matcher.scan(batch(line, framing=framing), NOW)) == [("a", ANN, at)]


def test_the_first_failregex_that_matches_wins_and_an_ignored_line_stops_there(tmp_path):
    matcher = Matcher(
        {"a": rules(tmp_path, "failregex = ^(?:no|never) <HOST>$\n  ^no more <HOST>$\nignoreregex = ^never")}
    )

    assert brief(matcher.scan(batch("never 203.0.113.7", "no 203.0.113.8"), NOW)) == [
        ("a", "203.0.113.8", NOW)
    ]


def test_what_is_no_address_is_counted_and_no_hit(simple):
    assert simple.scan(batch("no 999.1.1.1", "no 01.02.03.04", "no 1.2.3.4.5"), NOW) == []
    assert simple.invalid == 2


def test_carriage_returns_blank_and_unfinished_lines(simple):
    data = b"\n\r\nno 203.0.113.7\r\n\nno 203.0.113.8"

    assert [
        h.address for h in simple.scan(Batch(Origin("x", "x", jails=("a",)), data, Framing.NONE), NOW)
    ] == [
        ANN,
        "203.0.113.8",
    ]


def test_a_line_that_is_too_long_is_cut_counted_and_does_not_end_at_the_cut(simple):
    begin = "no 203.0.113.7 "
    padded = "x" * (MAX_LINE_BYTES - len("no 192.0.2.9")) + "no 192.0.2.9"
    matcher = Matcher({"a": load("wordpress")})
    forged = FAILED.format("192.0.2.9")

    assert simple.scan(batch(padded, padded + "more", begin, "no 203.0.113.7"), NOW)[0].address == ANN
    assert simple.cut == 1
    assert matcher.scan(batch("y" * (MAX_LINE_BYTES - len(forged)) + forged + " from 203.0.113.7"), NOW) == []
    assert matcher.cut == 1


def test_long_lines_are_counted_wherever_they_are(simple):
    long, short = "x" * (MAX_LINE_BYTES + 1), "y" * MAX_LINE_BYTES
    simple.scan(batch(long, "a", short, long, short, "b" * 40_000, "c" * 40_000, long, long), NOW)

    assert simple.cut == 4


def test_bytes_that_are_no_utf8_do_no_harm(simple):
    data = b"\xff\xfe no\nno 203.0.113.7\xff\nno 203.0.113.7\n"

    assert len(simple.scan(Batch(Origin("x", "x", jails=("a",)), data, Framing.NONE), NOW)) == 1


def test_a_pattern_that_hyperscan_refuses_is_tried_on_every_line_with_a_warning_that_names_it(
    tmp_path, caplog
):
    with caplog.at_level(logging.WARNING):
        matcher = Matcher(
            {"a": rules(tmp_path, "failregex = (?:<HOST>)?\ndatepattern = {UNB}%%Y"), "b": load("wordpress")}
        )
    hits = matcher.scan(batch("one 203.0.113.7 two", "", "203.0.113.8", FAILED.format(ANN)), NOW)

    assert brief(hits) == [("a", "203.0.113.8", NOW), ("b", ANN, NOW)]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'x.conf'}:2: slow, as every line has to be tried: (?:<HOST>)?"
    ]


def test_threads_may_share_a_matcher():
    matcher, lines = Matcher({"a": load("wordpress")}), [FAILED.format(f"203.0.113.{i}") for i in range(200)]
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.extend(len(matcher.scan(batch(*lines), NOW)) for _ in range(20))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [200] * 80


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  plain ", "plain"),
        ("\x1b[2Jred", r"\x1b[2Jred"),
        ("a\u202eb", r"a\u202eb"),
        ("é", "é"),
        ("x" * 2000, "x" * MAX_EVIDENCE_CHARS),
        ("\x00" * 2000, (r"\x00" * MAX_EVIDENCE_CHARS)[:MAX_EVIDENCE_CHARS]),
    ],
)
def test_evidence_is_short_and_harmless(text, shown):
    assert evidence(text) == shown


def test_a_matcher_without_filters_finds_nothing():
    assert Matcher({}).scan(batch("x"), NOW) == []


def test_a_name_is_handed_on_where_the_filter_says_so_and_else_is_no_address(tmp_path):
    lines = batch("no ann.example", f"no {ANN}", jails=("a",))
    for usedns, names in [("yes", ["ann.example"]), ("warn", ["ann.example"]), ("raw", []), ("no", [])]:
        matcher = Matcher({"a": rules(tmp_path, f"failregex = ^no <HOST>$\nusedns = {usedns}")})
        named = []

        assert brief(matcher.scan(lines, NOW, named)) == [("a", ANN, NOW)]
        assert [(name, brief(hits)) for name, hits in named] == [(name, [("a", "", NOW)]) for name in names]
        assert matcher.invalid == (1 if usedns == "raw" else 0)


@pytest.fixture
def stalling(tmp_path):
    """A filter that one line can stall beside one that is sound; what was told, and a clock that can be set."""
    slow = rules(tmp_path, "failregex = ^(?:a+)+ <HOST>$", "slow")
    told, ahead = ProblemChanges(), [0.0]
    matcher = Matcher(
        {"a": slow, "b": rules(tmp_path, "failregex = ^no <HOST>$")},
        problems=Problems(told),
        clock=lambda: time.perf_counter() + ahead[0],
    )
    with closing(matcher):
        yield matcher, told, ahead


def test_a_line_that_would_stall_is_skipped_and_then_the_filter_rests_while_the_others_go_on(stalling):
    matcher, told, ahead = stalling
    fine = (f"aaa {ANN}", f"no {ANN}")
    assert brief(matcher.scan(batch(*fine), NOW)) == [("a", ANN, NOW), ("b", ANN, NOW)]

    evil = "a" * 60 + f" {ANN} "
    assert brief(matcher.scan(batch(*[f"{evil}{n}" for n in range(8)], *fine), NOW)) == [("b", ANN, NOW)]
    ((name, sentence),) = told
    assert name == "filter slow"
    assert sentence.startswith(
        "filter slow took more than 1 s of a minute for single lines and is laid aside"
    )

    ahead[0] += REST
    assert brief(matcher.scan(batch(*fine), NOW)) == [("a", ANN, NOW), ("b", ANN, NOW)]
    assert told[1:] == [("filter slow", None)]


def test_a_sound_filter_that_has_to_wait_for_the_processor_is_not_laid_aside(tmp_path):
    """Now and then the clock jumps, as if another process had had the processor; between, there is honest work."""
    told, looks = ProblemChanges(), itertools.count()
    matcher = Matcher(
        {"a": rules(tmp_path, "failregex = ^no <HOST>$")},
        problems=Problems(told),
        clock=lambda: time.perf_counter() + 0.1 * (next(looks) // 20_001),
    )
    with closing(matcher):
        assert len(matcher.scan(batch(*[f"no {ANN}"] * 400_000), NOW)) == 400_000
    assert told == []


def test_what_each_filter_took_is_counted(stalling):
    matcher, _, _ = stalling
    matcher.scan(batch(f"no {ANN}", f"no {ANN}", "no 999.1.1.1"), NOW)

    (slow, none), (seconds, matches) = matcher.spent["slow"], matcher.spent["x"]
    assert (slow, none, matches) == (0.0, 0, 3)
    assert 0 < seconds < 1


def test_a_filter_says_the_same_alone_and_beside_others():
    names = [
        "wordpress-access",
        "wordpress-probes",
        "wordpress-access[xmlrpc=no]",
        "wordpress-access[jetpack=no]",
    ]
    rules = {name: load(name) for name in names}
    lines = batch(*[line for _, line, _ in all_samples()], jails=tuple(names))
    together = Matcher(rules, UTC).scan(lines, NOW)

    for name in names:
        alone = Matcher({name: rules[name]}, UTC).scan(lines, NOW)
        assert [hit for hit in together if hit.jail == name] == alone
    assert len(together) > 200


def test_a_filter_that_rests_does_not_silence_one_that_has_the_same_failregex(tmp_path):
    slow, sound = (
        rules(tmp_path, f"failregex = ^no <HOST>$\n  {own}", name)
        for name, own in (("slow", "^(?:a+)+ <HOST>$"), ("sound", "^b <HOST>$"))
    )
    with closing(Matcher({"a": slow, "b": sound})) as matcher:
        evil = [f"{'a' * 60} {ANN} {n}" for n in range(8)]

        assert brief(matcher.scan(batch(*evil, f"no {ANN}"), NOW)) == [("b", ANN, NOW)]


def test_a_login_that_worked_is_a_hit_that_says_so(tmp_path):
    text = "failregex = ^no <HOST>$\nsuccessregex = ^yes <HOST>$"
    reset = load("x", [tmp_path], {"success": "reset"}) if rules(tmp_path, text) else None
    hits = Matcher({"a": reset}).scan(batch(f"no {ANN}", f"yes {ANN}"), NOW)

    assert [(hit.address, hit.success) for hit in hits] == [(ANN, False), (ANN, True)]


def test_a_pattern_of_a_jail_that_does_not_look_is_no_reason_to_look(tmp_path):
    matcher = Matcher(
        {
            "a": rules(tmp_path, "failregex = ^no <HOST>$"),
            "b": rules(tmp_path, "failregex = ^yes <HOST>$", "y"),
        }
    )

    assert brief(matcher.scan(batch(f"no {ANN}", f"yes {ANN}", jails=("b",)), NOW)) == [("b", ANN, NOW)]
    assert [looks for known in matcher._known.values() for looks in known.values() if not looks] == [[]]
