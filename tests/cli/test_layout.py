"""Tables never break an address, whatever the width of the terminal."""

import itertools
import tracemalloc

import pytest

from sidecar.cli.layout import print_table, table

TITLES = ("address", "jail", "left", "failures", "container", "reason")
V6 = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ff00/120"
ROWS = [
    ("203.0.113.7", "wordpress-access", "59m", 5, "blog", ""),
    (V6, "wordpress-access", "23h59m", 5, "a-container-name-of-forty-characters-xyz", "by hand: two words"),
]


def test_where_everything_fits_a_row_is_a_line():
    assert list(table(("a", "b"), [(1, "x"), (22, "")], 80)) == ["a   b", "1   x", "22"]


def test_what_does_not_fit_stands_below_with_its_title():
    assert list(table(TITLES, ROWS, 80)) == [
        "address                                     jail              left    failures",
        "203.0.113.7                                 wordpress-access  59m     5",
        "    container blog",
        f"{V6}  wordpress-access  23h59m  5",
        "    container a-container-name-of-forty-characters-xyz",
        "    reason by hand: two words",
    ]


def test_without_a_terminal_a_row_is_a_line_however_wide(capsys):
    print_table(TITLES, ROWS)
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 4
    assert lines[0] == ""
    assert lines[3].endswith("a-container-name-of-forty-characters-xyz  by hand: two words")


@pytest.mark.parametrize("width", [*range(1, 140, 7), 80, 132])
def test_no_word_is_ever_broken_and_lines_stay_within_the_terminal(width):
    lines = list(table(TITLES, ROWS, width))
    text = "\n".join(lines)

    for word in " ".join(map(str, itertools.chain.from_iterable(ROWS))).split():
        assert word in text
    # The longest word with its title.
    assert all(len(line) <= max(width, 54) for line in lines)


def test_nothing_is_written_where_there_are_no_rows(capsys):
    print_table(TITLES, [])

    assert capsys.readouterr().out == ""


def test_the_memory_of_a_table_does_not_grow_with_its_rows():
    tracemalloc.start()
    rows = (("203.0.113.7", "x" * 50) for _ in range(50_000))
    assert sum(1 for _ in table(("address", "reason"), rows, 80)) == 50_001
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2_000_000


def test_a_cell_is_no_command_to_the_terminal():
    assert list(table(("reason",), [("\x1b[2J\n",)], 80))[1] == "\\x1b[2J\\n"
