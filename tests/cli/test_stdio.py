import json
import subprocess
import sys

import pytest

from sidecar.cli import stdio
from sidecar.cli.stdio import write_error, write_json, write_line

PROGRAM = """
import os, sys
from sidecar.cli.stdio import prepare
prepare()
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
print("b\xf6se \u2603")
os.write(2, b"lost")
sys.stderr.write("lost too")
sys.exit(file < 3)
"""


def play(tmp_path, redirected, **environ):
    """What the program writes to its standard output, and into a file that it opens; it ends well."""
    script = f'exec "$@" {redirected}'
    command = ["sh", "-c", script, "sh", sys.executable, "-c", PROGRAM, str(tmp_path / "file")]
    done = subprocess.run(command, stdout=subprocess.PIPE, env={"PYTHONUTF8": "1", **environ}, check=False)
    assert done.returncode == 0
    return done.stdout, (tmp_path / "file").read_bytes()


def test_no_file_is_taken_for_a_stream_that_was_closed(tmp_path):
    assert play(tmp_path, "2>&-") == ("b\xf6se \u2603\n".encode(), b"")
    assert play(tmp_path, "0<&- 1>&- 2>&-") == (b"", b"")


def test_what_an_encoding_lacks_is_written_as_an_escape(tmp_path):
    assert play(tmp_path, "2>&-", PYTHONIOENCODING="ascii") == (b"b\\xf6se \\u2603\n", b"")


def test_answers_go_to_standard_output_and_errors_to_standard_error(capsys):
    write_json({"a": "\x1b"})
    write_line("a line")
    write_error("a \x1bsentence")

    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert (json.loads(first), second) == ({"a": "\x1b"}, "a line")
    assert err == "wp-sidecar: a \\x1bsentence\n"


ADDRESS = "fd12:3456:789a:bcde:f012:3456:789a:bc00/120"


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(stdio, "terminal_width", lambda: 40)


def test_a_line_is_wrapped_between_words_on_a_terminal_alone(capsys, monkeypatch):
    text = f"  the ban of {ADDRESS} ends by itself in an hour"
    stdio.write_line(text)
    monkeypatch.setattr(stdio, "terminal_width", lambda: 40)
    stdio.write_line(text)
    stdio.write_row(text)

    assert capsys.readouterr().out.splitlines() == [
        text,
        "  the ban of",
        f"    {ADDRESS}",
        "    ends by itself in an hour",
        text,
    ]


def test_a_short_line_and_one_that_fits_stay_as_they_are(narrow):
    assert stdio.fitted("a  line") == "a  line"
    assert stdio.fitted("x" * 40) == "x" * 40
    assert stdio.fitted("\nseveral lines, each of which\nfits into the terminal") == (
        "\nseveral lines, each of which\nfits into the terminal"
    )


def test_colours_are_for_terminals_that_want_them(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stdio.write_styled("healthy", fg="green")
    monkeypatch.setenv("NO_COLOR", "1")
    stdio.write_styled("healthy", fg="green")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    stdio.write_styled("healthy", fg="green")

    coloured, *plain = capsys.readouterr().out.splitlines()
    assert coloured.startswith("\x1b[")
    assert plain == ["healthy", "healthy"]
