import itertools
import logging
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from sidecar.access.logs import AccessLogs
from sidecar.access.sample import INTERVAL_S, MIN_LINES
from sidecar.core.events import Batch, Framing, Hit, Origin
from sidecar.filters.cpu_budget import SUSPENSION_S
from sidecar.filters.line_text import MAX_EVIDENCE_CHARS, MAX_LINE_BYTES
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.runtime.problems import Problems
from tests.filters.samples import all_samples
from tests.support.problems import ProblemChanges

NOW = 1_795_338_000.0
ANN = "203.0.113.7"
FAILED = "wordpress(h)[8]: Authentication failure for admin from {}"


def log_filter(tmp_path, text, name="x"):
    (tmp_path / f"{name}.conf").write_text(f"[Definition]\n{text}\n")
    return load(name, [tmp_path])


def batch(*lines, framing=Framing.NONE, jails=("a", "b")):
    return Batch(
        Origin("docker", "wp", "stderr", jails), "".join(f"{line}\n" for line in lines).encode(), framing
    )


def bytes_of(data):
    return Batch(Origin("x", "x", jails=("a",)), data, Framing.NONE)


def brief(hits):
    return [(hit.jail, hit.address, hit.at) for hit in hits]


@pytest.fixture
def simple(tmp_path):
    return Matcher({"a": log_filter(tmp_path, "failregex = ^no <HOST>$")}, UTC)


def test_a_hit_is_a_line_that_counts_with_its_evidence():
    lines = batch("hello", FAILED.format(ANN), "bye")
    matcher = Matcher({"a": load("wordpress")})

    assert matcher.scan(lines, NOW).hits == [Hit("a", ANN, NOW, lines.origin, FAILED.format(ANN))]


def test_each_jail_reads_dates_in_its_own_time_zone():
    here, east = load("wordpress"), replace(load("wordpress"), zone=timezone(timedelta(hours=2)))
    matcher = Matcher({"a": here, "b": east}, UTC)
    line = f"2026-11-22 08:40:04 web {FAILED.format(ANN)}"

    assert brief(matcher.scan(batch(line), NOW).hits) == [
        ("a", ANN, datetime(2026, 11, 22, 8, 40, 4, tzinfo=UTC).timestamp()),
        ("b", ANN, datetime(2026, 11, 22, 6, 40, 4, tzinfo=UTC).timestamp()),
    ]
    assert not here.same_as(east)


def test_an_ipv6_client_is_its_64():
    hits = Matcher({"a": load("wordpress")}).scan(batch(FAILED.format("2001:db8:1:2:3::4")), NOW).hits

    assert brief(hits) == [("a", "2001:db8:1:2::/64", NOW)]


def test_hits_come_in_the_order_of_lines_and_then_of_the_logs_jails(tmp_path):
    one = log_filter(tmp_path, "failregex = <HOST>$")
    two = log_filter(tmp_path, "failregex = ^no <HOST>$", "y")
    matcher = Matcher({"a": one, "b": two, "c": one, "d": two})
    lines = batch("no 203.0.113.7", "yes 203.0.113.8", jails=("c", "b", "gone", "a"))

    assert [(hit.jail, hit.address) for hit in matcher.scan(lines, NOW).hits] == [
        *(("c", ANN), ("a", ANN), ("b", ANN)),
        *(("c", "203.0.113.8"), ("a", "203.0.113.8")),
    ]


def test_a_hit_carries_what_was_aimed_at(tmp_path):
    text = "failregex = ^<HOST> (?:GET <F-TARGET>\\S+</F-TARGET>|no)$"
    matcher = Matcher({"a": log_filter(tmp_path, text)})
    hits = matcher.scan(batch(f"{ANN} GET /.env", f"{ANN} GET /x", f"{ANN} no"), NOW).hits

    assert [hit.target for hit in hits] == ["/.env", "/x", ""]


def test_only_the_jails_that_look_at_a_log_count_its_lines(simple):
    assert simple.scan(batch("no 203.0.113.7", jails=()), NOW).hits == []


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
    matcher = Matcher({"a": log_filter(tmp_path, "failregex = ^ ?no <HOST>$")}, UTC)

    assert brief(matcher.scan(batch(line, framing=framing), NOW).hits) == [("a", ANN, at)]


def test_the_first_failregex_that_matches_wins_and_an_ignored_line_stops_there(tmp_path):
    text = "failregex = ^(?:no|never) <HOST>$\n  ^no more <HOST>$\nignoreregex = ^never"
    matcher = Matcher({"a": log_filter(tmp_path, text)})

    assert brief(matcher.scan(batch("never 203.0.113.7", "no 203.0.113.8"), NOW).hits) == [
        ("a", "203.0.113.8", NOW)
    ]


def test_a_failure_without_a_valid_address_is_counted_and_no_hit(simple):
    assert simple.scan(batch("no 999.1.1.1", "no 01.02.03.04", "no 1.2.3.4.5"), NOW) == ([], [])
    assert simple.invalid == 2


def test_carriage_returns_blank_and_unfinished_lines(simple):
    data = b"\n\r\nno 203.0.113.7\r\n\nno 203.0.113.8"

    assert [hit.address for hit in simple.scan(bytes_of(data), NOW).hits] == [ANN, "203.0.113.8"]


def test_a_line_that_is_too_long_is_cut_and_does_not_end_at_the_cut(simple):
    padded = "x" * (MAX_LINE_BYTES - len("no 192.0.2.9")) + "no 192.0.2.9"
    assert brief(simple.scan(batch(padded, padded + "more", "no 203.0.113.7"), NOW).hits) == [("a", ANN, NOW)]

    forged = FAILED.format("192.0.2.9")
    line = "y" * (MAX_LINE_BYTES - len(forged)) + forged + " from 203.0.113.7"
    assert Matcher({"a": load("wordpress")}).scan(batch(line), NOW).hits == []


def test_bytes_that_are_no_utf8_do_no_harm(simple):
    data = b"\xff\xfe no\nno 203.0.113.7\xff\nno 203.0.113.7\n"

    assert len(simple.scan(bytes_of(data), NOW).hits) == 1


def test_a_pattern_that_hyperscan_refuses_is_tried_on_every_line_with_a_warning_that_names_it(
    tmp_path, caplog
):
    slow = log_filter(tmp_path, "failregex = (?:<HOST>)?\ndatepattern = {UNB}%%Y")
    with caplog.at_level(logging.WARNING):
        matcher = Matcher({"a": slow, "b": load("wordpress")})
    hits = matcher.scan(batch("one 203.0.113.7 two", "", "203.0.113.8", FAILED.format(ANN)), NOW).hits

    assert brief(hits) == [("a", "203.0.113.8", NOW), ("b", ANN, NOW)]
    assert [record.args[:2] for record in caplog.records] == [(str(tmp_path / "x.conf"), 2)]


def test_threads_may_share_a_matcher():
    matcher, lines = Matcher({"a": load("wordpress")}), [FAILED.format(f"203.0.113.{i}") for i in range(200)]
    found = []

    def scan():
        found.extend(len(matcher.scan(batch(*lines), NOW).hits) for _ in range(20))

    threads = [threading.Thread(target=scan) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [200] * 80


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("  plain ", "plain  no"),
        ("\x1b[2Jred", r"\x1b[2Jred no"),
        ("a\u202eb", r"a\u202eb no"),
        ("é", "é no"),
        ("x" * 2000, "x" * MAX_EVIDENCE_CHARS),
        ("\x00" * 2000, (r"\x00" * MAX_EVIDENCE_CHARS)[:MAX_EVIDENCE_CHARS]),
    ],
)
def test_evidence_is_short_and_printable(tmp_path, text, evidence):
    matcher = Matcher({"a": log_filter(tmp_path, "failregex = no <HOST>$")})
    (hit,) = matcher.scan(batch(f"{text} no {ANN}"), NOW).hits

    assert hit.line.removesuffix(f" {ANN}") == evidence


def test_a_matcher_without_filters_finds_nothing():
    assert Matcher({}).scan(batch("x"), NOW) == ([], [])


@pytest.mark.parametrize(
    ("usedns", "names", "invalid"),
    [("yes", ["ann.example"], 0), ("warn", ["ann.example"], 0), ("raw", [], 1), ("no", [], 0)],
)
def test_a_name_is_handed_on_where_the_filter_says_so_and_else_is_no_address(
    tmp_path, usedns, names, invalid
):
    matcher = Matcher({"a": log_filter(tmp_path, f"failregex = ^no <HOST>$\nusedns = {usedns}")})
    scan = matcher.scan(batch("no ann.example", f"no {ANN}", jails=("a",)), NOW)

    assert brief(scan.hits) == [("a", ANN, NOW)]
    assert [(name, brief(hits)) for name, hits in scan.named] == [(name, [("a", "", NOW)]) for name in names]
    assert matcher.invalid == invalid


class Slow:
    """A filter that is prone to ReDoS beside one that is sound, under a clock that can be set ahead."""

    def __init__(self, tmp_path):
        self.changes, self.ahead_s = ProblemChanges(), 0.0
        filters = {
            "a": log_filter(tmp_path, "failregex = ^(?:a+)+ <HOST>$", "slow"),
            "b": log_filter(tmp_path, "failregex = ^no <HOST>$"),
        }
        self.matcher = Matcher(filters, problems=Problems(self.changes), clock=self.clock)

    def clock(self):
        return time.perf_counter() + self.ahead_s

    def scan(self, *lines):
        return brief(self.matcher.scan(batch(*lines), NOW).hits)


@pytest.fixture
def slow(tmp_path):
    slow = Slow(tmp_path)
    with closing(slow.matcher):
        yield slow


FINE = (f"aaa {ANN}", f"no {ANN}")
EVIL = [f"{'a' * 60} {ANN} {n}" for n in range(8)]


def test_lines_that_take_too_long_are_skipped_and_their_filter_is_suspended_while_others_go_on(slow):
    assert slow.scan(*FINE) == [("a", ANN, NOW), ("b", ANN, NOW)]
    assert slow.scan(*EVIL, *FINE) == [("b", ANN, NOW)]
    ((name, sentence),) = slow.changes
    assert name == "filter slow"
    assert sentence.startswith("filter slow took more than 1 s of a minute")

    slow.ahead_s += SUSPENSION_S
    assert slow.scan(*FINE) == [("a", ANN, NOW), ("b", ANN, NOW)]
    assert slow.changes[1:] == [("filter slow", None)]


def test_a_matcher_that_is_closed_ends_its_sandbox_and_its_problems(slow):
    slow.scan(*EVIL)
    slow.scan("a" * 60)
    slow.matcher.close()

    assert slow.matcher.sandbox_pid is None
    assert slow.changes[1:] == [("filter slow", None)]


def test_a_sound_filter_that_has_to_wait_for_the_processor_is_not_suspended(tmp_path):
    """Now and then the clock jumps, as if another process had had the processor; between, there is honest work."""
    changes, looks = ProblemChanges(), itertools.count()
    matcher = Matcher(
        {"a": log_filter(tmp_path, "failregex = ^no <HOST>$")},
        problems=Problems(changes),
        clock=lambda: time.perf_counter() + 0.1 * (next(looks) // 20_001),
    )
    with closing(matcher):
        assert len(matcher.scan(batch(*[f"no {ANN}"] * 400_000), NOW).hits) == 400_000
    assert changes == []


def test_what_each_filter_took_is_counted(slow):
    slow.scan(f"no {ANN}", f"no {ANN}", "no 999.1.1.1")
    usage = slow.matcher.usage

    assert usage["slow"] == (0.0, 0)
    assert usage["x"][1] == 3
    assert 0 < usage["x"][0] < 1


def test_a_filter_says_the_same_alone_and_beside_others():
    names = [
        "wordpress-access",
        "wordpress-probes",
        "wordpress-access[xmlrpc=no]",
        "wordpress-access[jetpack=no]",
    ]
    filters = {name: load(name) for name in names}
    lines = batch(*[line for _, line, _ in all_samples()], jails=tuple(names))
    together = Matcher(filters, UTC).scan(lines, NOW).hits

    for name in names:
        alone = Matcher({name: filters[name]}, UTC).scan(lines, NOW).hits
        assert [hit for hit in together if hit.jail == name] == alone
    assert len(together) > 200


def test_a_suspended_filter_does_not_silence_one_that_has_the_same_failregex(tmp_path):
    slow, sound = (
        log_filter(tmp_path, f"failregex = ^no <HOST>$\n  {own}", name)
        for name, own in (("slow", "^(?:a+)+ <HOST>$"), ("sound", "^b <HOST>$"))
    )
    with closing(Matcher({"a": slow, "b": sound})) as matcher:
        assert brief(matcher.scan(batch(*EVIL, f"no {ANN}"), NOW).hits) == [("b", ANN, NOW)]


def test_a_login_that_worked_is_a_hit_that_says_so(tmp_path):
    log_filter(tmp_path, "failregex = ^no <HOST>$\nsuccessregex = ^yes <HOST>$")
    matcher = Matcher({"a": load("x", [tmp_path], {"success": "reset"})})
    hits = matcher.scan(batch(f"no {ANN}", f"yes {ANN}"), NOW).hits

    assert [(hit.address, hit.success) for hit in hits] == [(ANN, False), (ANN, True)]


def test_a_line_for_a_jail_that_does_not_look_at_the_log_is_no_hit(tmp_path):
    filters = {
        "a": log_filter(tmp_path, "failregex = ^no <HOST>$"),
        "b": log_filter(tmp_path, "failregex = ^yes <HOST>$", "y"),
    }
    lines = batch(f"no {ANN}", f"yes {ANN}", jails=("b",))

    assert brief(Matcher(filters).scan(lines, NOW).hits) == [("b", ANN, NOW)]


SESSIONS = """failregex = ^s<F-MLFID>\\d+</F-MLFID> <F-NOFAIL>from</F-NOFAIL> <HOST>$
            ^s<F-MLFID>\\d+</F-MLFID> failed$"""


@pytest.mark.parametrize(("ending", "known"), [("failed$", True), ("failed[.]?$", False)])
def test_sessions_go_on_in_the_next_matcher_if_their_filter_is_the_same(tmp_path, ending, known):
    before = Matcher({"a": log_filter(tmp_path, SESSIONS)})
    before.scan(batch(f"s1 from {ANN}"), NOW)
    changed = log_filter(tmp_path, SESSIONS.replace("failed$", ending))
    after = Matcher({"b": log_filter(tmp_path, "failregex = ^no <HOST>$", "y"), "a": changed})
    after.continue_from(before)

    assert [hit.address for hit in after.scan(batch("s1 failed"), NOW).hits] == [ANN] * known


ACCESS = {"a": load("wordpress-access")}
BENIGN = '198.51.100.7 - - [30/Nov/2026:06:33:20 +0000] "GET / HTTP/1.1" 200 51 "-" "curl"'


def sample_of(logs, of):
    return logs.samples()[of.origin.source, of.origin.name, of.origin.stream]


def test_a_log_shows_its_format_by_lines_that_no_filter_looks_at():
    logs, one = AccessLogs(), batch(f"2026-11-30T06:33:20.000000000Z {BENIGN}", framing=Framing.DOCKER)
    with closing(Matcher(ACCESS, UTC, access_logs=logs)) as matcher:
        matcher.scan(one, NOW)
    sample = sample_of(logs, one)

    assert (sample.lines, sample.is_understood, sample.format) == (1, True, "combined")


def test_the_first_lines_are_sampled_and_then_one_a_second():
    logs, many = AccessLogs(), batch(*["nothing"] * 300)
    with closing(Matcher(ACCESS, UTC, access_logs=logs)) as matcher:
        matcher.scan(many, NOW)
        sample = sample_of(logs, many)
        assert (sample.lines, sample.is_understood) == (MIN_LINES, False)
        matcher.scan(many, NOW + INTERVAL_S / 2)
        assert sample.lines == MIN_LINES
        matcher.scan(batch("nothing", BENIGN, "nothing"), NOW + INTERVAL_S)
        assert (sample.lines, sample.is_understood) == (MIN_LINES + 2, True)
        matcher.scan(batch("nothing", BENIGN, "nothing"), NOW + 2 * INTERVAL_S)

    assert sample.lines == MIN_LINES + 3


def test_a_log_in_which_nobody_looks_for_requests_has_no_sample():
    logs, one = AccessLogs(), batch(BENIGN)
    with closing(Matcher({"a": load("wordpress")}, UTC, access_logs=logs)) as matcher:
        matcher.scan(one, NOW)

    assert sample_of(logs, one).lines == 0


def test_a_failure_by_a_filter_on_lines_shows_that_the_log_is_understood():
    logs, one = AccessLogs(), batch(*["nothing"] * 300, FAILED.format(ANN))
    with closing(Matcher({**ACCESS, "b": load("wordpress")}, UTC, access_logs=logs)) as matcher:
        matcher.scan(one, NOW)

    assert sample_of(logs, one).is_understood is True


def test_lines_that_look_like_failures_are_misses_until_one_is(tmp_path):
    mine = log_filter(tmp_path, "failregex = ^no <HOST>$\nignoreregex = 203.0.113.8$")
    with closing(Matcher({"a": mine, "b": load("wordpress")})) as matcher:
        matcher.scan(batch("no 203.0.113.8", "no 203.0.113.8", "yes"), NOW)
        assert matcher.misses == {"a": 2, "b": 0}
        matcher.scan(batch("no 203.0.113.7", "no 203.0.113.8"), NOW)
        assert matcher.misses == {"b": 0}
