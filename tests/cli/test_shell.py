"""The scripts of `completion` in real shells."""

import os
import subprocess

import pytest

from tests.cli.answering import BAN
from tests.support.paths import COMMAND
from tests.support.terminal import on_a_terminal


@pytest.fixture
def script(wp, tmp_path, monkeypatch, daemon):
    """Writes the script of a shell to a file; the shell finds our command."""
    monkeypatch.setenv("PATH", f"{os.path.dirname(COMMAND)}:{os.environ['PATH']}")  # noqa: PTH120
    daemon.answers["bans"] = {"bans": [BAN, BAN | {"ip": "2001:db8::/64"}]}

    def script(*args):
        code, out, _ = wp("completion", *args)
        assert code == 0
        (tmp_path / "script").write_text(out)
        return str(tmp_path / "script")

    return script


def completed(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


BASH = """
source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
_wp_sidecar
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("wp-sidecar unb", ["unban"]),
        ("wp-sidecar unban 203", ["203.0.113.7"]),
        # bash replaces what stands behind the last colon.
        ("wp-sidecar unban 2001:d", ["db8::/64"]),
        ("wp-sidecar bans --jail ", ["wordpress", "probes"]),
    ],
)
def test_bash(script, line, values):
    assert completed("bash", "--norc", "-c", BASH, "bash", script("bash"), line) == values


@pytest.mark.parametrize(
    ("line", "values"),
    [("wp-sidecar unb", ["unban"]), ("wp-sidecar unban ", ["203.0.113.7", "2001:db8::/64"])],
)
def test_fish(script, line, values):
    found = completed("fish", "--no-config", "-c", f'source {script("fish")}; complete -C "{line}"')

    assert sorted(each.partition("\t")[0] for each in found) == sorted(values)


@pytest.mark.parametrize(
    ("line", "whole"), [("wp-sidecar unb", "wp-sidecar unban "), ("wp-sidecar unban 2001:d", "2001:db8::/64")]
)
def test_zsh(script, tmp_path, line, whole):
    path = script("zsh")
    (tmp_path / ".zshrc").write_text(f"autoload -U compinit; compinit -u -D; source {path}; PS1='ready> '\n")
    with on_a_terminal("zsh", "-i", env={**os.environ, "ZDOTDIR": str(tmp_path), "TERM": "dumb"}) as terminal:
        assert "ready> " in terminal.until("ready> ")
        terminal.type(f"{line}\t")
        assert whole in terminal.until(whole)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_in_a_container_the_command_and_its_completion_run_there(script, shell, tmp_path, monkeypatch):
    """`docker` is a program that shows its arguments, and completes by the command of this host."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$2" = -i ] && exit\nshift 3\nexec {COMMAND} "$@"\n'
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    path = script(shell, "--container", "my-sidecar")
    commands = f"source {path}; wp-sidecar bans --jail x"
    if shell == "zsh":
        commands = f"compdef() {{ :; }}; {commands}"
    completed(shell, "-c", commands)
    if shell == "bash":
        assert completed("bash", "--norc", "-c", BASH, "bash", path, "wp-sidecar unban 203") == [
            "203.0.113.7"
        ]
        assert (tmp_path / "calls").read_text().splitlines()[1:] == [
            "exec my-sidecar wp-sidecar completion --line wp-sidecar unban 203"
        ]

    assert (tmp_path / "calls").read_text().splitlines()[0] == "exec -i my-sidecar wp-sidecar bans --jail x"


def test_a_shell_has_to_be_named_and_a_container_has_a_name(wp):
    assert wp("completion")[0] == 2
    assert wp("completion", "tcsh")[0] == 2
    assert wp("completion", "bash", "--container", "x; reboot")[0] == 2


def test_lines_have_a_candidate_and_its_help_each(wp):
    assert (
        wp("completion", "--line", "wp-sidecar unb")[1]
        == "unban\tUnban addresses; one that is not banned is not an error.\n"
    )
