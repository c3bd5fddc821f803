from sidecar.cli import tables
from tests.support.effort import takes_less_than


def ban(ip, until, **more):
    return {
        "ip": ip,
        "jail": "login",
        "until": until,
        "failures": 3,
        "site": "blog",
        "times": 1,
        "observed": False,
        "reason": "",
        "cause": "failures",
        **more,
    }


def test_no_ban_is_a_sentence(capsys):
    tables.show_bans(iter([]), now=0.0)

    assert capsys.readouterr().out == "no address is banned\n"


def test_a_program_reads_one_line_for_each_ban(capsys):
    many = [ban(f"198.51.{number >> 8}.{number & 255}", 160.0, site="x" * 300) for number in range(20_000)]
    assert takes_less_than(5, lambda: tables.show_bans(iter(many), now=100.0), tries=1)
    assert len(capsys.readouterr().out.splitlines()) == 20_002  # a blank line, and the titles


def test_a_reason_is_neither_markup_nor_a_command_to_the_terminal(capsys):
    tables.show_bans(iter([ban("203.0.113.7", None, reason="[red]\x1b[2J")]), now=0.0)

    assert "[red]\\x1b[2J" in capsys.readouterr().out
