import json
import time

from sidecar.cli.text import local_time
from sidecar.control.protocol import Refused
from tests.cli.answering import AT

ENTRY = {"ip": "203.0.113.7", "at": AT, "until": None, "comment": "office\x1b[2J"}


def test_an_address_is_allowed_and_what_that_unbans_is_shown(daemon, wp_lines):
    daemon.answers["allow"] = {
        "allowed": [ENTRY],
        "unbanned": [{"ip": "203.0.113.0/24", "jail": "wordpress"}],
        "alone": False,
    }

    assert wp_lines("allow", "203.0.113.7", "--for", "2h", "--comment", "office") == (
        0,
        ["203.0.113.7 is never banned for good", "203.0.113.0/24 is unbanned in wordpress"],
        "",
    )
    assert json.loads(wp_lines("allow", "203.0.113.7", "203.0.113.7", "--json")[1][0]) == {
        "allowed": [ENTRY] * 2,
        "unbanned": [{"ip": "203.0.113.0/24", "jail": "wordpress"}] * 2,
        "alone": False,
    }
    assert daemon.asked[0] == {"do": "allow", "who": "203.0.113.7", "for": 7200.0, "comment": "office"}
    assert daemon.asked[1] == {"do": "allow", "who": "203.0.113.7", "for": None, "comment": ""}


def test_in_a_fleet_it_says_that_no_other_host_is_told(daemon, wp_lines):
    daemon.answers["allow"] = {"allowed": [ENTRY], "unbanned": [], "alone": True}

    assert wp_lines("allow", "203.0.113.7", "203.0.113.7")[1] == [
        *["203.0.113.7 is never banned for good"] * 2,
        "on this host alone: the other hosts of its fleet are not told, so allow it there too",
    ]


def test_an_address_that_is_refused_stops_no_other(daemon, wp_lines):
    def answer(fields):
        if fields["who"] == "x":
            raise Refused("no address")
        return {"allowed": [ENTRY], "unbanned": [], "alone": False}

    daemon.answers["allow"] = answer
    code, lines, err = wp_lines("allow", "x", "203.0.113.7")

    assert (code, lines, err.strip()) == (
        1,
        ["203.0.113.7 is never banned for good"],
        "wp-sidecar: no address",
    )


def test_a_time_that_is_none_is_wrong_usage(daemon, wp_lines):
    assert wp_lines("allow", "203.0.113.7", "--for", "soon")[0] == 2
    assert daemon.asked == []


def test_what_was_allowed_is_taken_back(daemon, wp_lines):
    daemon.answers["disallow"] = {"disallowed": ["203.0.113.7"]}

    assert wp_lines("disallow", "203.0.113.7")[1] == ["203.0.113.7 is allowed no more"]
    assert wp_lines("disallow", "--all", "--json")[1] == ['{"disallowed": ["203.0.113.7"]}']
    daemon.answers["disallow"] = {"disallowed": []}
    assert wp_lines("disallow", "203.0.113.8", "--json")[1] == ['{"disallowed": []}']
    assert wp_lines("disallow", "203.0.113.8")[1] == ["203.0.113.8 was not allowed"]
    assert wp_lines("disallow", "--all")[1] == ["nothing was allowed"]
    assert [each["who"] for each in daemon.asked[:2]] == ["203.0.113.7", None]


def test_nobody_takes_back_everything_by_a_slip(daemon, wp_lines):
    assert wp_lines("disallow")[0] == 2
    assert wp_lines("disallow", "203.0.113.7", "--all")[0] == 2
    assert daemon.asked == []


def test_what_is_allowed_is_a_table(daemon, wp_lines):
    until = time.time() + 7_200 + 30
    daemon.answers["allowed"] = {"allowed": [ENTRY, ENTRY | {"ip": "198.51.100.0/24", "until": until}]}

    _, lines, _ = wp_lines("allowed")
    assert lines[1].split() == ["address", "remaining", "until", "since", "comment"]
    assert lines[2].split() == ["203.0.113.7", "for", "good", *local_time(AT).split(), "office\\x1b[2J"]
    assert lines[3].split()[:4] == ["198.51.100.0/24", "2h", *local_time(until).split()]
    assert json.loads(wp_lines("allowed", "--json")[1][0])["allowed"][0] == ENTRY

    daemon.answers["allowed"] = {"allowed": []}
    assert wp_lines("allowed")[1][0].startswith("nothing was allowed by hand")
