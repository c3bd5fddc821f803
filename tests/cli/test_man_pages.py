"""Each command has a man page that is up to date, and that the programs that show man pages accept."""

import os
import subprocess

import pytest

from tests.cli.man_pages import FOLDER, pages

PAGES = pages()


def test_the_pages_in_the_repository_are_those_of_the_commands():
    written = {path.name: path.read_text() for path in FOLDER.glob("*.1")}

    assert sorted(written) == sorted(PAGES), "make man"
    assert [name for name in written if written[name] != PAGES[name]] == [], "make man"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_fault_and_shows_what_help_does(tmp_path, name):
    path = tmp_path / name
    path.write_text(PAGES[name])

    lint = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True, check=False
    )
    assert lint.stdout + lint.stderr == ""
    shown = subprocess.run(
        ["man", "--warnings", "-l", path], capture_output=True, text=True, check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MAN_KEEP_FORMATTING": ""},
    )  # fmt: skip
    assert shown.stderr == ""
    words = [word for word in name.removesuffix(".1").split("-")[2:] if len(word) > 2]
    assert all(word in shown.stdout for word in (*words, "NAME", "SYNOPSIS", "OPTIONS"))


def test_text_is_no_instruction_to_the_formatter():
    page = PAGES["wp-sidecar-import.1"]

    assert "\\-\\-for \\-1 \\-\\-dry" in page
    assert "`" not in page
