import json
import stat
import sys

import pytest

from sidecar.alerts.command import CommandSender
from sidecar.alerts.compose import described
from sidecar.alerts.sender import MessageRefused, Rejected
from sidecar.core.actions import Action
from tests.alerts.support import ban

HOSTILE = "$(touch /tmp/x) `id`; 'a' \"b\" --option \n second"


@pytest.fixture
def program(tmp_path):
    """A program that writes what it was given into a file."""
    path = tmp_path / "program"
    path.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"json.dump([sys.argv[1:], json.load(sys.stdin), dict(os.environ)], open({str(tmp_path / 'got')!r}, 'w'))\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def command(*arguments, timeout=""):
    options = (("arguments", json.dumps([str(each) for each in arguments])), ("timeout", timeout))
    return CommandSender(Action("exec", "exec", options, source="jails.conf"), "web1")


def test_a_command_gets_arguments_and_json_and_no_shell(program, tmp_path):
    command(program, "<ip>", "line=<matches>", "<F-USER>").send(described(ban(7, lines=(HOSTILE,))), 5.0)
    arguments, given, environment = json.loads((tmp_path / "got").read_text())

    assert arguments == ["203.0.0.7", "line=" + HOSTILE.replace("\n", "\\n"), ""]
    assert (given["event"], given["address"], given["host"]) == ("ban", "203.0.0.7", "web1")
    assert set(environment) <= {"PATH", "LANG", "LC_CTYPE"}


def test_a_command_that_takes_too_long_is_ended():
    with pytest.raises(Rejected, match=r"took longer than 0\.2 s and was ended"):
        command("/bin/sleep", "60", timeout="0.2").send(described(ban()), 5.0)


def test_a_command_that_fails_says_why():
    with pytest.raises(Rejected, match=r"/bin/ls ended with 2: .*No such file"):
        command("/bin/ls", "/nowhere").send(described(ban()), 5.0)


def test_a_command_that_is_not_there_is_not_tried_again():
    with pytest.raises(
        MessageRefused, match=r"/nowhere/x cannot be run: No such file or directory: correct jails\.conf"
    ):
        command("/nowhere/x").send(described(ban()), 5.0)
