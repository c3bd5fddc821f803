# ruff: noqa: PLC0415 - `run` alone needs the daemon, and tables alone need rich
"""`run`, `status`, `doctor`, `reload` and `healthcheck`: the daemon itself."""

from __future__ import annotations

import gc
import os
import time
from typing import Annotated

import typer

from sidecar.cli.options import Filters, Jails, Json, Socket, Wide, socket_path
from sidecar.cli.stdio import write_error, write_json, write_line
from sidecar.control.client import NoDaemon, ask
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.control.protocol import HealthAnswer, HealthRequest, ReloadAnswer, ReloadRequest, StatusRequest
from sidecar.core.text import printable

commands = typer.Typer(rich_markup_mode=None)

# Docker gives a health check 30 s by default.
HEALTH_TIMEOUT_S = 3.0
# Filters are read and tried; ours take a second.
RELOAD_TIMEOUT_S = 60.0


@commands.command()
def run(
    *,
    jails: Jails = None,
    filters: Filters = None,
    socket: Socket = None,
    flush_on_exit: Annotated[
        bool,
        typer.Option("--flush-on-exit", help="End all bans when it stops; by default they stay in force."),
    ] = False,
) -> None:
    """Run the daemon in the foreground: read logs, ban attackers."""
    from sidecar.cli import run as implementation

    raise typer.Exit(implementation.run(jails, filters, socket, flush_on_exit=flush_on_exit))


@commands.command()
def restore() -> None:
    """Put the stored bans into the kernel, before the daemon runs.

    It is for a unit that starts before Docker.
    """
    from sidecar.app.restore import restore
    from sidecar.config.state import state_directory
    from sidecar.firewall import FirewallError, NoPermission
    from sidecar.stores.base import StoreError

    # The process ends with this. With 50,000 bans the collector would take a fifth of the time.
    gc.disable()
    try:
        restored = restore(state_directory(os.environ), time.time())
    except NoPermission as err:
        raise Failed(ExitCode.NO_PERMISSION, str(err)) from err
    except (FirewallError, StoreError) as err:
        raise Failed(ExitCode.CONFIG, str(err)) from err
    write_line(
        "the table is in force already" if restored.was_in_force else f"bans restored: {restored.bans:d}"
    )


@commands.command()
def status(*, wide: Wide = False, socket: Socket = None, as_json: Json = False) -> None:
    """Show what the daemon watches, and whether it is healthy."""
    answer = ask(socket_path(socket), StatusRequest())
    if as_json:
        write_json(answer)
        return
    from sidecar.cli import tables

    tables.show_status(answer, time.time(), wide=wide)


@commands.command()
def doctor(
    *,
    wrong: Annotated[bool, typer.Option("--wrong", help="Show only what is wrong.")] = False,
    jails: Jails = None,
    filters: Filters = None,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Check this host and each site, and name the line to change.

    The exit code is 0 or 1. The daemon may run or not.
    """
    from sidecar.advice.doctor import examine
    from sidecar.cli import doctor as implementation
    from sidecar.cli.doctor_facts import collect

    findings = examine(collect(os.environ, jails, filters, socket_path(socket)))
    raise typer.Exit(implementation.show(findings, only_wrong=wrong, as_json=as_json))


@commands.command()
def reload(*, socket: Socket = None, as_json: Json = False) -> None:
    """Read jails, filters and secrets again. With any error nothing changes."""
    answer = ask(socket_path(socket), ReloadRequest(), RELOAD_TIMEOUT_S)
    if as_json:
        write_json(answer)
    else:
        _show_reload(answer)
    raise typer.Exit(ExitCode.OK if answer["ok"] else ExitCode.CONFIG)


@commands.command()
def healthcheck(*, socket: Socket = None, as_json: Json = False) -> None:
    """Ask the daemon whether it works: exit 0 or 1."""
    health = _health(socket)
    healthy = health["live"] and health["ready"]
    if as_json:
        write_json(health)
    elif healthy:
        write_line("ok")
    else:
        for sentence in health["why"] or ["not ready"]:
            write_error(sentence)
    raise typer.Exit(ExitCode.OK if healthy else ExitCode.NO)


def _health(socket: Socket) -> HealthAnswer:
    """Return the daemon's health; a daemon that does not answer is not healthy."""
    try:
        return ask(socket_path(socket), HealthRequest(), HEALTH_TIMEOUT_S)
    except (NoDaemon, PermissionError) as err:
        return {"live": False, "ready": False, "why": [str(err)]}


def _show_reload(answer: ReloadAnswer) -> None:
    from sidecar.config.errors import ConfigError

    if not answer["ok"]:
        for error in answer["mistakes"]:
            write_error(str(ConfigError(**error)))
        write_error("nothing was changed, the old configuration stays in force")
        return
    for note in answer["notes"]:
        write_line(f"note: {printable(note)}")
    for setting in answer["restart"]:
        write_line(f"takes effect after a restart: {printable(setting)}")
    write_line(f"in force now: {', '.join(answer['jails'])}")
