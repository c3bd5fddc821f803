from __future__ import annotations

import json
import re

import pytest

from sidecar.cli import trial_report
from tests.cli.logs import BURST, DAY
from tests.support.paths import ROOT


def warnings(out):
    return [line for line in out.splitlines() if line.startswith("warning: ")]


def test_a_verdict_for_each_line_in_order(wp):
    code, out, _ = wp("test-filter", "--json", "wordpress", stdin=BURST)

    unmatched = {
        "matched": False,
        "failregex": None,
        "id": None,
        "user": None,
        "time": None,
        "stalled": False,
        "ignored_by": None,
    }
    hit = {**unmatched, "matched": True, "failregex": 1, "id": "203.0.113.7"}
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"line": 1, **hit, "time": 1795336800.1234567},
        {"line": 2, **unmatched},
        {"line": 3, **hit, "failregex": 2, "user": "admin", "time": 1795336802.1234567},
        {"line": 4, **hit, "id": "10.0.0.1", "time": 1795336802.1234567},
        {"line": 5, **hit, "time": 1795336803.1234567},
    ]


@pytest.mark.parametrize(
    ("transport", "line"),
    [
        ("docker", f"{DAY}40:00.000000000Z fail 203.0.113.7"),
        ("cri", f"{DAY}40:00.000000000Z stderr F fail 203.0.113.7"),
        ("syslog", f"<34>1 {DAY}40:00Z fail 203.0.113.7"),
        ("none", "fail 203.0.113.7"),
    ],
)
def test_the_transport_is_detected_or_given(wp, here, transport, line):
    (here / "log").write_text(line + "\n")

    for args in ([], ["--transport", transport]):
        _, out, _ = wp("test-filter", "--json", "wordpress", "log", *args)
        verdict = json.loads(out)
        assert verdict["matched"]
        assert verdict["time"] == 1795336800 or transport == "none"


def test_a_transport_that_is_not_the_lines_finds_nothing(wp):
    _, out, _ = wp("test-filter", "--json", "wordpress", "--transport", "none", stdin=b"x " + BURST)

    assert json.loads(out.splitlines()[0])["matched"] is False


def test_a_filter_is_a_name_a_path_or_has_options(wp, here):
    for name in ("wordpress", str(here / "wordpress.conf"), "./wordpress.conf", "wordpress[mode=x]"):
        assert wp("test-filter", "--json", name, stdin=b"fail 203.0.113.7\n")[:1] == (0,)


def test_any_bytes_are_a_line(wp):
    noise = bytes(range(256)) * 4 + b"\x0b\x0c\x1c\xe2\x80\xa8fail 203.0.113.7\r\n\n\nfail 203.0.113.7"
    _, out, _ = wp("test-filter", "--json", "wordpress", stdin=noise)

    verdicts = [json.loads(line) for line in out.splitlines()]
    assert [verdict["line"] for verdict in verdicts] == list(range(1, noise.count(b"\n") + 2))
    assert verdicts[-1]["matched"]


def test_a_line_without_end_takes_no_memory_and_hides_nothing_behind_it(wp):
    endless = b"x" * 5_000_000
    _, out, _ = wp(
        "test-filter", "--json", "wordpress", stdin=endless + b"fail 203.0.113.7\nfail 203.0.113.8\n"
    )

    assert [json.loads(line)["id"] for line in out.splitlines()] == [None, "203.0.113.8"]


def test_a_person_sees_a_summary_with_missed_lines_and_how_close_they_came(wp):
    code, out, _ = wp(
        "test-filter",
        "wordpress",
        stdin=BURST + b"fail 2O3.0.113.7\n\x1b]0;owned\x07[red]x[/red]\xe2\x80\xae\n",
    )

    assert code == 0
    assert [re.sub(r"\d+\.\d micro", "9 micro", line.rstrip()) for line in out.splitlines()] == [
        "missed, the nearest first:",
        "  fail 2O3.0.113.7",
        "    failregex 1 agrees as far as: fail",
        f"  {DAY}40:01.123456789Z a visitor",
        "  \\x1b]0;owned\\x07[red]x[/red]\\u202e",
        "",
        "failregex  hits  expression",
        "1          3     ^ ?fail <HOST>$",
        "2          1     ^wrong password for <F-USER>\\S+</F-USER> from <HOST>$",
        "",
        "0 matched lines have a date of their own; 9 microseconds a line",
        "7 lines: 4 matched, 3 missed, 0 ignored",
    ]


def test_a_filter_that_can_be_fooled_is_shown_with_such_a_line(wp, here):
    (here / "open.conf").write_text("[Definition]\nfailregex = login of \\S+ failed from <HOST>\n")
    _, out, _ = wp("test-filter", "open", stdin=b"\n")

    assert warnings(out)[-1] == (
        f"warning: {here}/open.conf:2: a visitor can have a stranger (192.0.2.1) banned:"
        " 203.0.113.7 wrote: login of a failed from 192.0.2.1"
    )


def test_a_filter_that_a_line_can_stall_is_shown_with_such_a_line(wp, here):
    (here / "slow.conf").write_text("[Definition]\nfailregex = ^(?:a+)+ <HOST>$\n")
    _, out, _ = wp("test-filter", "slow", stdin=b"\n")

    assert warnings(out)[-1].startswith(
        f"warning: {here}/slow.conf:2: a line may take for ever: aaaaaaaaaaaa"
    )


STALLS = "fail " + "a" * 400 + " x"  # no address: hours, if it is tried to the end


@pytest.fixture
def slow(here):
    (here / "slow.conf").write_text(
        "[Definition]\nfailregex = ^fail (?:a+)+ <HOST>$\n            <HOST> no$\n"
    )
    return here


def test_a_line_that_stalls_is_given_up_counted_and_shown(wp, slow):
    log = f"fail a 203.0.113.7\n{STALLS} 203.0.113.8 no\nfail {'a' * 40} x\n203.0.113.9 no\nfail b\n"
    code, out, _ = wp("test-filter", "slow", stdin=log.encode())
    _, shown, _ = wp("test-filter", "--json", "slow", stdin=log.encode())
    shown = [json.loads(line) for line in shown.splitlines()]

    assert code == 0
    lines = out.splitlines()
    assert "5 lines: 2 matched, 2 missed, 0 ignored, 1 stalled" in lines
    at = lines.index("stalled, given up after 0.25 s each:")
    assert lines[lines.index("missed, the nearest first:") : at + 2] == [
        "missed, the nearest first:",
        f"  fail {'a' * 40} x",
        "  fail b",
        "stalled, given up after 0.25 s each:",
        f"  {STALLS[:200]}…",
    ]
    assert [(one["id"], one["stalled"]) for one in shown] == [
        ("203.0.113.7", False), (None, True), (None, False), ("203.0.113.9", False), (None, False),
    ]  # fmt: skip


def test_of_many_stalling_lines_a_few_are_shown(wp, slow, monkeypatch):
    monkeypatch.setattr(trial_report, "MAX_LINES_SHOWN", 2)
    line = f"fail {'a' * 60} 203.0.113.8 x\n".encode()
    _, out, _ = wp("test-filter", "slow", stdin=line * 3)

    assert "3 lines: 0 matched, 0 missed, 0 ignored, 3 stalled" in out
    assert "stalled, given up after 0.25 s each, the first 2:\n" in out


@pytest.mark.parametrize("option", ["prefregex", "datepattern", "ignoreregex"])
def test_every_expression_of_a_filter_has_the_time_limit(wp, here, option):
    rest = {"prefregex": "^(?:a+)+$", "datepattern": "^(?:a+)+ %%Y", "ignoreregex": "^(?:a+)+ x$"}[option]
    (here / "slow.conf").write_text(f"[Definition]\nfailregex = <HOST>\n{option} = {rest}\n")
    log = b"a" * 60 + b" 203.0.113.7\n" + b"a" * 60 + b" nobody\n"

    code, out, _ = wp("test-filter", "slow", stdin=log)

    assert code == 0
    assert "2 lines: 0 matched, 1 missed, 0 ignored, 1 stalled" in out


def test_a_sample_that_stalls_has_failed(wp, slow):
    (slow / "slow.samples").write_text(f"{STALLS}\n=> -\nfail a 203.0.113.7\n=> 203.0.113.7\n")
    code, out, _ = wp("test-filter", "slow", "--samples")
    _, shown, _ = wp("test-filter", "slow", "--samples", "--json")

    assert (code, out.splitlines()) == (
        1,
        [
            f"{slow}/slow.samples:1: expected no match, got stalled: {STALLS[:200]}…",
            "2 samples: 1 as expected, 1 not",
        ],
    )
    assert json.loads(shown.splitlines()[0]) == {
        "line": 1, "ok": False, "expected": None, "id": None, "stalled": True,
    }  # fmt: skip


def test_a_filter_that_takes_half_an_address_is_shown_with_the_stranger_it_bans(wp, here):
    (here / "greedy.conf").write_text("[Definition]\nfailregex = ^login failed from.*<HOST>\n")
    _, out, _ = wp("test-filter", "greedy", stdin=b"\n")

    assert warnings(out)[-1] == (
        f"warning: {here}/greedy.conf:2: what stands before the address takes its beginning, and a stranger"
        " (3.0.113.7) is banned; put a blank or a word between them: login failed from203.0.113.7"
    )


def test_an_option_without_effect_is_a_warning(wp, here):
    (here / "slip.conf").write_text("[Definition]\nfailregex = ^no <HOST>$\nignoreregexp = .\n")
    _, out, _ = wp("test-filter", "slip", "--set", "mode=x", stdin=b"\n")

    assert warnings(out) == [
        "warning: slip does not know `mode=x`, so it has no effect",
        "warning: slip does not know `ignoreregexp (did you mean ignoreregex?)`, so it has no effect",
    ]


def test_options_the_time_and_the_zone_may_be_given(wp, here):
    (here / "mode.conf").write_text(
        "[Definition]\nfailregex = ^ <m-<mode>> <HOST>$\nm-a = one\nm-b = two\n[Init]\nmode = a\n"
    )
    line = b"Nov 22 08:40:00 two 203.0.113.7\n"
    args = ("test-filter", "--json", "mode", "--transport", "none", "--set", "mode=b", "--now", "2024-12-01")
    times = [
        json.loads(wp(*args, "--timezone", zone, stdin=line)[1])["time"]
        for zone in ("+0000", "Europe/Berlin")
    ]

    assert times == [1732264800.0, 1732261200.0]
    assert json.loads(wp("test-filter", "--json", "mode", stdin=line)[1])["matched"] is False


@pytest.mark.parametrize(
    "args", [["--set", "mode"], ["--now", "soon"], ["--timezone", "Mars"], ["--usedns", "perhaps"]]
)
def test_an_invalid_option_is_wrong_usage(wp, args):
    assert wp("test-filter", "wordpress", *args)[0] == 2


def test_the_samples_beside_a_filter_are_tried(wp, here):
    samples = here / "wordpress.samples"
    samples.write_text("# ours\nfail 203.0.113.7\n=> 203.0.113.7\n\nhello\n=> - (polite)\n")
    assert wp("test-filter", "wordpress", "--samples") == (0, "2 samples: 2 as expected, 0 not\n", "")

    samples.write_text("fail 203.0.113.7\n=> -\n")
    code, out, _ = wp("test-filter", "wordpress", "--samples")
    assert (code, out.splitlines()) == (
        1,
        [
            f"{samples}:1: expected no match, got 203.0.113.7: fail 203.0.113.7",
            "1 samples: 0 as expected, 1 not",
        ],
    )
    assert json.loads(wp("test-filter", "wordpress", "--samples", "--json")[1]) == {
        "line": 1, "ok": False, "expected": None, "id": "203.0.113.7", "stalled": False,
    }  # fmt: skip

    samples.write_text("fail 203.0.113.7\n")
    assert wp("test-filter", "wordpress", "--samples")[0] == 66
    samples.unlink()
    assert wp("test-filter", "wordpress", "--samples")[0] == 66


def test_a_failure_that_spans_lines_is_tracked_over_a_log(wp, here):
    (here / "two.conf").write_text(
        "[Definition]\nfailregex = ^from <HOST>$<SKIPLINES>^failed$\nmaxlines = 3\n"
    )
    _, out, _ = wp("test-filter", "--json", "two", stdin=b"from 203.0.113.7\nbetween\nfailed\n")

    assert [json.loads(line)["id"] for line in out.splitlines()] == [None, None, "203.0.113.7"]


def test_of_many_missed_lines_a_few_are_shown(wp):
    _, out, _ = wp("test-filter", "wordpress", stdin=b"".join(b"fine\nfine %d\n" % n for n in range(50)))

    assert out.startswith("missed, the nearest 20:\n")
    assert out.endswith("\n100 lines: 0 matched, 100 missed, 0 ignored\n")
    assert (out.count("  fine "), out.count("  fine\n")) == (19, 1)


def test_the_nearest_of_many_missed_lines_come_first(wp):
    lines = [b"a visitor number %d" % n for n in range(200)]
    lines[150:150] = [b"wrong password for ann", b"fail 2O3.0.113.7"]

    _, out, _ = wp("test-filter", "wordpress", stdin=b"\n".join(lines) + b"\n")

    shown = [line.strip() for line in out.splitlines()]
    first = shown.index("missed, the nearest 20:") + 1
    assert {shown[first], shown[first + 2]} == {"wrong password for ann", "fail 2O3.0.113.7"}


def test_lines_that_ignoreregex_takes_out_are_shown_with_the_expression(wp, here):
    (here / "site.conf").write_text(
        '[Definition]\nfailregex = ^<HOST> .* "POST /wp-login\\.php\nignoreregex = ^never$\n    UptimeRobot\n'
    )
    line = '{} - - [30/Nov/2026:06:00:00 +0000] "POST /wp-login.php HTTP/1.1" 200 5112 "-" "{}"\n'
    robot = line.format("198.51.100.7", "UptimeRobot/2.0")
    log = (line.format("203.0.113.9", "x") + robot).encode()

    _, out, _ = wp("test-filter", "site", stdin=log)
    shown = out.splitlines()
    assert "2 lines: 1 matched, 0 missed, 1 ignored" in shown
    at = shown.index("ignored:")
    assert shown[at + 1 : at + 3] == [f"  {robot[:-1]}", "    by ignoreregex: UptimeRobot"]

    _, out, _ = wp("test-filter", "site", "--json", stdin=log)
    assert [json.loads(each)["ignored_by"] for each in out.splitlines()] == [None, "UptimeRobot"]


def test_a_long_expression_is_shown_whole_only_on_request(wp, here):
    expression = f"^fail (?:{'|'.join(map(str, range(100)))}) <HOST>$"
    (here / "long.conf").write_text(f"[Definition]\nfailregex = {expression}\n")

    assert f"{expression[:100]}…\n" in wp("test-filter", "long", stdin=b"x\n")[1]
    assert f"{expression}\n" in wp("test-filter", "long", "--full", stdin=b"x\n")[1]


def test_a_name_is_shown_as_it_is_with_usedns_raw_as_by_fail2ban(wp):
    args = ("test-filter", "--json", "wordpress", "--usedns")
    ids = {
        mode: json.loads(wp(*args, mode, stdin=b"fail host.example.org\n")[1])["id"]
        for mode in ("raw", "warn", "no")
    }

    assert ids == {"raw": "host.example.org", "warn": None, "no": None}


def test_a_filter_that_does_not_exist(wp):
    code, out, err = wp("test-filter", "wordpres")

    assert (code, out) == (66, "")
    assert err.startswith("wp-sidecar: there is no filter `wordpres` in ")
    assert err.endswith("did you mean `wordpress`?\n")


def test_a_filter_with_an_error(wp, here):
    code, _, err = wp("test-filter", "broken")

    assert code == 78
    assert err.startswith(f"wp-sidecar: {here}/broken.conf:2: `failregex` is not a valid regular expression")


ACCESS = (
    b'203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST //wp-login.php?x HTTP/1.1" 200 51 "-" "curl"\n'
    b'203.0.113.7 - - [30/Nov/2026:06:33:21 +0000] "GET /%77p-login.php HTTP/1.1" 200 51 "-" "curl"\n'
    b"PHP Warning: x\n"
)


@pytest.fixture
def pack_wp(wp, monkeypatch):
    """The command, with the filters that come with us."""
    monkeypatch.delenv("WP_SIDECAR_FILTERS", raising=False)
    return wp


def test_a_filter_on_requests_shows_the_request_that_each_line_was_read_as(pack_wp):
    _, out, _ = pack_wp("test-filter", str(ROOT / "filters/wordpress-access.conf"), "--json", stdin=ACCESS)

    assert [(one["id"], one["request"]) for one in map(json.loads, out.splitlines())] == [
        ("203.0.113.7", '203.0.113.7 POST /wp-login.php 200 ?x - "curl"'),
        (None, '203.0.113.7 GET /wp-login.php 200 ? - "curl"'),
        (None, None),
    ]
    _, out, _ = pack_wp("test-filter", str(ROOT / "filters/wordpress-access.conf"), stdin=ACCESS)
    lines = [line.strip() for line in out.splitlines()]
    assert "2 lines are requests of the format combined" in lines
    assert 'read as: 203.0.113.7 GET /wp-login.php 200 ? - "curl"' in lines
    assert "no request of a known format" in lines


def test_the_format_of_an_access_log_may_be_given(pack_wp):
    line = b'200 203.0.113.7 "POST /wp-login.php HTTP/1.1"\n'
    arguments = ("test-filter", str(ROOT / "filters/wordpress-access.conf"), "--json")
    ids = [
        json.loads(pack_wp(*arguments, *given, stdin=line)[1])["id"]
        for given in ((), ("--log-format", '$status $remote_addr "$request"'))
    ]

    assert ids == [None, "203.0.113.7"]
    code, _, err = pack_wp(*arguments, "--log-format", "$status", stdin=line)
    assert (code, "--log-format: has no client address" in err) == (2, True)
