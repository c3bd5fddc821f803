"""The table of commands, and what another command costs: one file, as the part of this one above the tests."""

import pytest
import typer

from sidecar.cli import main
from sidecar.cli.app import FAMILIES, make_app
from sidecar.cli.options import Address, Json, Socket, socket_path
from sidecar.cli.stdio import write_json, write_line
from sidecar.control.client import ask
from sidecar.control.protocol import ExplainRequest

commands = typer.Typer(rich_markup_mode=None)


@commands.command("is-banned")
def is_banned(address: Address, *, socket: Socket = None, as_json: Json = False) -> None:
    """Say whether any jail bans an address."""
    answer = ask(socket_path(socket), ExplainRequest(address))
    jails = [standing["jail"] for standing in answer["jails"] if standing["ban"]]
    if as_json:
        write_json({"jails": jails})
    else:
        write_line(", ".join(jails) or "not banned")


def run(capsys, *args):
    with pytest.raises(SystemExit) as end:
        main([*args], make_app((*FAMILIES, commands)))
    return end.value.code, capsys.readouterr().out


def test_another_command_is_one_file_and_its_name_in_the_table(daemon, capsys):
    daemon.answers["explain"] = {
        "ip": "203.0.113.7",
        "within": [],
        "jails": [{"jail": "login", "ban": {}}, {"jail": "mail", "ban": None}],
    }
    assert run(capsys, "is-banned", "203.0.113.7") == (0, "not banned\n")

    daemon.answers["explain"]["jails"][1]["ban"] = {"ip": "203.0.113.7"}
    assert run(capsys, "is-banned", "203.0.113.7", "--json") == (0, '{"jails": ["mail"]}\n')
    code, out = run(capsys, "--help")
    assert (code, "is-banned" in out, "Say whether any jail bans an address." in out) == (0, True, True)


def test_every_command_says_what_it_does(capsys):
    names = "run status reload healthcheck bans ban unban history explain check-config replay test-filter"
    _, out = run(capsys, "--help")

    for name in names.split():
        (line,) = (line for line in out.splitlines() if line.split()[:1] == [name])
        assert line.removeprefix(f"  {name}").strip()


def test_the_help_says_of_each_command_a_whole_sentence(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    _, out = run(capsys, "--help")

    assert "..." not in out.replace("[ARGS]...", "")


@pytest.mark.parametrize("command", ["healthcheck", "status", "bans", "check-config"])
def test_the_kernel_ends_a_command_before_the_daemon_whose_memory_limit_it_shares(wp, here, command):
    wp(command)
    assert (here / "oom_score_adj").read_text() == "1000"


@pytest.mark.parametrize("command", ["run", "restore"])
def test_the_kernel_does_not_end_the_daemon_first(wp, here, command):
    wp(command, "--no-such-option")
    assert not (here / "oom_score_adj").exists()
