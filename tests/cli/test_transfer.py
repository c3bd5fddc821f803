import json

import pytest

from sidecar.cli import transfer
from sidecar.cli.transfer import BadLine, ListedEntry, entries, pieces
from sidecar.control.exit_codes import ExitCode
from tests.cli.answering import AT, BAN

ALLOWED = {"ip": "198.51.100.0/24", "at": AT, "until": None, "comment": "our\noffice"}
NOTHING = {"banned": 0, "longer": 0, "allowed": 0, "known": 0, "over": 0, "unbanned": 0, "refused": []}


@pytest.fixture(autouse=True)
def in_force(daemon):
    """A ban that follows from failures, a dry run, and an entry of the allowlist; and a daemon that takes anything."""
    daemon.answers["bans"] = {
        "bans": [BAN | {"until": AT + 60.5}, BAN | {"ip": "203.0.113.8", "observed": True}]
    }
    daemon.answers["allowed"] = {"allowed": [ALLOWED]}
    daemon.answers["import"] = lambda fields: NOTHING | {"banned": len(fields["entries"])}


def sent(daemon):
    """Return all entries that were sent to be imported."""
    return [each for fields in daemon.asked if fields["do"] == "import" for each in fields["entries"]]


def test_what_is_exported_is_a_line_each_and_what_is_allowed_comes_first(wp_lines):
    code, lines, _ = wp_lines("export")

    assert code == 0
    assert [json.loads(line) for line in lines] == [
        {"kind": "allow", **ALLOWED},
        {
            "kind": "ban", "ip": "203.0.113.7", "jail": "wordpress", "at": AT, "until": AT + 60.5, "cause": "failures",
            "failures": 3, "site": "blog\x1b[2J", "reason": "",
        },
    ]  # fmt: skip
    assert [json.loads(line)["kind"] for line in wp_lines("export", "--bans")[1]] == ["ban"]
    assert [json.loads(line)["kind"] for line in wp_lines("export", "--jail", "wordpress")[1]] == ["ban"]
    assert [json.loads(line)["kind"] for line in wp_lines("export", "--allowed")[1]] == ["allow"]


def test_plain_text_has_the_rest_in_a_comment_and_obeys_no_terminal(daemon, wp_lines):
    daemon.answers["bans"]["bans"].append(BAN | {"ip": "203.0.113.9", "cause": "manual"})

    assert wp_lines("export", "--text")[1] == [
        "203.0.113.7  # wordpress until 2026-11-22T08:41:03Z: 3 failures in blog\\x1b[2J",
        "203.0.113.9  # wordpress for good",
    ]
    assert wp_lines("export", "--text", "--allowed")[1] == ["198.51.100.0/24  # our\\noffice"]
    daemon.answers["allowed"] = {"allowed": [ALLOWED | {"comment": ""}]}
    assert wp_lines("export", "--text", "--allowed")[1] == ["198.51.100.0/24"]


def test_what_cannot_be_chosen_together_is_wrong_usage(wp_lines):
    assert wp_lines("export", "--bans", "--allowed")[0] == 2
    assert wp_lines("export", "--allowed", "--jail", "wordpress")[0] == 2


def test_what_was_exported_is_sent_to_the_other_daemon_with_its_ends(daemon, wp):
    exported = wp("export")[1]
    code, out, _ = wp("import", stdin=exported.encode())

    assert (code, out) == (0, "banned: 2\n")
    ban = {"kind": "ban", "ip": "203.0.113.7", "jail": "wordpress", "until": AT + 60.5}
    assert sent(daemon) == [
        {"kind": "allow", "ip": "198.51.100.0/24", "until": None, "comment": "our\noffice"},
        ban | {"reason": "3 failures in blog\x1b[2J"},
    ]


def test_a_plain_list_is_banned_or_allowed_with_its_comments(daemon, wp, here):
    (here / "list").write_bytes(
        b"\xef\xbb\xbf# a list\r\n\r\n203.0.113.7\r\n  2001:db8::/48 # spam # \xff\r\n#\n"
    )

    assert wp("import", "list")[0] == 0
    assert sent(daemon) == [
        {"kind": "ban", "ip": "203.0.113.7", "reason": ""},
        {"kind": "ban", "ip": "2001:db8::/48", "reason": "spam # \ufffd"},
    ]
    daemon.asked.clear()
    wp("import", "list", "--allow", "--for", "-1", "--dry-run", "--jail", "login")
    assert sent(daemon)[1] == {"kind": "allow", "ip": "2001:db8::/48", "comment": "spam # \ufffd", "for": -1}
    assert (daemon.asked[0]["dry_run"], daemon.asked[0]["jail"]) == (True, "login")


def test_only_lines_without_an_end_get_the_one_of_the_command(daemon, wp):
    lines = b'{"kind": "ban", "ip": "203.0.113.7", "until": null}\n203.0.113.8\n{"kind": "ban", "ip": "203.0.113.9"}\n'
    wp("import", "--for", "2h", stdin=lines)

    assert [(each.get("until", 0), each.get("for", 0)) for each in sent(daemon)] == [
        (None, 0),
        (0, 7200.0),
        (0, 7200.0),
    ]


def test_every_bad_line_is_reported_with_its_number_and_stops_no_other(daemon, wp):
    def answer(fields):
        bad = [n for n, each in enumerate(fields["entries"]) if each["ip"] == "x"]
        return NOTHING | {
            "banned": len(fields["entries"]) - len(bad),
            "known": 1,
            "refused": [{"index": n, "why": "is no address\x1b"} for n in bad],
        }

    daemon.answers["import"] = answer
    lines = b'\n203.0.113.7\nx\n{"kind": "ban", "ip"}\n' + b"7" * 40_000 + b"\nx # again\n"
    code, out, err = wp("import", stdin=lines)

    assert (code, out) == (1, "banned: 1\nin force before: 1\nlines that are refused: 4\n")
    assert err.splitlines() == [
        "wp-sidecar: line 4: is not JSON: Expecting ':' delimiter: line 1 column 21 (char 20)",
        "wp-sidecar: line 5: is longer than 16,384 bytes",
        "wp-sidecar: line 3: is no address\\x1b",
        "wp-sidecar: line 6: is no address\\x1b",
    ]
    code, out, err = wp("import", "--dry-run", "--json", stdin=lines)
    answer = json.loads(out)
    assert (code, err, answer["banned"], answer["dry_run"]) == (1, "", 1, True)
    assert sorted(each["line"] for each in answer["refused"]) == [3, 4, 5, 6]


def test_a_dry_run_says_what_would_be(wp):
    assert wp("import", "--dry-run", stdin=b"203.0.113.7\n")[1] == "would be banned: 1\n"
    assert wp("import", "--dry-run", stdin=b"")[1] == "would be banned: 0\n"


def test_the_pieces_of_a_dry_run_are_judged_together_and_the_daemon_forgets_them(daemon, wp, monkeypatch):
    monkeypatch.setattr(transfer, "MAX_ENTRIES", 1)
    for _ in range(2):
        wp("import", "--dry-run", stdin=b"203.0.113.7\n203.0.113.8\n")
    drafts = [fields["draft"] for fields in daemon.asked]
    wp("import", stdin=b"203.0.113.7\n")

    assert drafts == [drafts[0], drafts[0], "", drafts[3], drafts[3], ""]
    assert len({*drafts}) == 3
    assert daemon.asked[-1]["draft"] == ""


def test_a_file_that_does_not_exist_is_an_error_before_anything_is_sent(daemon, wp):
    assert wp("import", "nowhere")[0] == ExitCode.NO_INPUT
    assert daemon.asked == []


def test_json_that_nests_without_end_is_a_bad_line():
    text = b'{"kind": ' + b"[" * 9_000
    (found,) = entries([text + b"\n"], "ban", None)

    assert isinstance(found, BadLine)


def test_a_long_list_goes_in_pieces_that_fit_into_a_request_and_allowed_before_banned(monkeypatch):
    monkeypatch.setattr(transfer, "MAX_ENTRIES", 2)
    bans = [ListedEntry(n, {"kind": "ban", "n": n}) for n in range(5)]
    allowed = [ListedEntry(9, {"kind": "allow"})]
    found = list(pieces([*bans[:2], *allowed, BadLine(7, "is bad"), *bans[2:]]))

    assert found == [BadLine(7, "is bad"), allowed, bans[:2], bans[2:4], bans[4:]]


def test_long_comments_make_pieces_small():
    long = [ListedEntry(n, {"kind": "allow", "comment": "x" * 100_000}) for n in range(5)]

    assert [len(piece) for piece in pieces(long)] == [2, 2, 1]
