# ruff: noqa: PLC0415 - what a command needs is imported when it runs
"""The command line: arguments in, sentences or JSON out, exit codes from `sidecar.control.exit_codes`.

So `run` never loads rich, and `--help` loads nothing.
"""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sidecar import __version__
from sidecar.core.events import Framing

app = typer.Typer(
    name="wp-sidecar",
    help="Watches the logs of WordPress containers and drops attackers' packets on the host.",
    epilog=(
        "Exit codes: 0 done, or yes; 1 no (unhealthy, refused); 2 wrong usage; 66 a log or filter cannot be "
        "read; 69 no daemon, or no container engine; 77 no permission; 78 mistakes in the configuration; "
        "141 whoever read the output went away."
    ),
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Jails: TypeAlias = Annotated[
    Path | None, typer.Option("--jails", metavar="FILE", help="Jails file, instead of WP_SIDECAR_JAILS.")
]
Filters: TypeAlias = Annotated[
    Path | None, typer.Option("--filters", metavar="DIR", help="Your filters, instead of WP_SIDECAR_FILTERS.")
]
Socket: TypeAlias = Annotated[
    Path | None,
    typer.Option("--socket", metavar="PATH", help="Control socket, instead of WP_SIDECAR_SOCKET."),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON for programs, instead of text.")]
Transport: TypeAlias = Annotated[
    Framing | None,
    typer.Option("--transport", help="How each line's own time is written; by default it is recognised."),
]
Log: TypeAlias = Annotated[str, typer.Argument(metavar="[LOG|-]", help="A log file; - is standard input.")]
InFleet: TypeAlias = Annotated[
    bool, typer.Option("--fleet", help="On all nodes of the fleet, held here or not.")
]
InJail: TypeAlias = Annotated[str, typer.Option("--jail", metavar="NAME", help="In this jail.")]


class Usedns(enum.Enum):
    """What `usedns` may be."""

    NO = "no"
    WARN = "warn"
    YES = "yes"
    RAW = "raw"


def main(args: list[str] | None = None) -> None:
    """Run the command that these arguments name (None: the process's own), and exit with its code."""
    from sidecar.cli.failures import said
    from sidecar.cli.streams import standard

    standard()
    with said():
        app(args)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"wp-sidecar {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    *,
    jails: Jails = None,
    filters: Filters = None,
    socket: Socket = None,
    flush_on_exit: Annotated[
        bool,
        typer.Option("--flush-on-exit", help="Lift all bans when it stops; by default they stay in force."),
    ] = False,
) -> None:
    """Watch, decide, ban: the daemon, in the foreground."""
    from sidecar.config import reader
    from sidecar.config.settings import Settings

    def read() -> Settings:
        return reader.read(
            os.environ, jails=jails, filters=filters, socket=socket, flush_on_exit=flush_on_exit
        )

    settings = read()
    from sidecar.app import (
        daemon,  # Docker, nftables and the rest: a mistake is told without waiting for them
    )

    raise typer.Exit(daemon.run(settings, read=read))


@app.command("check-config")
def check_config(*, jails: Jails = None, filters: Filters = None, as_json: Json = False) -> None:
    """Say all that is wrong with environment, jails and filters."""
    from sidecar.cli import offline

    raise typer.Exit(offline.check(os.environ, jails, filters, as_json=as_json))


@app.command("test-filter")
def filter_test(
    name: Annotated[str, typer.Argument(metavar="FILTER", help="A name, name[option=value], or a path.")],
    log: Log = "-",
    *,
    filters: Filters = None,
    transport: Transport = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="An option of the filter, as mode=aggressive; repeatable."
        ),
    ] = None,
    usedns: Annotated[
        Usedns | None,
        typer.Option("--usedns", help="May names stand for addresses? Nothing is looked up here."),
    ] = None,
    now: Annotated[
        str, typer.Option("--now", metavar="TIME", help="The time it is, for dates without a year.")
    ] = "",
    zone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="Of dates without one: Europe/Berlin, +0200.")
    ] = "",
    samples: Annotated[
        bool, typer.Option("--samples", help="Try the .samples beside the filter; exit 1 if one fails.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a filter makes of each line of a log, and what an author should know."""
    from sidecar.cli import trial

    wanted = trial.trial(
        os.environ,
        name,
        filters=filters,
        options=options or (),
        usedns=usedns.value if usedns else "",
        now=now,
        zone=zone,
        transport=transport,
    )
    if samples:
        raise typer.Exit(trial.test_samples(wanted, as_json=as_json))
    trial.test(wanted, log, as_json=as_json)


@app.command()
def replay(
    log: Log = "-",
    *,
    jails: Jails = None,
    filters: Filters = None,
    transport: Transport = None,
    as_json: Json = False,
) -> None:
    """Tell who a log would have had banned, and when; touch nothing."""
    from sidecar.cli import offline

    offline.replay(os.environ, log, jails, filters, transport, as_json=as_json)


@app.command()
def reload(*, socket: Socket = None, as_json: Json = False) -> None:
    """Have the daemon read jails, filters and secrets anew; on any mistake all stays as it is."""
    from sidecar.cli import live

    raise typer.Exit(live.reload(_at(socket), as_json=as_json))


@app.command()
def status(*, socket: Socket = None, as_json: Json = False) -> None:
    """Show what the daemon watches, and how it is."""
    from sidecar.cli import live

    live.status(_at(socket), as_json=as_json)


@app.command()
def bans(
    *,
    observed: Annotated[
        bool, typer.Option("--observed", help="Only those that keep nobody out (mode = observe).")
    ] = False,
    fleet: InFleet = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Show who is banned, why, and for how long."""
    from sidecar.cli import live

    live.bans(_at(socket), observed=observed, fleet=fleet, as_json=as_json)


@app.command()
def history(
    address: Annotated[str, typer.Argument(metavar="ADDR", help="An address or a network.")],
    *,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Tell how often an address was banned, as far as that is remembered."""
    from sidecar.cli import live

    live.history(_at(socket), address, as_json=as_json)


@app.command()
def explain(
    address: Annotated[str, typer.Argument(metavar="ADDR", help="An address or a network.")],
    *,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Tell how an address stands with each jail: banned, close to it, or never banned and why."""
    from sidecar.cli import live

    live.explain(_at(socket), address, as_json=as_json)


@app.command()
def ban(
    address: Annotated[str, typer.Argument(metavar="ADDR", help="An address or a network.")],
    *,
    jail: InJail = "",
    lasting: Annotated[
        str,
        typer.Option("--for", metavar="TIME", help="As 2h or 1d12h; -1 is for good. Default: the jail's."),
    ] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; `bans` shows it.")] = "",
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Ban an address by hand, unless it may never be banned."""
    from sidecar.cli import live

    live.ban(_at(socket), address, jail, live.seconds(lasting), reason, as_json=as_json)


@app.command()
def unban(
    address: Annotated[str, typer.Argument(metavar="ADDR", help="An address or a network.")] = "",
    *,
    everyone: Annotated[bool, typer.Option("--all", help="Let everyone in again.")] = False,
    jail: InJail = "",
    fleet: InFleet = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Let an address in again; one that is not banned is no error."""
    from sidecar.cli import live

    if bool(address) == everyone:
        raise typer.BadParameter("give an address, or --all")
    live.unban(_at(socket), address or None, jail, fleet=fleet, as_json=as_json)


@app.command()
def healthcheck(*, socket: Socket = None, as_json: Json = False) -> None:
    """Ask the daemon whether it is well: exit 0 or 1."""
    from sidecar.cli import live

    raise typer.Exit(live.healthcheck(_at(socket), as_json=as_json))


def _at(socket: Path | None) -> Path:
    from sidecar.config.reader import control_socket

    return socket or control_socket(os.environ)
