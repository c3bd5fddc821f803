from __future__ import annotations

import json

import pytest

from tests.cli.logs import BURST, docker

JAILS = "[wordpress]\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"


def test_one_jail_with_a_mistake_is_told_and_the_others_are_replayed(wp, here):
    (here / "jails.conf").write_text(JAILS + "[mail]\nfilter = broken\n")
    code, out, err = wp("replay", "--json", stdin=BURST)

    assert (code, json.loads(out)["jail"]) == (0, "wordpress")
    assert err.startswith(f"wp-sidecar: {here}/broken.conf:2: `failregex` is not a valid regular expression")
    code, out, err = wp("check-config")
    assert (code, out) == (78, "jail wordpress: filter wordpress, 2 expressions\n")
    assert err.startswith(f"wp-sidecar: {here}/broken.conf:2")
    told = json.loads(wp("check-config", "--json")[1])
    assert (told["ok"], len(told["jails"]), len(told["mistakes"])) == (False, 1, 1)


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

    address = {"jail": "wordpress", "ip": "203.0.113.7"}
    at = 1795336803.1234567
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {
            "action": "ban", **address, "time": at, "until": at + 3600, "failures": 3,
            "lines": ["fail 203.0.113.7", "wrong password for admin from 203.0.113.7", "fail 203.0.113.7"],
        },
        {"action": "unban", **address, "time": at + 3600},
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
    assert out.splitlines()[0].startswith(
        f"note: {here}/jails.conf: wordpress.logpath: /nowhere does not exist yet"
    )
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
        "wp-sidecar: environment: WP_SIDECAR_JAILS: /gone.conf does not exist; correct the path"
    )
