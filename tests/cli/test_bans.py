import json
import time

import pytest

from tests.cli.answering import BAN, STATUS


def test_bans_are_a_table_in_the_order_of_the_answer(daemon, wp_lines):
    until = time.time() + 7_200 + 30
    ending = BAN | {"ip": "2001:db8::/64", "until": until, "reason": "by hand", "failures": 0, "site": ""}
    daemon.answers["bans"] = {"bans": [ending, BAN]}

    head, first, last = wp_lines("bans")[1][1:]

    assert head.split() == [
        "address",
        "jail",
        "remaining",
        "until",
        "failures",
        "container",
        "times",
        "dropped",
        "reason",
    ]
    assert first.startswith("2001:db8::/64  wordpress  2h ") and first.endswith("by hand")
    assert last.split() == ["203.0.113.7", "wordpress", "for", "good", "3", "blog\\x1b[2J", "2", "failures"]


def test_dry_runs_are_marked(daemon, wp_lines):
    daemon.answers["bans"] = {"bans": [BAN, BAN | {"ip": "203.0.113.8", "observed": True}]}

    assert [line.rpartition("  ")[2] for line in wp_lines("bans")[1][2:]] == ["failures", "failures, dry run"]


def test_bans_are_chosen_by_the_daemon(daemon, wp_lines):
    daemon.answers["bans"] = {"bans": []}
    before = time.time()

    wp_lines("bans", "--observed", "--jail", "wordpress", "--site", "shop-*", "--since", "2h")
    wp_lines("bans", "--json")

    first, second = daemon.asked
    assert before - 7_200 <= first.pop("since") <= time.time() - 7_200
    assert first == {"do": "bans", "evidence": False, "observed": True, "jail": "wordpress", "site": "shop-*"}
    assert second == {"do": "bans", "evidence": True}


def test_a_time_that_is_none_is_wrong_usage(daemon, wp_lines):
    code, _, err = wp_lines("bans", "--since", "yesterday")

    assert code == 2
    assert "expected a duration" in err
    assert daemon.asked == []


def test_no_bans_is_a_sentence(daemon, wp_lines):
    daemon.answers["bans"] = {"bans": []}

    assert wp_lines("bans") == (0, ["no address is banned"], "")


def test_as_json_the_answer_is_as_it_was_sent(daemon, wp_lines):
    daemon.answers["ban"], daemon.answers["unban"] = {"banned": [BAN]}, {"unbanned": []}
    commands = {
        "status": STATUS,
        "bans": {"bans": [BAN]},
        "ban 203.0.113.7": {"banned": [BAN]},
        "unban --all": {"unbanned": []},
    }

    assert {
        command: json.loads(wp_lines(*command.split(), "--json")[1][0]) for command in commands
    } == commands


def test_a_ban_by_hand(daemon, wp_lines):
    daemon.answers["ban"] = {"banned": [BAN]}
    expected = (0, ["203.0.113.7 is banned in wordpress for good"], "")

    assert (
        wp_lines("ban", "203.0.113.7", "--jail", "wordpress", "--for", "2h", "--reason", "rude") == expected
    )
    assert wp_lines("ban", "203.0.113.7", "--for", "-1") == expected
    assert wp_lines("ban", "203.0.113.7") == expected
    asked = {"do": "ban", "who": "203.0.113.7", "jail": "", "for": None, "reason": ""}
    assert daemon.asked == [
        asked | {"jail": "wordpress", "for": 7_200, "reason": "rude"},
        asked | {"for": -1},
        asked,
    ]


def test_a_ban_shows_its_end(daemon, wp_lines):
    daemon.answers["ban"] = {"banned": [BAN | {"until": time.time() + 7_230}]}

    (line,) = wp_lines("ban", "203.0.113.7")[1]
    assert line.startswith("203.0.113.7 is banned in wordpress until 20") and " (2h" in line


def test_a_longer_ban_that_is_in_force_stays(daemon, wp_lines):
    daemon.answers["ban"] = {"banned": []}

    assert wp_lines("ban", "203.0.113.7") == (0, ["203.0.113.7 is banned for at least as long already"], "")


@pytest.mark.usefixtures("daemon")
def test_a_refusal_is_the_daemons_sentence_and_exit_code_1(wp_lines):
    assert wp_lines("ban", "10.0.0.1") == (
        1,
        [],
        "wp-sidecar: 10.0.0.1 is never banned: it is a private address\n",
    )


def test_several_addresses_are_banned_and_unbanned_and_one_refusal_stops_no_other(daemon, wp_lines):
    daemon.answers["unban"] = {"unbanned": [{"ip": "203.0.113.7", "jail": "wordpress"}]}

    assert wp_lines("unban", "203.0.113.7", "203.0.113.7")[1] == ["203.0.113.7 is unbanned in wordpress"] * 2
    assert json.loads(wp_lines("unban", "203.0.113.7", "203.0.113.7", "--json")[1][0]) == {
        "unbanned": [{"ip": "203.0.113.7", "jail": "wordpress"}] * 2
    }
    code, out, err = wp_lines("ban", "10.0.0.1", "10.0.0.2")
    assert (code, out) == (1, [])
    assert err.count("is never banned") == 2


def test_a_wrong_duration_is_wrong_usage(daemon, wp_lines):
    code, _, err = wp_lines("ban", "203.0.113.7", "--for", "soon")

    assert code == 2
    assert "expected a duration such as 600, 10m, 1d12h or -1 (for good)" in err
    assert daemon.asked == []


def test_an_unban(daemon, wp_lines):
    daemon.answers["unban"] = {"unbanned": [{"ip": "203.0.113.7", "jail": "wordpress"}]}
    expected = (0, ["203.0.113.7 is unbanned in wordpress"], "")

    assert wp_lines("unban", "203.0.113.7", "--jail", "wordpress") == expected
    assert wp_lines("unban", "--all") == expected
    assert daemon.asked == [
        {"do": "unban", "who": "203.0.113.7", "jail": "wordpress"},
        {"do": "unban", "who": None, "jail": ""},
    ]


def test_an_unban_of_an_address_that_is_not_banned_is_no_error(daemon, wp_lines):
    daemon.answers["unban"] = {"unbanned": []}

    assert wp_lines("unban", "203.0.113.7") == (0, ["203.0.113.7 was not banned"], "")
    assert wp_lines("unban", "--all") == (0, ["no address was banned"], "")


def test_an_unban_on_every_node_of_the_fleet(daemon, wp_lines):
    daemon.answers["unban"] = {"unbanned": [{"ip": "203.0.113.7", "jail": "wordpress"}], "fleet": 2}

    assert wp_lines("unban", "--fleet", "203.0.113.7")[1] == [
        "203.0.113.7 is unbanned in wordpress",
        "bans that the fleet knew and every node lifts: 2",
    ]
    assert daemon.asked == [{"do": "unban", "who": "203.0.113.7", "jail": "", "fleet": True}]


def test_the_bans_of_the_fleet(daemon, wp_lines):
    daemon.answers["bans"] = {"bans": [BAN]}

    assert wp_lines("bans", "--fleet")[1][-1].startswith("203.0.113.7")
    assert daemon.asked == [{"do": "bans", "evidence": False, "fleet": True}]


@pytest.mark.parametrize("args", [[], ["203.0.113.7", "--all"]])
def test_an_unban_needs_an_address_or_all(daemon, wp_lines, args):
    code, _, err = wp_lines("unban", *args)

    assert code == 2
    assert "give an address, or --all" in err
    assert daemon.asked == []


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "reload",
        "bans",
        "history 203.0.113.7",
        "explain 203.0.113.7",
        "ban 203.0.113.7",
        "unban --all",
        "healthcheck",
    ],
)
def test_without_a_daemon(wp_lines, tmp_path, command):
    code, lines, err = wp_lines(*command.split(), "--socket", str(tmp_path / "s"))

    assert code == (1 if command == "healthcheck" else 69)
    assert (lines, err) == (
        [],
        f"wp-sidecar: no wp-sidecar is running at {tmp_path}/s; start it, or name its socket with --socket\n",
    )
