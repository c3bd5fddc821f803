import time

from sidecar.cli.text import local_time
from tests.cli.answering import AT

PAST = {
    "ip": "2001:db8:1234:5678::/64", "jail": "wordpress", "at": AT, "until": AT + 3_600, "cause": "failures",
    "failures": 3, "site": "blog\x1b[2J", "reason": "", "times": 2, "observed": False,
    "ended": AT + 60, "ended_by": "manual",
}  # fmt: skip
IN_FORCE = PAST | {"ip": "203.0.113.7", "ended": None, "ended_by": None, "reason": "spam", "observed": True}


def test_the_history_of_an_address(daemon, wp_lines):
    daemon.answers["history"] = {"ip": "203.0.113.7", "times": {"wordpress": 3, "probes": 1}}

    assert wp_lines("history", "203.0.113.7") == (
        0,
        ["203.0.113.7 was banned 3 times in wordpress", "203.0.113.7 was banned 1 time in probes"],
        "",
    )
    assert daemon.asked == [{"do": "history", "who": "203.0.113.7"}]
    daemon.answers["history"] = {"ip": "203.0.113.7", "times": {}}
    assert wp_lines("history", "203.0.113.7")[1] == ["203.0.113.7 was never banned, as far as is remembered"]


def test_bans_are_shown_with_their_ends_and_no_row_breaks(daemon, wp_lines, monkeypatch):
    daemon.answers["history"] = {"bans": [IN_FORCE, PAST]}
    lines = wp_lines("history", "--wide")[1]

    assert lines[1].split() == [
        "banned", "address", "jail", "ended", "how", "lasted", "failures", "container", "why",
    ]  # fmt: skip
    assert "in force" in lines[2] and lines[2].endswith("spam")
    for word in (local_time(AT), "2001:db8:1234:5678::/64", local_time(AT + 60), "unbanned by hand", "1m"):
        assert word in lines[3]
    assert lines[3].endswith("blog\\x1b[2J  failures")
    # At 80 columns what does not fit stands below.
    monkeypatch.setattr("sidecar.cli.layout.terminal_width", lambda: 80)
    narrow = wp_lines("history")[1]
    assert max(map(len, narrow)) <= 80
    assert any("how unbanned by hand" in line for line in narrow)


def test_bans_are_chosen(daemon, wp_lines):
    daemon.answers["history"] = {"bans": []}

    assert wp_lines("history", "--jail", "login", "--site", "shop-*", "--since", "7d", "--limit", "5")[1] == [
        "no address was banned, as far as is remembered"
    ]
    (asked,) = daemon.asked
    assert abs(asked.pop("since") - (time.time() - 7 * 86_400)) < 60
    assert asked == {"do": "history", "who": None, "jail": "login", "site": "shop-*", "limit": 5}


def test_more_than_are_shown_are_mentioned(daemon, wp_lines):
    daemon.answers["history"] = {"bans": [PAST, PAST]}

    assert wp_lines("history", "--limit", "2")[1][-1] == "more than 2 are not shown: --limit"
