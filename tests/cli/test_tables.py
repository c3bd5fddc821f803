import time

from sidecar.cli import tables


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


def test_bans_that_end_last_come_last(capsys):
    tables.show_bans(
        [ban("203.0.113.9", None), ban("203.0.113.8", 7_300.0), ban("203.0.113.7", 160.0)], now=100.0
    )
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line]

    assert [(row[0], row[4:]) for row in rows[1:]] == [
        ("203.0.113.7", ["1m", "3", "blog", "1", "failures"]),
        ("203.0.113.8", ["2h", "3", "blog", "1", "failures"]),
        ("203.0.113.9", ["3", "blog", "1", "failures"]),  # `for good` is two words, and no time remains
    ]


def test_no_ban_is_a_sentence(capsys):
    tables.show_bans([], now=0.0)

    assert capsys.readouterr().out == "no address is banned\n"


def test_a_program_reads_one_line_for_each_ban(capsys):
    many = [ban(f"198.51.{number >> 8}.{number & 255}", 160.0, site="x" * 300) for number in range(20_000)]
    began = time.process_time()
    tables.show_bans(many, now=100.0)

    assert len(capsys.readouterr().out.splitlines()) == 20_002  # a blank line, and the titles
    assert time.process_time() - began < 5  # rich takes twice as long, and longer with each of 100,000


def test_a_reason_is_neither_markup_nor_a_command_to_the_terminal(capsys):
    tables.show_bans([ban("203.0.113.7", None, reason="[red]\x1b[2J")], now=0.0)

    assert "[red]\\x1b[2J" in capsys.readouterr().out
