# ruff: noqa: PLC0415 - the configuration and tables are loaded only where they are used
"""`config show`: the settings in force, and where each comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from sidecar.cli.options import Filters, Jails, Json, Socket, Wide, socket_path
from sidecar.cli.stdio import write_json, write_line
from sidecar.control.client import NoDaemon, ask
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.control.protocol import Refused, StatusAnswer, StatusRequest
from sidecar.core.text import printable

if TYPE_CHECKING:
    from sidecar.config.effective import Effective, Setting, SiteSetting

commands = typer.Typer(rich_markup_mode=None)
config = typer.Typer(name="config", help="The configuration: show what is in force.", rich_markup_mode=None)
commands.add_typer(config)


@config.callback()
def _family() -> None:
    """Have `show` be a word of its own, though it is the only one."""


@config.command()
def show(
    *,
    site: Annotated[
        str,
        typer.Option(
            "--site", metavar="NAME", help="Only this container: all settings of the jails that look at it."
        ),
    ] = "",
    changed: Annotated[bool, typer.Option("--changed", help="Leave out what has its default.")] = False,
    jails: Jails = None,
    filters: Filters = None,
    wide: Wide = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Show each setting in force with the place that it comes from: default, environment, jails file, label."""
    from sidecar.config.effective import effective

    found = effective(os.environ, jails=jails, filters=filters)
    status = _status(socket)
    chosen = _chosen(found, status, site, changed=changed)
    if as_json:
        write_json({
            "host": [_json(each) for each in chosen.host],
            "jails": {name: [_json(each) for each in rows] for name, rows in chosen.jails.items()},
            "sites": [_json(each) for each in chosen.sites] if status else None,
        })  # fmt: skip
        return
    _print(chosen, site, wide=wide)
    if status is None:
        write_line("no daemon answers, so labels of containers are not shown")
    elif not any(each.is_of_label for each in chosen.sites):
        write_line(f"no label of {site or 'a container'} changes anything: the settings of the jails hold")


class _Chosen(NamedTuple):
    """The settings that are asked for: of the host, of each jail, and of sites."""

    host: list[Setting]
    jails: dict[str, list[Setting]]
    sites: list[SiteSetting]


def _chosen(found: Effective, status: StatusAnswer | None, site: str, *, changed: bool) -> _Chosen:
    """Return the settings of one site, or all others and those that labels of sites change. Raises Failed."""
    from sidecar.config.effective import BY_DEFAULT, of_site

    labels, looking = (status["labels"], _looking(status)) if status else ({}, {})
    if site and status and site not in {*labels, *looking}:
        known = ", ".join(sorted({*labels, *looking}))
        raise Failed(ExitCode.NO_INPUT, f"{printable(site)} is not watched; there are {printable(known)}")

    def is_shown(origin: str) -> bool:
        return not (changed and origin == BY_DEFAULT)

    of_sites = [
        each
        for name in ([site] if site else sorted(labels))
        for each in of_site(name, labels.get(name, ()), found, looking.get(name, ()))
        if (is_shown(each.origin) if site else each.is_of_label)
    ]
    by_jail = {
        name: [each for each in rows if not site and is_shown(each.origin)]
        for name, rows in found.jails.items()
    }
    return _Chosen([each for each in found.host if not site and is_shown(each.origin)], by_jail, of_sites)


def _print(chosen: _Chosen, site: str, *, wide: bool) -> None:
    from sidecar.cli.layout import print_table

    print_table(("setting", "value", "from"), map(_row, chosen.host), wide=wide)
    rows = [(name, *_row(each)) for name, settings in chosen.jails.items() for each in settings]
    print_table(("jail", "setting", "value", "from"), rows, wide=wide)
    # One site stands in no column of its own.
    site_rows = [(each.site, each.jail or "all", *_row(each))[bool(site) :] for each in chosen.sites]
    print_table(("site", "jail", "setting", "value", "from")[bool(site) :], site_rows, wide=wide)
    write_line("")


def text(name: str, value: Any) -> str:  # noqa: ANN401 - as JSON has it
    """Return a value as it is written in the configuration."""
    from sidecar.core.durations import format_duration

    if value is None or value == []:
        return {"bantime": "-1", "port": "all"}.get(name, "")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(text("", each) for each in value)
    if isinstance(value, int | float):
        is_time = name in ("findtime", "bantime", "bantime.maxtime", "bantime.rndtime", "dbpurgeage")
        return format_duration(value) if is_time else f"{value:g}"
    return str(value)


def _status(socket: Socket) -> StatusAnswer | None:
    """Return what the daemon watches; None: none answers."""
    try:
        return ask(socket_path(socket), StatusRequest())
    except (NoDaemon, PermissionError, Refused):
        return None


def _looking(status: StatusAnswer) -> dict[str, list[str]]:
    """Return the jails that look at each log, by its name."""
    return {each["container"]: [jail["name"] for jail in each.get("jails", ())] for each in status["streams"]}


def _row(each: Setting | SiteSetting) -> tuple[str, str, str]:
    return each.name, text(each.name, each.value), each.origin


def _json(each: Setting | SiteSetting) -> dict[str, Any]:
    fields: dict[str, Any] = each._asdict()
    fields["from"] = fields.pop("origin")
    return fields
