from pathlib import Path

import pytest

from sidecar.config.action_file import by_destination, find, read
from sidecar.core.actions import AlertEvent
from tests.support.paths import ROOT

TUTORIAL = ROOT / "tests/config/tutorial/action.d"
# The distribution's own fail2ban, as it is installed for other tests.
STOCK = Path("/etc/fail2ban/action.d")


@pytest.fixture
def of(tmp_path):
    """What a file with this text means."""

    def make(text, **given):
        path = tmp_path / "x.conf"
        path.write_text(text)
        found = read(path, {"name": "web", **given})
        found.notes = [note.removeprefix(f"{path}:") for note in found.notes]
        found.firewall = [line.removeprefix(f"{path}:") for line in found.firewall]
        return found

    return make


def test_the_tutorials_file_has_a_start_and_a_ban():
    found = read(TUTORIAL / "slack.conf", {"name": "wordpress"})
    (start, first), (ban, second) = found.requests

    assert (start, ban, found.notes) == (AlertEvent.START, AlertEvent.BAN, [])
    assert first.url == second.url == "https://hooks.example.com/services/T0/B0/x"
    assert "wordpress started" in first.parts[0].text
    assert "<ip> was banned after <failures> attempts against wordpress" in second.parts[0].text


def test_tags_of_init_and_of_the_line_are_replaced(of):
    text = """[Definition]
actionban = curl -d "channel=<channel>&text=<ip> on <who> by <name>" <url>
[Init]
url = https://<host>/x
host = hooks.example
channel = ops
who = %(channel)s-team
"""
    ((_, request),) = of(text, channel="dev").requests

    assert (request.url, request.parts[0].text) == (
        "https://hooks.example/x",
        "channel=dev&text=<ip> on dev-team by web",
    )


def test_a_local_file_stands_over_the_other(tmp_path):
    (tmp_path / "x.conf").write_text(
        "[Definition]\nactionban = curl -d '<ip> is out' <url>\n[Init]\nurl = https://a.example\n"
    )
    (tmp_path / "x.local").write_text("[Init]\nurl = https://b.example\n")

    assert read(tmp_path / "x.conf", {}).requests[0][1].url == "https://b.example"


def test_a_shell_in_the_line_is_read_too(of):
    found = of(
        "[Definition]\nactionban = /bin/bash -c 'curl -d \"text=<ip> is out\" https://a.example >/dev/null'\n"
    )

    assert [request.parts[0].text for _, request in found.requests] == ["text=<ip> is out"]


def test_a_condition_on_restored_bans_always_holds(of):
    found = of(
        "[Definition]\nactionban = if [ '<restored>' = '0' ]; then\n  curl -d 'text=<ip> is out' https://a.example; fi\n"
    )

    assert (len(found.requests), found.notes) == (1, [])


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("echo <ip> >> /var/log/banned.log", None),
        ("python3 /opt/ban.py <ip>", "is not run, as no command is; exec[command=...] runs one of yours"),
        ("printf x | mail -s 'Banned <ip>' root", "use sendmail-whois[dest=...], or mail[dest=...]"),
        (
            "curl -d 'text=<ip> of $(whois <ip>)' https://a.example",
            "there is no shell to compute $(whois <ip>)",
        ),
        ("curl -d @/tmp/x https://a.example", "a file or standard input cannot be sent"),
        ("wget -q https://a.example/?ip=<ip>", "write it as a curl line"),
        ("[ -f /tmp/x ] && true", "is a condition, and what it guards is always done"),
        ("curl 'https://a.example", "a ' has no end"),
        ("curl -d '<ip> %x' https://a.example", "a lone `%` means nothing here"),
        ("curl -s -X POST https://api.example/block/<ip>", "one request for each address"),
        (
            """curl --json '{"ip": "<ip>", "why": "<name>"}' https://api.example""",
            "one request for each address",
        ),
        ("curl -d ip=<ip> -d categories=18 https://api.example", "one request for each address"),
    ],
)
def test_what_is_not_carried_over_is_named(of, line, note):
    # A shell inside double quotes would compute it; single quotes keep it.
    found = of(
        f"[Definition]\nactionban = {line.replace(chr(39) + 'text=<ip> of', chr(34) + 'text=<ip> of').replace(')' + chr(39), ')' + chr(34))}\n"
    )

    assert found.requests == []
    assert ([note in each for each in found.notes] == [True]) if note else found.notes == []


def test_a_note_names_the_line_without_the_webhooks_path(of):
    text = "[Definition]\nactionban = curl -d x$Y https://hooks.example/services/secret\n"

    assert of(text).notes == [
        "2: actionban: `curl https://hooks.example/…` is not sent: there is no shell to compute $Y"
    ]


def test_what_drops_packets_is_done_in_any_case(of):
    found = of(
        "[Definition]\nactionban = iptables -A INPUT -s <ip> -j DROP\nactionstart = <iptables> -N f2b\n"
    )

    assert (found.requests, found.notes) == ([], [])
    assert found.firewall == [
        "3: actionstart: <iptables> -N f2b",
        "2: actionban: iptables -A INPUT -s <ip> -j DROP",
    ]


def test_an_event_may_have_several_requests_and_includes_of_fail2ban_are_not_missed(of):
    found = of(
        "[INCLUDES]\nbefore = helpers-common.conf\n[Definition]\n"
        "actionban = curl -d '<ip> is out' https://a.example\n  curl -d 'by <name>' https://a.example\n"
    )

    assert [request.parts[0].text for _, request in found.requests] == ["<ip> is out", "by web"]
    assert found.notes == []


def test_requests_to_several_places_are_grouped(of):
    text = "[Definition]\nactionstart = curl -d up https://a.example\nactionban = curl -d '<ip> is out' https://b.example\nactionunban = curl -d '<ip> is in' https://b.example\n"

    assert [[event for event, _ in group] for group in by_destination(of(text).requests)] == [
        [AlertEvent.START],
        [AlertEvent.BAN, AlertEvent.UNBAN],
    ]


def test_a_file_is_found_where_there_are_actions_in_it(tmp_path):
    (tmp_path / "filters").mkdir()
    (tmp_path / "filters" / "slack.conf").write_text("[Definition]\nfailregex = ^x <HOST>$\n")

    assert find("slack", [tmp_path / "filters"]) is None
    assert find("slack", [tmp_path / "filters", TUTORIAL]) == TUTORIAL / "slack.conf"
    assert find("../slack", [TUTORIAL / "x"]) is None


@pytest.mark.parametrize("path", sorted(STOCK.glob("*.conf")), ids=lambda path: path.stem)
def test_each_of_fail2bans_own_files_is_read_without_an_error(path):
    """None of them sends a text by curl; a note or our own firewall stands for each line."""
    found = read(path, {"name": "web", "port": "http"})

    assert found.requests == []
