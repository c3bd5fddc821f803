from datetime import UTC

from sidecar.core.events import Framing
from sidecar.filters.loader import load
from sidecar.filters.verdict import Verdict, decide, explain

NOW = 1_795_338_000.0


def log_filter(tmp_path, text):
    (tmp_path / "x.conf").write_text(f"[Definition]\n{text}\n")
    return load("x", [tmp_path])


def test_a_verdict_has_all_about_a_line():
    line = "[22-Nov-2026 08:40:04 UTC] wordpress(h)[8]: Authentication failure for admin from 2001:DB8::7"

    assert explain(load("wordpress"), line, Framing.NONE, NOW, UTC) == Verdict(
        matched=True,
        failregex=2,
        id="2001:db8::7",
        user="admin",
        time=1795336804.0,
        date="22-Nov-2026 08:40:04 UTC",
        text="[] wordpress(h)[8]: Authentication failure for admin from 2001:DB8::7",
    )


def test_a_line_that_does_not_match_still_has_its_time():
    verdict = explain(load("wordpress"), "2026-11-22 08:40:04 hello", Framing.NONE, NOW, UTC)

    assert verdict == Verdict(matched=False, time=1795336804.0, date="2026-11-22 08:40:04", text=" hello")


def test_a_syslog_header_is_the_only_date_of_its_line(tmp_path):
    plain_filter = log_filter(tmp_path, "failregex = ^ 2001-01-01 no <HOST>$\ndatepattern = %%Y-%%m-%%d")

    assert (
        explain(plain_filter, "Nov 22 08:40:04 2001-01-01 no 203.0.113.7", Framing.SYSLOG, NOW, UTC).time
        == 1795336804.0
    )
    assert not explain(plain_filter, " 2001-01-01 no 203.0.113.7", Framing.SYSLOG, NOW, UTC).matched


def test_ignoreregex_is_asked_first_if_there_are_clearly_fewer(tmp_path):
    few = log_filter(
        tmp_path, "prefregex = ^x <F-CONTENT>.*</F-CONTENT>$\nfailregex = ^no <HOST>$\nignoreregex = ^x no"
    )
    many = log_filter(
        tmp_path,
        "prefregex = ^x <F-CONTENT>.*</F-CONTENT>$\nfailregex = ^no <HOST>$\n  ^a <HOST>\n  ^b <HOST>\n  ^c <HOST>\n"
        "ignoreregex = ^x no",
    )

    # It is asked about the content, which begins with `no`.
    assert decide(few, "x no 203.0.113.7").address == "203.0.113.7"
    # It is asked about the whole line.
    assert decide(many, "x no 203.0.113.7") is None


def test_users_networks_and_own_ids(tmp_path):
    plain_filter = log_filter(
        tmp_path,
        "failregex = ^no <SUBNET> <F-ALT_USER1>\\S*</F-ALT_USER1> <F-USER>\\S*</F-USER>$\n"
        "  ^id <F-ID>\\S+</F-ID> <HOST>",
    )
    network = decide(plain_filter, "no 203.0.113.7/24 ann ")
    own = decide(plain_filter, "id 203.0.113.8 203.0.113.7")

    assert (network.address, network.id, network.user) == ("203.0.113.7", "203.0.113.7/24", "ann")
    assert explain(plain_filter, "no 203.0.113.7/24 ann bob", Framing.NONE, NOW).id == "203.0.113.0/24"
    assert explain(plain_filter, "no 203.0.113.7/24 ann bob", Framing.NONE, NOW).user == "bob"
    assert not explain(plain_filter, "no 203.0.113.7/99 ann bob", Framing.NONE, NOW).matched
    assert (own.rule, own.address) == (1, "203.0.113.8")
