"""`--help` explains every command, option and argument, and shows an example that works as it stands."""

import pytest
import typer.main

from sidecar.cli.app import make_app
from sidecar.cli.examples import EXAMPLES
from tests.project.test_docs_commands import fault, words_of
from tests.support.paths import ROOT


def all_commands():
    """Every command by its words, groups included."""

    def walk(command, words):
        yield " ".join(words), command
        for name, each in getattr(command, "commands", {}).items():
            yield from walk(each, (*words, name))

    return dict(walk(typer.main.get_command(make_app()), ()))


COMMANDS = all_commands()
LEAVES = {name: command for name, command in COMMANDS.items() if not getattr(command, "commands", None)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_each_of_its_options_and_arguments_has_a_help_text(name):
    command = COMMANDS[name]

    assert command.help
    assert command.help.strip().endswith((".", "…"))
    assert [param.name for param in command.params if not (param.help or "").strip()] == []


@pytest.mark.parametrize("name", LEAVES)
def test_the_help_of_a_command_ends_with_an_example_of_it_that_is_right(name, wp):
    code, shown, _ = wp(*name.split(), "--help")

    assert code == 0
    assert name in EXAMPLES, f"add an example of `{name}` to sidecar/cli/examples.py, then `make man`"
    assert " ".join(shown.split()).endswith(f"Example: {EXAMPLES[name]}")
    words = words_of(EXAMPLES[name][EXAMPLES[name].index("wp-sidecar") :].rstrip(")"))
    assert words[: len(name.split())] == name.split()
    assert fault(words) is None


def test_every_command_that_answers_takes_json():
    """`run` answers nobody, `restore` is for a unit, and what `export` and `completion` write has a form already."""
    without = {
        name for name, each in LEAVES.items() if "--json" not in {o for p in each.params for o in p.opts}
    }

    assert without - {"top"} == {"run", "restore", "export", "completion"}


def test_the_page_about_the_command_line_has_every_command():
    page = (ROOT / "docs/cli.md").read_text()
    overview = page.partition("```")[2].partition("```")[0]
    headings = [
        word.strip(",") for line in page.splitlines() if line.startswith("## ") for word in line.split()
    ]

    assert [name for name in LEAVES if f"wp-sidecar {name} " not in overview] == []
    assert [name for name in LEAVES if not set(name.split()) <= set(headings)] == []
