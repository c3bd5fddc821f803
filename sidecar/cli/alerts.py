# ruff: noqa: PLC0415 - the senders are loaded only where they are used
"""`alert test`: whether messages to people arrive. It needs no daemon, and sends by the same senders."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from sidecar.cli.options import Filters, Jails, Json

commands = typer.Typer(rich_markup_mode=None)
alert = typer.Typer(name="alert", help="Messages to people: try whether they arrive.", rich_markup_mode=None)
commands.add_typer(alert)


@alert.callback()
def _family() -> None:
    """Have `test` be a word of its own, though it is the only one."""


@alert.command("test")
def alert_test(
    sender: Annotated[
        str, typer.Option("--sender", metavar="NAME", help="Only this one: slack, mail, webhook …")
    ] = "",
    *,
    ban: Annotated[
        bool,
        typer.Option("--ban", help="Send what a ban of 203.0.113.7 would send, instead of one sentence."),
    ] = False,
    jails: Jails = None,
    filters: Filters = None,
    as_json: Json = False,
) -> None:
    """Send one message by each sender of the configuration, and show what became of it."""
    from sidecar.cli import alert_test as implementation

    raise typer.Exit(implementation.run(os.environ, jails, filters, sender, ban=ban, as_json=as_json))
