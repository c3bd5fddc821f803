# ruff: noqa: PLC0415 - what the daemon knows is asked for only while a word is completed
"""`completion`: scripts for shells, and what they ask for while a person writes."""

from __future__ import annotations

import enum
import re
from typing import Annotated, Final

import typer

from sidecar.cli.stdio import write_row

commands = typer.Typer(rich_markup_mode=None)

CONTAINER_NAME: Final = re.compile(r"[a-zA-Z0-9][\w.-]*", re.ASCII)


class ShellName(enum.Enum):
    """The shells that there are scripts for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@commands.command()
def completion(
    shell: Annotated[
        ShellName | None, typer.Argument(metavar="bash|zsh|fish", help="The shell that reads the script.")
    ] = None,
    *,
    container: Annotated[
        str,
        typer.Option(
            "--container",
            metavar="NAME",
            help="Also define wp-sidecar as a command that runs it in this container.",
        ),
    ] = "",
    line: Annotated[
        str | None, typer.Option("--line", metavar="TEXT", help="A line that is being written.", hidden=True)
    ] = None,
) -> None:
    """Print a script for a shell that completes commands.

    It completes options, jails, sites and banned addresses too.
    """
    from sidecar.cli import completion as implementation
    from sidecar.cli.app import make_app

    if line is not None:
        for each in implementation.candidates(make_app(), line):
            write_row(f"{each.value}\t{each.help}")
        return
    if shell is None:
        raise typer.BadParameter("name a shell: bash, zsh or fish")
    if container and not CONTAINER_NAME.fullmatch(container):
        raise typer.BadParameter("is no container's name", param_hint="--container")
    write_row(implementation.script(shell.value, container).rstrip())
