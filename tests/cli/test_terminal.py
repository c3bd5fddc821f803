"""What every command shows in a real terminal of 80 and of 132 columns: no word broken, nothing over the edge."""

from __future__ import annotations

import gzip
import itertools
import os
import re
import subprocess
import sys
import threading
import time

import pytest
import typer.main

from sidecar.cli.app import make_app
from sidecar.control.server import ControlApplication, ControlSocket, control_server
from tests.cli import week
from tests.cli.answering import AT, BAN, STATUS, Daemon
from tests.support.tmux import Terminal

# The longest that there are: a network's text, and a name that people still use.
NETWORK = "fd12:3456:789a:bcde:f012:3456:789a:bc00/120"
CONTAINER = "a-container-name-of-forty-characters-xyz"
JAIL = "wordpress-access"
# 400 days and half an hour from now: the text of what remains does not change while the test runs.
UNTIL = time.time() + 400 * 86_400 + 1_800
LINE = (
    f'{NETWORK[:-4]} - - [22/Nov/2026:08:40:04 +0000] "POST /wp-login.php?redirect_to=%2Fwp-admin%2F HTTP/1.1" 200 5112'
    ' "https://shop.example.org/wp-login.php" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"'
)
LONG = {
    "ip": NETWORK, "jail": JAIL, "until": UNTIL, "site": CONTAINER, "evidence": [LINE] * 3, "failures": 12_345,
    "reason": "by hand: this one guesses passwords, day and night",
}  # fmt: skip
BANS = [BAN | LONG, BAN | {"site": "blog"}]
STANDING = {
    "jail": JAIL, "never": None, "failures": 3, "maxretry": 5, "findtime": 600.0, "times": 4, "ban": BAN | LONG,
    "refused": None, "filter": JAIL, "lines": [LINE],
}  # fmt: skip
PAST = {
    "ip": NETWORK, "jail": JAIL, "at": AT, "until": UNTIL, "cause": "failures", "failures": 12_345, "site": CONTAINER,
    "reason": "", "times": 3, "observed": False, "ended": AT + 3_600, "ended_by": "manual",
}  # fmt: skip
LOG = {
    "container": CONTAINER,
    "state": "following",
    "format": "combined",
    "read": 1_234_567,
    "understood": 1_234_560,
}
ANSWERS = {
    "status": STATUS | {
        "streams": [LOG, *STATUS["streams"]],
        "labels": {CONTAINER: ["wp-sidecar.maxretry=10", "wp-sidecar.mode=observe", "wp-sidecar.findtime=1h"]},
        "jails": [each | {"name": JAIL} for each in STATUS["jails"]],
        "remarks": [f"filter {JAIL} never matched in {CONTAINER}, although 12,345 lines of it looked like a failure"],
    },
    "bans": {"bans": BANS},
    "history": {"ip": NETWORK, "times": {JAIL: 3, "wordpress-xmlrpc": 1}, "bans": [PAST, PAST | {"ended": None}]},
    "explain": {"ip": NETWORK, "within": [NETWORK], "jails": [STANDING, STANDING | {"ban": None}]},
    "ban": {"banned": BANS[:1]},
    "unban": {"unbanned": [{"ip": NETWORK, "jail": JAIL}]},
    "allow": {
        "allowed": [{"ip": NETWORK, "at": AT, "until": UNTIL, "comment": "the office of the shop"}], "unbanned": [], "alone": True,
    },
    "disallow": {"disallowed": [NETWORK]},
    "reload": {
        "ok": True, "jails": [JAIL, "wordpress-xmlrpc", "wordpress-probes", "wordpress-auth", "wordpress"],
        "notes": [f"{CONTAINER}: label wp-sidecar.findtime is shorter than the jail's, which holds"], "mistakes": [],
        "restart": ["WP_SIDECAR_LISTEN", "WP_SIDECAR_STATE"],
    },
    "allowed": {"allowed": [{"ip": NETWORK, "at": AT, "until": UNTIL, "comment": "the office of the shop"}] * 2},
    "import": {
        "banned": 0, "longer": 0, "allowed": 0, "known": 1, "over": 0, "unbanned": 0,
        "refused": [{"index": 0, "why": f"{NETWORK} is never banned: it is in {NETWORK}, which people allowed"}],
    },
    "health": STATUS["health"] | {"why": [f"the log of {CONTAINER} is not understood: none of 1,234 lines is a request"]},
}  # fmt: skip
JAILS = (
    f"[{JAIL}]\nmaxretry = 5\nfindtime = 10m\nbantime = 1h\n"
    '[wordpress-xmlrpc]\nbantime = 1h\naction = iptables-multiport[name=WordPress, port="http,https", protocol=tcp]\n'
)
FINDINGS = (
    "from sidecar.advice.finding import Finding\nfrom sidecar.cli import doctor\n"
    f"finding = Finding({CONTAINER!r}, False, 'of 1,234 requests 1,234 have {NETWORK} as their client', '{'set it ' * 20}')\n"
    "doctor.show([finding, finding._replace(ok=True, change='')], only_wrong=False, as_json=False)\n"
)
SIDECAR = (sys.executable, "-m", "sidecar")
# What may change the kernel gets one that nobody else has.
ALONE = ("unshare", "--net", *SIDECAR)
# A new command is a line here that begins with its name, and what the daemon answers in ANSWERS.
COMMANDS = {
    "status": [*SIDECAR, "status"],
    "bans": [*SIDECAR, "bans"],
    "history": [*SIDECAR, "history"],
    "history of an address": [*SIDECAR, "history", NETWORK],
    "explain": [*SIDECAR, "explain", NETWORK],
    "ban": [*SIDECAR, "ban", NETWORK],
    "unban": [*SIDECAR, "unban", NETWORK],
    "allow": [*SIDECAR, "allow", NETWORK],
    "allowed": [*SIDECAR, "allowed"],
    "disallow": [*SIDECAR, "disallow", NETWORK],
    "healthcheck": [*SIDECAR, "healthcheck"],
    "check-config": [*SIDECAR, "check-config"],
    "config show": [*SIDECAR, "config", "show"],
    "reload": [*SIDECAR, "reload"],
    "alert test": [*SIDECAR, "alert", "test"],
    "doctor": [sys.executable, "-c", FINDINGS],
    "test-filter": [*SIDECAR, "test-filter", JAIL, f"{CONTAINER}.log"],
    "replay": [*SIDECAR, "replay", f"{CONTAINER}.log"],
    "replay --against": [*SIDECAR, "replay", f"{CONTAINER}.log", "--against", "strict.conf"],
    "import": [*SIDECAR, "import", "networks.txt"],
    "import --dry-run": [*SIDECAR, "import", "--dry-run", "networks.txt"],
    "restore": [*ALONE, "restore"],
    "run: with a jail that is wrong": [*ALONE, "run", "--jails", "wrong.conf"],
    "a log that is not there": [*SIDECAR, "replay", f"/nowhere/{CONTAINER}.log"],
}  # fmt: skip
# What is written for a program, a shell or `import`: its lines are as long as they are.
DATA = {
    "export": [*SIDECAR, "export"],
    "export --text": [*SIDECAR, "export", "--text"],
    "completion": [*SIDECAR, "completion", "bash"],
}
# A command that draws a screen, and the test that does the same with it.
ELSEWHERE = {"top": "tests/cli/test_top.py"}
# A column begins behind at least two blanks.
COLUMN = re.compile(r"(?<=  )\S")
# What bars are made of depends on the width.
BARS = re.compile(r"[▁▂▃▄▅▆▇█#0-9.]+")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "jails.conf").write_text(JAILS)
    (folder / "strict.conf").write_text(week.STRICT)
    (folder / "networks.txt").write_text(f"{NETWORK}  # guesses\n{NETWORK}x\n")
    (folder / "wrong.conf").write_text(
        f"[{JAIL}]\nmaxretri = 5\nbantime = {CONTAINER}\nlogpath = {NETWORK} {CONTAINER}\n"
    )
    lines = f"{LINE}\n" * 6 + week.access_log() + "nobody knows what this line is\n"
    (folder / f"{CONTAINER}.log").write_text(lines)
    return folder


@pytest.fixture(scope="module")
def environ(folder):
    """A daemon at work, and the environment in which commands find it."""
    daemon = Daemon()
    daemon.answers |= ANSWERS
    control = control_server(ControlSocket(folder / "s"), ControlApplication(daemon))
    thread = threading.Thread(target=control.run)
    thread.start()
    yield {
        "WP_SIDECAR_SOCKET": str(folder / "s"),
        "WP_SIDECAR_JAILS": str(folder / "jails.conf"),
        "WP_SIDECAR_STATE": str(folder / "state"),
        # Nothing listens there.
        "WP_SIDECAR_WEBHOOK_URL": "http://127.0.0.1:9/a/webhook/that/nobody/answers",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TZ": "UTC",
    }  # fmt: skip
    control.close()
    thread.join(5)


@pytest.fixture(scope="module", params=[80, 132])
def terminal(request, folder):
    return Terminal(folder, request.param)


def in_folder(folder, argv):
    return ["sh", "-c", 'cd "$0" && exec "$@"', str(folder), *argv]


def names(command, before=()):
    """Yield the words of each command that does something."""
    commands = getattr(command, "commands", None)
    if commands is None:
        yield " ".join(before)
    for name, each in (commands or {}).items():
        yield from names(each, (*before, name))


def test_every_command_is_run_in_a_terminal():
    known = set(names(typer.main.get_command(make_app())))
    run = {" ".join(argv) for argv in (*COMMANDS.values(), *DATA.values())}

    covered = {
        name for name in known if name in ELSEWHERE or any(f"sidecar {name} " in f"{each} " for each in run)
    }
    assert known - covered == {"doctor"}
    assert "doctor.show" in " ".join(COMMANDS["doctor"])


@pytest.mark.parametrize("command", DATA)
def test_what_a_program_reads_is_the_same_in_a_terminal(terminal, folder, environ, command):
    argv = in_folder(folder, DATA[command])
    piped = subprocess.run(
        argv, env={"PATH": os.environ["PATH"], **environ}, text=True, check=True, capture_output=True
    ).stdout  # fmt: skip

    assert terminal.run(argv, environ).lines == [line.rstrip() for line in piped.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_keeps_to_the_terminal(terminal, folder, environ, command):
    argv = in_folder(folder, COMMANDS[command])
    screen = terminal.run(argv, environ)
    piped = subprocess.run(
        argv, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environ}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ).stdout  # fmt: skip

    text = "\n".join(screen.rows)
    assert "Traceback" not in text
    # The terminal itself had to break no line.
    assert screen.rows == screen.lines, text
    # Nor were words broken before: all that a program reads are there, but titles of columns that are empty.
    titles = words(" ".join(title_row for _, title_row in table_rows(piped.splitlines())))
    missing = {word for word in words(piped) - titles if not BARS.fullmatch(word)} - words(text)
    assert not missing, text
    for row, title_row in table_rows(screen.rows):
        for column in COLUMN.finditer(title_row):
            assert row[column.start() - 2 : column.start()].strip() == "", (title_row, row)
    assert screen.end_style == set()


def words(text):
    """The words of a text, without the microseconds that a line took, and expressions, which are cut with a mark."""
    found = re.sub(r"[\d.]+ microseconds", "", text).split()
    return {word for word in found if not re.search(r"[\\^]|\(\?|…", word)}


def table_rows(rows):
    """Yield each row of a table with the row of its titles."""
    for is_blank, group in itertools.groupby(rows, lambda row: not row):
        titles, *body = group
        if not is_blank and re.fullmatch(r"[a-z][A-Za-z ]*  [A-Za-z0-9 ]+", titles):
            yield from ((row, titles) for row in body if row[:1] not in (" ", "-") and "  " in row)


def test_colours_are_left_out_where_nobody_wants_them(terminal, folder, environ):
    argv = in_folder(folder, COMMANDS["status"])

    assert "\x1b[" in terminal.run(argv, environ).styled
    assert "\x1b[" not in terminal.run(argv, environ | {"NO_COLOR": "1"}).styled
    assert "\x1b[" not in terminal.run(argv, environ, term="dumb").styled


def test_a_progress_bar_leaves_nothing_behind(terminal, folder, environ):
    """The log is gzipped so that its beginning is a decision, and its end is long."""
    lines = week.access_log()
    noise = b"".join(b"%d %s\n" % (number, os.urandom(20).hex().encode()) for number in range(400_000))
    (folder / "long.log.gz").write_bytes(gzip.compress(lines.encode() + noise, 1))
    argv = in_folder(folder, [*SIDECAR, "replay", "long.log.gz"])

    screen = terminal.run(argv, environ)

    assert screen.rows == screen.lines
    bans = [row for row in screen.rows if re.match(r"2026-11-\d\d \S+  ban  ", row)]
    assert len(bans) == len(week.FAST)
    assert not [row for row in screen.rows if "reading" in row or "━" in row]
    assert screen.rows[-1].endswith("of them not counted (banned already)")
    assert screen.end_style == set()


def test_a_dumb_terminal_gets_neither_blocks_nor_escapes(terminal, folder, environ):
    screen = terminal.run(in_folder(folder, COMMANDS["replay"]), environ, term="dumb")

    text = "\n".join(screen.rows)
    assert "#" in text
    assert not re.search(r"[▁▂▃▄▅▆▇█]", text)
    assert "\x1b" not in screen.styled
