from __future__ import annotations

import io
import json
import re
import sys

import pytest

from sidecar.cli import main

FAIL = r"""[Definition]
failregex = ^ ?fail <HOST>$
            ^wrong password for <F-USER>\S+</F-USER> from <HOST>$
"""
JAILS = "[wordpress]\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"
DAY = "2026-11-22T08:"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A filter, a jails file, and nothing of ours in the environment."""
    (tmp_path / "wordpress.conf").write_text(FAIL)
    (tmp_path / "broken.conf").write_text("[Definition]\nfailregex = ^(fail <HOST>$\n")
    (tmp_path / "jails.conf").write_text(JAILS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WP_SIDECAR_FILTERS", str(tmp_path))
    monkeypatch.setenv("WP_SIDECAR_JAILS", str(tmp_path / "jails.conf"))
    return tmp_path


@pytest.fixture
def wp(here, capsys, monkeypatch):
    """Runs a command: its exit code, what it wrote, what it said of errors."""

    def wp(*args: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as end:
            main(list(args))
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return wp


def docker(*lines):
    return "".join(f"{DAY}{time}.123456789Z {text}\n" for time, text in lines).encode()


BURST = docker(
    ("40:00", "fail 203.0.113.7"),
    ("40:01", "a visitor"),
    ("40:02", "wrong password for admin from 203.0.113.7"),
    ("40:02", "fail 10.0.0.1"),
    ("40:03", "fail 203.0.113.7"),
)


def test_a_verdict_for_each_line_in_order(wp):
    code, out, _ = wp("test-filter", "--json", "wordpress", stdin=BURST)

    none = {"matched": False, "failregex": None, "id": None, "user": None, "time": None}
    hit = {"matched": True, "failregex": 1, "id": "203.0.113.7", "user": None}
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"line": 1, **hit, "time": 1795336800.1234567},
        {"line": 2, **none},
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
def test_the_transport_is_recognised_or_said(wp, here, transport, line):
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


def test_for_a_person_the_sum_the_missed_lines_and_how_near_they_came(wp):
    code, out, _ = wp(
        "test-filter",
        "wordpress",
        stdin=BURST + b"fail 2O3.0.113.7\n\x1b]0;owned\x07[red]x[/red]\xe2\x80\xae\n",
    )

    assert code == 0
    assert [re.sub(r"\d+\.\d micro", "9 micro", line.rstrip()) for line in out.splitlines()] == [
        "",
        "failregex  hits  expression",
        "1          3     ^ ?fail <HOST>$",
        "2          1     ^wrong password for <F-USER>\\S+</F-USER> from <HOST>$",
        "",
        "7 lines: 4 matched, 3 missed",
        "0 of them have a date of their own; 9 microseconds a line",
        "missed:",
        f"  {DAY}40:01.123456789Z a visitor",
        "  fail 2O3.0.113.7",
        "    failregex 1 agrees as far as: fail",
        "  \\x1b]0;owned\\x07[red]x[/red]\\u202e",
    ]


def test_a_filter_that_can_be_fooled_is_shown_the_line_that_does(wp, here):
    (here / "open.conf").write_text("[Definition]\nfailregex = login of \\S+ failed from <HOST>\n")
    _, out, _ = wp("test-filter", "open", stdin=b"\n")

    assert out.splitlines()[-1] == (
        f"warning: {here}/open.conf:2: a visitor can have a stranger (192.0.2.1) banned:"
        " 203.0.113.7 wrote: login of a failed from 192.0.2.1"
    )


def test_a_filter_that_one_line_stalls_is_shown_the_line(wp, here):
    (here / "slow.conf").write_text("[Definition]\nfailregex = ^(?:a+)+ <HOST>$\n")
    _, out, _ = wp("test-filter", "slow", stdin=b"\n")

    assert out.splitlines()[-1].startswith(
        f"warning: {here}/slow.conf:2: a line may take for ever: aaaaaaaaaaaa"
    )


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
def test_an_option_that_is_none_is_wrong_usage(wp, args):
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
            f"{samples}:1: expected nobody, got 203.0.113.7: fail 203.0.113.7",
            "1 samples: 0 as expected, 1 not",
        ],
    )
    assert json.loads(wp("test-filter", "wordpress", "--samples", "--json")[1]) == {
        "line": 1, "ok": False, "expected": None, "id": "203.0.113.7",
    }  # fmt: skip

    samples.write_text("fail 203.0.113.7\n")
    assert wp("test-filter", "wordpress", "--samples")[0] == 66
    samples.unlink()
    assert wp("test-filter", "wordpress", "--samples")[0] == 66


def test_what_spans_lines_is_remembered_over_a_log(wp, here):
    (here / "two.conf").write_text(
        "[Definition]\nfailregex = ^from <HOST>$<SKIPLINES>^failed$\nmaxlines = 3\n"
    )
    _, out, _ = wp("test-filter", "--json", "two", stdin=b"from 203.0.113.7\nbetween\nfailed\n")

    assert [json.loads(line)["id"] for line in out.splitlines()] == [None, None, "203.0.113.7"]


def test_one_jail_with_a_mistake_is_told_and_the_others_are_replayed(wp, here):
    (here / "jails.conf").write_text(JAILS + "[mail]\nfilter = broken\n")
    code, out, err = wp("replay", "--json", stdin=BURST)

    assert (code, json.loads(out)["jail"]) == (0, "wordpress")
    assert err.startswith(f"wp-sidecar: {here}/broken.conf:2: `failregex` is no regular expression")
    code, out, err = wp("check-config")
    assert (code, out) == (78, "jail wordpress: filter wordpress, 2 expressions\n")
    assert err.startswith(f"wp-sidecar: {here}/broken.conf:2")
    told = json.loads(wp("check-config", "--json")[1])
    assert (told["ok"], len(told["jails"]), len(told["mistakes"])) == (False, 1, 1)


def test_many_missed_lines_are_a_few(wp):
    _, out, _ = wp("test-filter", "wordpress", stdin=b"fine\n" * 100)

    assert "100 lines: 0 matched, 100 missed\nmissed, the first 20:\n" in out
    assert out.count("  fine\n") == 20


def test_a_filter_that_is_not_there(wp):
    code, out, err = wp("test-filter", "wordpres")

    assert (code, out) == (66, "")
    assert err.startswith("wp-sidecar: there is no filter `wordpres` in ")
    assert err.endswith("did you mean `wordpress`?\n")


def test_a_filter_with_a_mistake(wp, here):
    code, _, err = wp("test-filter", "broken")

    assert code == 78
    assert err.startswith(f"wp-sidecar: {here}/broken.conf:2: `failregex` is no regular expression")


@pytest.mark.parametrize("command", [["test-filter", "wordpress"], ["replay"]])
def test_a_log_that_is_not_there(wp, command):
    assert wp(*command, "gone.log") == (
        66,
        "",
        "wp-sidecar: gone.log cannot be read: No such file or directory\n",
    )
    assert wp(*command, ".")[::2] == (66, "wp-sidecar: . cannot be read: Is a directory\n")


def test_replay_tells_who_would_be_banned_on_the_logs_own_time(wp):
    later = docker(("40:04", "fail 203.0.113.7")) + f"2026-11-22T10:00:00.{0:09}Z quiet\n".encode()
    code, out, _ = wp("replay", "--json", stdin=BURST + later)

    who = {"jail": "wordpress", "ip": "203.0.113.7"}
    at = 1795336803.1234567
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {
            "action": "ban", **who, "time": at, "until": at + 3600, "failures": 3,
            "lines": ["fail 203.0.113.7", "wrong password for admin from 203.0.113.7", "fail 203.0.113.7"],
        },
        {"action": "unban", **who, "time": at + 3600},
    ]  # fmt: skip


def test_replay_for_good_has_no_end(wp, here):
    (here / "jails.conf").write_text(JAILS.replace("1h", "-1"))
    _, out, _ = wp("replay", "--json", stdin=BURST)

    assert json.loads(out)["until"] is None


def test_replay_for_a_person(wp):
    code, out, err = wp("replay", stdin=BURST)

    assert (code, err) == (0, "")
    ban, total = out.splitlines()
    assert ban.endswith("ban    203.0.113.7  wordpress  3 failures, until " + ban.rpartition("until ")[2])
    assert total == "1 bans, 4 failures, 1 of them not counted (a private address)"


def test_replay_counts_only_what_is_within_findtime(wp):
    slow = docker(("00:00", "fail 203.0.113.7"), ("20:00", "fail 203.0.113.7"), ("40:00", "fail 203.0.113.7"))

    assert wp("replay", "--json", stdin=slow) == (0, "", "")


def test_replay_leaves_out_who_may_never_be_banned(wp, monkeypatch):
    private = BURST.replace(b"203.0.113.7", b"192.168.1.7")
    assert wp("replay", "--json", stdin=private)[1] == ""

    monkeypatch.setenv("WP_SIDECAR_BAN_PRIVATE", "true")
    assert json.loads(wp("replay", "--json", stdin=private)[1])["ip"] == "192.168.1.7"

    monkeypatch.setenv("WP_SIDECAR_IGNOREIP", "203.0.113.0/24")
    assert wp("replay", "--json", stdin=BURST)[1] == ""


def test_replay_bans_an_ipv6_customer(wp):
    lines = docker(*[("40:00", f"fail 2001:db8::{n}") for n in (1, 2, 3)])

    assert json.loads(wp("replay", "--json", stdin=lines)[1])["ip"] == "2001:db8::/64"


def test_replay_of_nothing_is_nothing(wp):
    assert wp("replay", "--json") == (0, "", "")
    assert wp("replay", stdin=b"\n\n")[:2] == (0, "0 bans, 0 failures\n")


def test_replay_takes_another_jails_file(wp, here):
    (here / "strict.conf").write_text("[one]\nfilter = wordpress\nmaxretry = 1\nlogpath = /nowhere\n")
    _, out, _ = wp("replay", "--json", "--jails", "strict.conf", stdin=BURST)

    assert [json.loads(line)["jail"] for line in out.splitlines()] == ["one"]


def test_a_right_configuration(wp, here):
    (here / "jails.conf").write_text(JAILS + "logpath = /nowhere\n")

    code, out, err = wp("check-config")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith(f"note: {here}/jails.conf: wordpress.logpath: /nowhere is not here")
    assert out.splitlines()[1:] == ["jail wordpress: filter wordpress, 2 expressions", "ok"]

    told = json.loads(wp("check-config", "--json")[1])
    assert (told["ok"], len(told["notes"]), told["mistakes"]) == (True, 1, [])
    assert told["jails"] == [
        {
            "name": "wordpress", "filter": "wordpress", "failregex": 2, "maxretry": 3, "findtime": 600,
            "bantime": 3600, "ports": [80, 443], "logpath": ["/nowhere"], "containers": [], "ignoreip": [],
        }
    ]  # fmt: skip


def test_a_wrong_configuration(wp, here):
    (here / "jails.conf").write_text("[wordpress]\nmaxretry = five\nbantme = 1h\n")
    sentence = 'expected a whole number from 1 up, got "five"'

    code, out, err = wp("check-config")
    assert (code, out) == (78, "")
    assert err.splitlines() == [
        f"wp-sidecar: {here}/jails.conf:3: wordpress.bantme: unknown. Did you mean bantime?",
        f"wp-sidecar: {here}/jails.conf:2: wordpress.maxretry: {sentence}",
    ]
    code, out, err = wp("check-config", "--json")
    assert (code, err) == (78, "")
    assert json.loads(out)["mistakes"][1] == {
        "file": f"{here}/jails.conf",
        "line": 2,
        "section": "wordpress",
        "key": "maxretry",
        "message": sentence,
    }
    for command in ("replay", "run"):
        assert wp(command)[0] == 78


def test_the_jails_file_that_was_asked_for_has_to_be_there(wp, monkeypatch):
    assert wp("check-config", "--jails", "gone.conf")[::2] == (
        78,
        "wp-sidecar: gone.conf: cannot be read: No such file or directory\n",
    )
    monkeypatch.setenv("WP_SIDECAR_JAILS", "/gone.conf")
    code, _, err = wp("check-config")
    assert code == 78
    assert err.startswith(
        "wp-sidecar: environment: WP_SIDECAR_JAILS: /gone.conf is not there; correct the path"
    )
