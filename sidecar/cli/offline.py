# ruff: noqa: PLC0415 - the engine is loaded only where it is used
"""`check-config`, `replay` and `test-filter`: commands that need no daemon. They change nothing."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.options import Filters, Jails, Json, Log, Logs, Transport, Wide

commands = typer.Typer(rich_markup_mode=None)


class Usedns(enum.Enum):
    """What `usedns` may be."""

    NO = "no"
    WARN = "warn"
    YES = "yes"
    RAW = "raw"


@commands.command("check-config")
def check_config(*, jails: Jails = None, filters: Filters = None, as_json: Json = False) -> None:
    """Show every error in environment, jails and filters."""
    from sidecar.cli import check_config as implementation

    raise typer.Exit(implementation.check(os.environ, jails, filters, as_json=as_json))


@commands.command()
def replay(
    logs: Logs = None,
    *,
    jails: Jails = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="A second jails file: what only one of the two bans."),
    ] = None,
    filters: Filters = None,
    transport: Transport = None,
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="AGE", help="Lines of this age or less: 7d. Without LOG: of containers."
        ),
    ] = "",
    containers: Annotated[
        list[str] | None,
        typer.Option("--container", metavar="NAME", help="Read this container's log; repeatable."),
    ] = None,
    totals: Annotated[bool, typer.Option("--totals", help="Leave out the line for each decision.")] = False,
    wide: Wide = False,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV: a row for each decision.")] = False,
) -> None:
    """Show the bans that logs would have led to, and when. `--against` shows those of two policies."""
    from sidecar.cli import replay_command
    from sidecar.cli.replay_command import Form, Sources

    if as_json and as_csv:
        raise typer.BadParameter("choose --json or --csv", param_hint="--csv")
    replay_command.run(
        os.environ,
        Sources(tuple(logs or ()), tuple(containers or ()), since, transport),
        [jails] if against is None else [jails, against],
        filters,
        Form(as_json=as_json, as_csv=as_csv, only_totals=totals, wide=wide),
    )


@commands.command("test-filter")
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
        typer.Option("--usedns", help="Whether names stand for addresses. No name is looked up here."),
    ] = None,
    now: Annotated[
        str, typer.Option("--now", metavar="TIME", help="The current time, for dates without a year.")
    ] = "",
    zone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="Of dates without one: Europe/Berlin, +0200.")
    ] = "",
    access_format: Annotated[
        str,
        typer.Option(
            "--log-format",
            metavar="FORMAT",
            help="Of an access log, as nginx's log_format or Apache's LogFormat.",
        ),
    ] = "",
    samples: Annotated[
        bool, typer.Option("--samples", help="Try the .samples beside the filter; exit 1 if one fails.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Show long expressions whole.")] = False,
    as_json: Json = False,
) -> None:
    """Show the verdict of a filter on each line of a log. It has advice for the filter's author."""
    from sidecar.cli import filter_trial, trial_report

    trial = filter_trial.load_trial(
        os.environ,
        name,
        filters=filters,
        options=options or (),
        usedns=usedns.value if usedns else "",
        now=now,
        zone=zone,
        transport=transport,
        access_format=access_format,
    )
    if samples:
        raise typer.Exit(trial_report.try_samples(trial, as_json=as_json))
    trial_report.try_log(trial, log, as_json=as_json, full=full)
