"""The command line's commands, in families: one file each, with a `typer.Typer` that is named here.

A file of a family loads what its commands need when they run, so `run` never loads rich, and `--help` loads little.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import typer

from sidecar import __version__
from sidecar.cli import alerts, allow, bans, config, daemon, explain, history, offline, shell, top, transfer
from sidecar.cli.examples import add_examples
from sidecar.control.exit_codes import ExitCode
from sidecar.runtime.memory import end_before_others

FAMILIES: Final = (
    daemon.commands, bans.commands, history.commands, explain.commands, allow.commands, transfer.commands,
    offline.commands, top.commands, alerts.commands, config.commands, shell.commands,
)  # fmt: skip

# What the kernel shall not end first if memory runs out.
THE_DAEMON: Final = ("run", "restore")


def make_app(families: Iterable[typer.Typer] = FAMILIES) -> typer.Typer:
    """Return the whole command line."""
    app = typer.Typer(
        name="wp-sidecar",
        help="Watches the logs of WordPress containers and drops attackers' packets on the host.",
        epilog="Exit codes: " + "; ".join(f"{code:d} {code.meaning}" for code in ExitCode) + ".",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for family in families:
        add_examples(family)
        app.add_typer(family)
    return app


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"wp-sidecar {__version__}")
        raise typer.Exit


def _options(
    context: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    del version
    # In the daemon's container all others share its memory limit: also the health check, every few seconds.
    if context.invoked_subcommand not in THE_DAEMON:
        end_before_others()
