import subprocess

import pytest

from sidecar.config.shell_words import commands


def words(text):
    return [command.words for command in commands(text)]


@pytest.mark.parametrize(
    "text",
    [
        """a b  c""",
        """a 'b c' "d e" f\\ g h'i'"j"k""",
        """a "x \\" y \\\\ z \\$ \\` \\n" '\\"'""",
        """a '' "" b""",
        """a b\\\n  c""",
        """a {"x": 1} b#c # d e""",
        """a "it's" '"q"' é☕""",
        """a $ "$" 5$""",
    ],
)
def test_words_are_those_of_a_shell(text):
    script = text.replace("a ", "printf '%s\\0' a ", 1)
    shell = (
        subprocess.run(["sh", "-c", script], check=True, capture_output=True).stdout.decode().split("\0")[:-1]
    )

    assert words(text) == [shell]


def test_commands_are_split_where_a_shell_splits_them():
    found = commands("a 1; b 2 && c || d | e 'x;y' & f\ng\n\n;")

    assert [(command.before, command.name) for command in found] == [
        ("", "a"), (";", "b"), ("&&", "c"), ("||", "d"), ("|", "e"), ("&", "f"), ("\n", "g"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "a b >/dev/null",
        "a b > /dev/null 2>&1",
        "a >x b",
        "a b &>/dev/null",
        "a b 2>/dev/null",
        "a b < x",
        "a b >>x",
    ],
)
def test_redirections_are_left_out(text):
    assert words(text) == [["a", "b"]]


def test_a_tag_is_no_redirection():
    assert words("a <ip> x<name>y 'p<time>' <F-USER>") == [["a", "<ip>", "x<name>y", "p<time>", "<F-USER>"]]


def test_what_only_a_shell_could_do_is_noted():
    (command,) = commands('a "x $HOME y" `date` ${X:-1} $(whois <ip> | tail) $1')

    assert command.words == ["a", "x  y", "", "", "", ""]
    assert command.computed == ["$HOME", "`date`", "${X:-1}", "$(whois <ip> | tail)", "$1"]


def test_the_name_of_this_host_is_a_tag():
    assert words('a "$(hostname -f)" `hostname` ${HOSTNAME} $(uname -n)') == [["a", *["<fq-hostname>"] * 4]]


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a 'b\nc"])
def test_a_quote_without_an_end_is_an_error(text):
    with pytest.raises(ValueError, match="has no end"):
        commands(text)


def test_a_program_is_known_by_its_name():
    (command,) = commands("/usr/bin/curl -s x")

    assert (command.name, command.text) == ("curl", "/usr/bin/curl -s x")
