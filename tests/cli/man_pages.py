"""The man pages, written by click-man from the commands: `python -m tests.cli.man_pages` writes them to man/.

click-man itself looks for options of Click's own class, and Typer has a copy of Click. So its page is filled here.
"""

from __future__ import annotations

import re
from inspect import cleandoc

import typer.main
from click_man.man import ManPage

from sidecar import __version__
from sidecar.cli.app import make_app
from tests.support.paths import ROOT

FOLDER = ROOT / "man"
# Of the last release, so that pages only change with the commands.
DATE = "2026-11-30"


def pages():
    """Every page by the name of its file."""
    return dict(_pages("wp-sidecar", typer.main.get_command(make_app()), None))


def _pages(name, command, parent):
    context = command.context_class(command, info_name=name, parent=parent, **command.context_settings)
    yield f"{context.command_path.replace(' ', '-')}.1", _page(command, context)
    for word, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            yield from _pages(word, each, context)


def _page(command, context):
    page = ManPage(context.command_path)
    page.version, page.date = f"wp-sidecar {__version__}", DATE
    page.short_help = _escaped(cleandoc(command.help).partition("\n")[0].partition(". ")[0].rstrip("."))
    paragraphs = [cleandoc(command.help), command.epilog or ""]
    page.description = "\n\n".join(_escaped(each) for each in paragraphs if each)
    page.synopsis = " ".join(command.collect_usage_pieces(context))
    shown = [each for each in command.get_params(context) if not getattr(each, "hidden", False)]
    page.options = [
        (record[0].replace("\\", "\\e"), _escaped(record[1]))
        for each in shown
        if (record := _record(each, context))
    ]
    page.commands = [
        (each, _escaped(sub.get_short_help_str(120)))
        for each, sub in getattr(command, "commands", {}).items()
        if not sub.hidden
    ]
    # click-man begins this section with an empty paragraph.
    return str(page).replace(".SH COMMANDS\n.PP\n", ".SH COMMANDS\n")


def _record(param, context):
    """The name of an option or an argument as it is written, and its help."""
    if param.param_type_name == "argument":
        return param.make_metavar(context), param.help or ""
    return param.get_help_record(context)


def _escaped(text):
    """Text as roff: nothing in it is an instruction, and a hyphen that people copy is a minus."""
    text = text.replace("\\", "\\e").replace("`", "\\(ga")
    lines = re.sub(r"(?<!\w)-|(?<=-)-", r"\\-", text).split("\n")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in lines)


if __name__ == "__main__":
    for old in FOLDER.glob("*.1"):
        old.unlink()
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
