import gzip
import json

from tests.cli.logs import BURST, docker
from tests.support.paths import ROOT

JAILS = "[wordpress]\nmaxretry = 3\nfindtime = 10m\nbantime = 1h\n"


def decided(out):
    """The decisions in this output, without the totals."""
    return [each for each in map(json.loads, out.splitlines()) if each["action"] != "total"]


def test_a_replay_bans_and_unbans_on_the_logs_own_time(wp):
    later = docker(("40:04", "fail 203.0.113.7")) + f"2026-11-22T10:00:00.{0:09}Z quiet\n".encode()
    code, out, _ = wp("replay", "--json", stdin=BURST + later)

    address = {"jail": "wordpress", "ip": "203.0.113.7"}
    at = 1795336803.1234567
    assert code == 0
    *decisions, total = map(json.loads, out.splitlines())
    assert (total["action"], total["failures"], total["bans"]) == ("total", 5, 1)
    assert decisions == [
        {
            "action": "ban", **address, "time": at, "until": at + 3600, "failures": 3,
            "lines": ["fail 203.0.113.7", "wrong password for admin from 203.0.113.7", "fail 203.0.113.7"],
        },
        {"action": "unban", **address, "time": at + 3600},
    ]  # fmt: skip


def test_a_permanent_ban_has_no_end(wp, here):
    (here / "jails.conf").write_text(JAILS.replace("1h", "-1"))
    _, out, _ = wp("replay", "--json", stdin=BURST)

    assert decided(out)[0]["until"] is None


def test_a_person_sees_a_line_for_each_decision(wp):
    code, out, err = wp("replay", stdin=BURST)

    assert (code, err) == (0, "")
    ban, *_, total = out.splitlines()
    assert ban.endswith("ban    203.0.113.7  wordpress  3 failures, for 1h")
    assert total == "1 bans, 4 failures, 1 of them not counted (a private address)"


def test_only_failures_within_findtime_count(wp):
    slow = docker(("00:00", "fail 203.0.113.7"), ("20:00", "fail 203.0.113.7"), ("40:00", "fail 203.0.113.7"))

    code, out, err = wp("replay", "--json", stdin=slow)
    assert (code, decided(out), err) == (0, [], "")


def test_the_allowlist_holds_in_a_replay(wp, monkeypatch):
    private = BURST.replace(b"203.0.113.7", b"192.168.1.7")
    assert decided(wp("replay", "--json", stdin=private)[1]) == []

    monkeypatch.setenv("WP_SIDECAR_BAN_PRIVATE", "true")
    assert decided(wp("replay", "--json", stdin=private)[1])[0]["ip"] == "192.168.1.7"

    monkeypatch.setenv("WP_SIDECAR_IGNOREIP", "203.0.113.0/24")
    assert decided(wp("replay", "--json", stdin=BURST)[1]) == []


def test_an_ipv6_customer_is_banned_as_one_network(wp):
    lines = docker(*[("40:00", f"fail 2001:db8::{n}") for n in (1, 2, 3)])

    assert decided(wp("replay", "--json", stdin=lines)[1])[0]["ip"] == "2001:db8::/64"


def test_an_empty_log_makes_no_decision(wp):
    code, out, err = wp("replay", "--json")
    assert (code, decided(out), err) == (0, [], "")
    code, out, _ = wp("replay", stdin=b"\n\n")
    assert (code, out.splitlines()[-1]) == (0, "0 bans, 0 failures")


def test_the_jails_file_may_be_given(wp, here):
    (here / "strict.conf").write_text("[one]\nfilter = wordpress\nmaxretry = 1\nlogpath = /nowhere\n")
    _, out, _ = wp("replay", "--json", "--jails", "strict.conf", stdin=BURST)

    assert [each["jail"] for each in decided(out)] == ["one"]


def test_a_replay_reads_the_format_of_its_jail(wp, here):
    (here / "jails.conf").write_text(
        f"[wordpress-access]\nfilter = {ROOT}/filters/wordpress-access.conf\nmaxretry = 1\n"
        'logformat = $status $remote_addr [$time_local] "$request"\n'
    )
    line = b'200 203.0.113.7 [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1"\n'
    _, out, _ = wp("replay", "--json", stdin=line)

    assert [(each["ip"], each["time"]) for each in decided(out)] == [("203.0.113.7", 1_796_020_400.0)]


def test_several_logs_are_one_story_in_the_order_of_their_times(wp, here):
    early, late = BURST.splitlines(keepends=True)[:2], BURST.splitlines(keepends=True)[2:]
    (here / "late.log").write_bytes(b"".join(late))
    (here / "early.log.gz").write_bytes(gzip.compress(b"".join(early)))

    code, out, err = wp("replay", "--json", "late.log", "early.log.gz")

    assert (code, err) == (0, "")
    assert [each["lines"] for each in decided(out) if each["action"] == "ban"] == [
        ["fail 203.0.113.7", "wrong password for admin from 203.0.113.7", "fail 203.0.113.7"]
    ]
    assert decided(out) == decided(wp("replay", "--json", stdin=BURST)[1])


def test_failures_without_a_time_do_not_count_and_it_is_said(wp):
    bare = b"fail 203.0.113.7\n" * 5 + BURST
    _, out, _ = wp("replay", "--transport", "none", stdin=bare)

    assert out.splitlines()[-1] == "0 bans, 0 failures"
    assert "5 failures have no time that can be read" in " ".join(out.split())


def test_a_line_that_is_dated_in_the_future_costs_the_others_nothing(wp):
    lines = BURST.replace(b"2026-11-22T08:40:00", b"2999-11-22T08:40:00") + docker(
        ("41:00", "fail 203.0.113.7")
    )
    _, out, _ = wp("replay", "--json", stdin=lines)

    assert [each["action"] for each in decided(out)] == ["ban"]
    assert json.loads(out.splitlines()[-1])["undated"] == 1


def test_since_leaves_out_what_was_before(wp):
    assert decided(wp("replay", "--json", "--since", "10m", "-", stdin=BURST)[1]) == []
    assert decided(wp("replay", "--json", "--since", "100000d", "-", stdin=BURST)[1]) != []


def test_two_policies_side_by_side(wp, here):
    (here / "strict.conf").write_text("[one]\nfilter = wordpress\nmaxretry = 1\nlogpath = /nowhere\n")
    lines = BURST + docker(("50:00", "fail 198.51.100.9"))
    _, out, _ = wp("replay", "--json", "--against", "strict.conf", stdin=lines)

    mild, strict = [each for each in map(json.loads, out.splitlines()) if each["action"] == "total"]
    assert (mild["policy"], strict["policy"]) == ("jails.conf", "strict.conf")
    assert (mild["bans"], strict["bans"], mild["only_here"]) == (1, 2, [])
    assert [each["ip"] for each in strict["only_here"]] == ["198.51.100.9"]
    assert {each["policy"] for each in decided(out)} == {"jails.conf", "strict.conf"}


def test_a_failure_of_no_address_is_counted_apart(wp, here):
    (here / "wordpress.conf").write_text("[Definition]\nfailregex = ^fail <F-ID>\\S+</F-ID>$\n")
    _, out, _ = wp("replay", "--json", stdin=docker(("40:00", "fail nobody")))
    assert json.loads(out)["invalid"] == 1

    _, out, _ = wp("replay", stdin=docker(("40:00", "fail nobody")))
    assert "- 1 failures name no address, and are not counted\n" in out
