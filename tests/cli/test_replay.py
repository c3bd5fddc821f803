import json

from tests.cli.logs import BURST, docker
from tests.support.paths import ROOT

JAILS = "[wordpress]\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"


def test_a_replay_bans_and_unbans_on_the_logs_own_time(wp):
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


def test_a_permanent_ban_has_no_end(wp, here):
    (here / "jails.conf").write_text(JAILS.replace("1h", "-1"))
    _, out, _ = wp("replay", "--json", stdin=BURST)

    assert json.loads(out)["until"] is None


def test_a_person_sees_a_line_for_each_decision(wp):
    code, out, err = wp("replay", stdin=BURST)

    assert (code, err) == (0, "")
    ban, total = out.splitlines()
    assert ban.endswith("ban    203.0.113.7  wordpress  3 failures, until " + ban.rpartition("until ")[2])
    assert total == "1 bans, 4 failures, 1 of them not counted (a private address)"


def test_only_failures_within_findtime_count(wp):
    slow = docker(("00:00", "fail 203.0.113.7"), ("20:00", "fail 203.0.113.7"), ("40:00", "fail 203.0.113.7"))

    assert wp("replay", "--json", stdin=slow) == (0, "", "")


def test_the_allowlist_holds_in_a_replay(wp, monkeypatch):
    private = BURST.replace(b"203.0.113.7", b"192.168.1.7")
    assert wp("replay", "--json", stdin=private)[1] == ""

    monkeypatch.setenv("WP_SIDECAR_BAN_PRIVATE", "true")
    assert json.loads(wp("replay", "--json", stdin=private)[1])["ip"] == "192.168.1.7"

    monkeypatch.setenv("WP_SIDECAR_IGNOREIP", "203.0.113.0/24")
    assert wp("replay", "--json", stdin=BURST)[1] == ""


def test_an_ipv6_customer_is_banned_as_one_network(wp):
    lines = docker(*[("40:00", f"fail 2001:db8::{n}") for n in (1, 2, 3)])

    assert json.loads(wp("replay", "--json", stdin=lines)[1])["ip"] == "2001:db8::/64"


def test_an_empty_log_makes_no_decision(wp):
    assert wp("replay", "--json") == (0, "", "")
    assert wp("replay", stdin=b"\n\n")[:2] == (0, "0 bans, 0 failures\n")


def test_the_jails_file_may_be_given(wp, here):
    (here / "strict.conf").write_text("[one]\nfilter = wordpress\nmaxretry = 1\nlogpath = /nowhere\n")
    _, out, _ = wp("replay", "--json", "--jails", "strict.conf", stdin=BURST)

    assert [json.loads(line)["jail"] for line in out.splitlines()] == ["one"]


def test_a_replay_reads_the_format_of_its_jail(wp, here):
    (here / "jails.conf").write_text(
        f"[wordpress-access]\nfilter = {ROOT}/filters/wordpress-access.conf\nmaxretry = 1\n"
        'logformat = $status $remote_addr [$time_local] "$request"\n'
    )
    line = b'200 203.0.113.7 [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1"\n'
    _, out, _ = wp("replay", "--json", stdin=line)

    assert [(each["ip"], each["time"]) for each in map(json.loads, out.splitlines())] == [
        ("203.0.113.7", 1_796_020_400.0)
    ]
