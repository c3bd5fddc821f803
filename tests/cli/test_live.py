from __future__ import annotations

import json
import threading
import time

import pytest

from sidecar.cli import main
from sidecar.control.server import ControlApplication, ControlSocket, Refused, control_server

AT = 1_795_336_803.0
BAN = {
    "ip": "203.0.113.7",
    "jail": "wordpress",
    "at": AT,
    "until": None,
    "cause": "failures",
    "failures": 3,
    "site": "blog\x1b[2J",  # a container's name is somebody's text too
    "reason": "",
    "times": 2,
    "observed": False,
    "evidence": ["fail 203.0.113.7"],
}
STATUS = {
    "version": "0.1.0",
    "started": AT,
    "jails": [
        {
            "name": "wordpress",
            "maxretry": 3,
            "findtime": 10_800.0,
            "bantime": None,
            "increment": False,
            "window": "sliding",
            "mode": "enforce",
            "bangroup": 0,
            "failures": 9,
            "bans": 2,
            "active": 1,
            "observed": 0,
            "leaks": 1,
        },
        {
            "name": "probes",
            "maxretry": 10,
            "findtime": 600.0,
            "bantime": 3_600.0,
            "increment": True,
            "window": "fail2ban",
            "mode": "observe",
            "bangroup": 3,
            "failures": 0,
            "bans": 0,
            "active": 0,
            "observed": 12,
            "leaks": 0,
        },
    ],
    "streams": [{"container": "blog", "state": "following"}],
    "firewall": {"ok": False, "enforced": [1, 3], "dropped": {"4": [12, 720], "6": [0, 0]}},
    "bans": 1,
    "health": {"live": True, "ready": False, "why": ["the firewall table [red]is gone[/red]"]},
}


class Daemon:
    """Answers as told, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.answers = {"status": STATUS, "bans": {"bans": [BAN]}, "health": STATUS["health"]}

    def __call__(self, request):
        self.asked.append(request)
        if request["do"] not in self.answers:
            raise Refused("10.0.0.1 is never banned: it is a private address")
        return self.answers[request["do"]]


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    answering = Daemon()
    control = control_server(ControlSocket(tmp_path / "s"), ControlApplication(answering))
    thread = threading.Thread(target=control.run)
    thread.start()
    monkeypatch.setenv("WP_SIDECAR_SOCKET", str(tmp_path / "s"))
    yield answering
    control.close()
    thread.join(5)


@pytest.fixture
def wp(capsys):
    """Runs a command: its exit code, its lines without blanks at their ends, what it said of errors."""

    def wp(*args: str) -> tuple[int, list[str], str]:
        with pytest.raises(SystemExit) as end:
            main(list(args))
        out, err = capsys.readouterr()
        return end.value.code, [line.rstrip() for line in out.splitlines()], err

    return wp


@pytest.mark.usefixtures("daemon")
def test_status_is_tables(wp):
    code, lines, _ = wp("status")

    assert code == 0
    assert lines[0].startswith("wp-sidecar 0.1.0, up ") and lines[0].endswith(", 1 banned")
    assert lines[1:] == [
        "not well",
        "  the firewall table [red]is gone[/red]",
        "",
        "jail       maxretry  findtime  bantime   failures  bans  banned now  observed  policy",
        "wordpress  3         3h        for good  9         2     1",
        (
            "probes     10        10m       1h        0         0     0           12        "
            "observes only, bans grow, counts as fail2ban, /24 from 3"
        ),
        "",
        "container  state",
        "blog       following",
        "",
        "dropped  packets  bytes",
        "IPv4     12       720",
        "IPv6     0        0",
        "1 of 3 bans are in force",
        "logged again while banned: 1; the log says how they get in",
        "the firewall table is not as it should be; see the log",
    ]


def test_bans_are_a_table_those_for_good_last(daemon, wp):
    until = time.time() + 7_200 + 30
    soon = BAN | {"ip": "2001:db8::/64", "until": until, "reason": "by hand", "failures": 0, "site": ""}
    daemon.answers["bans"] = {"bans": [BAN, soon]}

    head, first, last = wp("bans")[1][1:]

    assert head.split() == ["address", "jail", "until", "remaining", "failures", "site", "times", "reason"]
    assert first.startswith("2001:db8::/64  wordpress  20") and first.endswith("by hand")
    assert " 2h " in first
    assert last.split() == ["203.0.113.7", "wordpress", "for", "good", "3", "blog\\x1b[2J", "2", "failures"]


def test_those_who_are_only_observed_are_told_apart(daemon, wp):
    daemon.answers["bans"] = {"bans": [BAN, BAN | {"ip": "203.0.113.8", "observed": True}]}

    assert [line.rpartition("  ")[2] for line in wp("bans")[1][2:]] == ["failures", "failures, only observed"]
    assert [line.split()[0] for line in wp("bans", "--observed")[1][2:]] == ["203.0.113.8"]
    assert [ban["ip"] for ban in json.loads(wp("bans", "--observed", "--json")[1][0])["bans"]] == [
        "203.0.113.8"
    ]


def test_the_past_of_someone(daemon, wp):
    daemon.answers["history"] = {"ip": "203.0.113.7", "times": {"wordpress": 3, "probes": 1}}

    assert wp("history", "203.0.113.7") == (
        0,
        ["203.0.113.7 was banned 3 times in wordpress", "203.0.113.7 was banned 1 time in probes"],
        "",
    )
    assert daemon.asked == [{"do": "history", "who": "203.0.113.7"}]
    daemon.answers["history"] = {"ip": "203.0.113.7", "times": {}}
    assert wp("history", "203.0.113.7")[1] == ["203.0.113.7 was never banned, as far as is remembered"]


def stands(jail, **more):
    usual = {"never": None, "failures": 0, "maxretry": 3, "findtime": 600.0, "times": 0, "ban": None}
    return {"jail": jail, **usual, **more}


def test_how_someone_stands(daemon, wp):
    jails = [
        stands("login", failures=2, times=4),
        stands("mail", never="ignoreip"),
        stands("probes", times=3, ban=BAN),
        stands("shop", times=1, ban=BAN | {"observed": True, "cause": "manual", "reason": "a\x1bguess"}),
    ]
    daemon.answers["explain"] = {"ip": "203.0.113.7", "within": ["203.0.113.0/24"], "jails": jails}

    assert wp("explain", "203.0.113.7") == (
        0,
        [
            "203.0.113.7 lies in 203.0.113.0/24, which is banned",
            "login: 2 of 3 failures within 10m; banned 4 times before",
            "mail: never banned, it is ignoreip",
            "probes: banned for good, failures; banned 2 times before",
            "shop: would be banned, and is only observed for good, a\\x1bguess",
        ],
        "",
    )
    assert daemon.asked == [{"do": "explain", "who": "203.0.113.7"}]


def test_who_is_never_banned_is_one_sentence(daemon, wp):
    jails = [stands("login", never="a gateway"), stands("mail", never="a gateway")]
    daemon.answers["explain"] = {"ip": "192.0.2.1", "within": [], "jails": jails}

    assert wp("explain", "192.0.2.1")[1] == ["192.0.2.1 is never banned: it is a gateway"]


RELOADED = {
    "ok": True,
    "jails": ["wordpress", "probes"],
    "notes": ["[probes]: a\x1bnote"],
    "mistakes": [],
    "restart": ["WP_SIDECAR_REDIS_URL"],
}
MISTAKE = {"file": "/jails.conf", "section": "mail", "key": "maxretry", "message": "is wrong", "line": 3}


def test_a_reload_says_what_is_in_force(daemon, wp):
    daemon.answers["reload"] = RELOADED

    assert wp("reload") == (
        0,
        [
            "note: [probes]: a\\x1bnote",
            "needs a restart to be taken over: WP_SIDECAR_REDIS_URL",
            "in force now: wordpress, probes",
        ],
        "",
    )
    assert json.loads(wp("reload", "--json")[1][0]) == RELOADED


def test_a_reload_with_mistakes_tells_them_as_check_config_does(daemon, wp):
    daemon.answers["reload"] = RELOADED | {"ok": False, "mistakes": [MISTAKE, MISTAKE | {"line": None}]}

    assert wp("reload") == (
        78,
        [],
        (
            "wp-sidecar: /jails.conf:3: mail.maxretry: is wrong\n"
            "wp-sidecar: /jails.conf: mail.maxretry: is wrong\n"
            "wp-sidecar: nothing was changed, the old configuration stays in force\n"
        ),
    )
    assert wp("reload", "--json")[0] == 78


def test_no_bans_is_a_sentence(daemon, wp):
    daemon.answers["bans"] = {"bans": []}

    assert wp("bans") == (0, ["nobody is banned"], "")


def test_as_json_the_answer_is_as_it_came(daemon, wp):
    daemon.answers["ban"], daemon.answers["unban"] = {"banned": [BAN]}, {"unbanned": []}
    commands = {
        "status": STATUS,
        "bans": {"bans": [BAN]},
        "ban 203.0.113.7": {"banned": [BAN]},
        "unban --all": {"unbanned": []},
    }

    assert {command: json.loads(wp(*command.split(), "--json")[1][0]) for command in commands} == commands


def test_a_ban_by_hand(daemon, wp):
    daemon.answers["ban"] = {"banned": [BAN]}
    said = (0, ["203.0.113.7 is banned in wordpress for good"], "")

    assert wp("ban", "203.0.113.7", "--jail", "wordpress", "--for", "2h", "--reason", "rude") == said
    assert wp("ban", "203.0.113.7", "--for", "-1") == said
    assert wp("ban", "203.0.113.7") == said
    asked = {"do": "ban", "who": "203.0.113.7", "jail": "", "for": None, "reason": ""}
    assert daemon.asked == [
        asked | {"jail": "wordpress", "for": 7_200, "reason": "rude"},
        asked | {"for": -1},
        asked,
    ]


def test_a_ban_says_until_when(daemon, wp):
    daemon.answers["ban"] = {"banned": [BAN | {"until": time.time() + 7_230}]}

    (line,) = wp("ban", "203.0.113.7")[1]
    assert line.startswith("203.0.113.7 is banned in wordpress until 20") and " (2h" in line


def test_a_ban_that_is_there_already(daemon, wp):
    daemon.answers["ban"] = {"banned": []}

    assert wp("ban", "203.0.113.7") == (0, ["203.0.113.7 is banned for at least as long already"], "")


@pytest.mark.usefixtures("daemon")
def test_a_refusal_is_the_daemons_sentence_and_exit_1(wp):
    assert wp("ban", "10.0.0.1") == (1, [], "wp-sidecar: 10.0.0.1 is never banned: it is a private address\n")


def test_a_wrong_duration_is_wrong_usage(daemon, wp):
    code, _, err = wp("ban", "203.0.113.7", "--for", "soon")

    assert code == 2
    assert "expected a duration such as 600, 10m, 1d12h or -1 (for good)" in err
    assert daemon.asked == []


def test_an_unban(daemon, wp):
    daemon.answers["unban"] = {"unbanned": [{"ip": "203.0.113.7", "jail": "wordpress"}]}
    said = (0, ["203.0.113.7 is let in again in wordpress"], "")

    assert wp("unban", "203.0.113.7", "--jail", "wordpress") == said
    assert wp("unban", "--all") == said
    assert daemon.asked == [
        {"do": "unban", "who": "203.0.113.7", "jail": "wordpress"},
        {"do": "unban", "who": None, "jail": ""},
    ]


def test_an_unban_of_who_is_not_banned_is_fine(daemon, wp):
    daemon.answers["unban"] = {"unbanned": []}

    assert wp("unban", "203.0.113.7") == (0, ["203.0.113.7 was not banned"], "")
    assert wp("unban", "--all") == (0, ["nobody was banned"], "")


def test_an_unban_on_every_node_of_the_fleet(daemon, wp):
    daemon.answers["unban"] = {"unbanned": [{"ip": "203.0.113.7", "jail": "wordpress"}], "fleet": 2}

    assert wp("unban", "--fleet", "203.0.113.7")[1] == [
        "203.0.113.7 is let in again in wordpress",
        "the fleet knew of 2 such bans, and is told to lift them",
    ]
    assert daemon.asked == [{"do": "unban", "who": "203.0.113.7", "jail": "", "fleet": True}]


def test_the_bans_of_the_fleet(daemon, wp):
    daemon.answers["bans"] = {"bans": [BAN]}

    assert wp("bans", "--fleet")[1][-1].startswith("203.0.113.7")
    assert daemon.asked == [{"do": "bans", "evidence": False, "fleet": True}]


@pytest.mark.parametrize("args", [[], ["203.0.113.7", "--all"]])
def test_an_unban_wants_an_address_or_all(daemon, wp, args):
    code, _, err = wp("unban", *args)

    assert code == 2
    assert "give an address, or --all" in err
    assert daemon.asked == []


def test_health_is_an_exit_code(daemon, wp):
    assert wp("healthcheck") == (1, [], "wp-sidecar: the firewall table [red]is gone[/red]\n")

    daemon.answers["health"] = {"live": True, "ready": True, "why": []}
    assert wp("healthcheck") == (0, ["ok"], "")
    assert wp("healthcheck", "--json") == (0, ['{"live": true, "ready": true, "why": []}'], "")

    daemon.answers["health"] = {"live": False, "ready": False, "why": []}
    assert wp("healthcheck") == (1, [], "wp-sidecar: not ready\n")


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
def test_without_a_daemon(wp, tmp_path, command):
    code, lines, err = wp(*command.split(), "--socket", str(tmp_path / "s"))

    assert code == (1 if command == "healthcheck" else 69)
    assert (lines, err) == (
        [],
        f"wp-sidecar: no wp-sidecar is running at {tmp_path}/s; start it, or say where with --socket\n",
    )
