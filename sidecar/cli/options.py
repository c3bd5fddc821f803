"""Options and arguments that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sidecar.core.events import Framing

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
Wide: TypeAlias = Annotated[
    bool, typer.Option("--wide", help="One line for each row, however narrow the terminal is.")
]
Transport: TypeAlias = Annotated[
    Framing | None,
    typer.Option("--transport", help="How the log writes each line's own time; by default it is detected."),
]
Log: TypeAlias = Annotated[str, typer.Argument(metavar="[LOG|-]", help="A log file; - is standard input.")]
Logs: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[LOG...|-]", help="Log files, gzipped or not; - is standard input.", show_default=False
    ),
]
Address: TypeAlias = Annotated[str, typer.Argument(metavar="ADDR", help="An address or a network.")]
Addresses: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="ADDR...", help="Addresses or networks.", show_default=False)
]
SomeAddresses: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="ADDR...", help="Addresses or networks.", show_default=False)
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether --all is meant.")]
InJail: TypeAlias = Annotated[str, typer.Option("--jail", metavar="NAME", help="In this jail.")]
Site: TypeAlias = Annotated[
    str,
    typer.Option("--site", metavar="GLOB", help="Only bans for this container or file, as blog or 'shop-*'."),
]
InFleet: TypeAlias = Annotated[
    bool, typer.Option("--fleet", help="On all nodes of the fleet, in force here or not.")
]


def socket_path(given: Path | None) -> Path:
    """Return where the daemon's control socket is: the option's path, or that of the environment."""
    from sidecar.config.reader import control_socket  # noqa: PLC0415 - it is slow to load

    return given or control_socket(os.environ)


def seconds_of(text: str, option: str, *, permanent: bool = False) -> float | None:
    """Return the seconds that this option says; None: it is not given. Where `permanent`, -1 is `math.inf`."""
    if not text:
        return None
    from sidecar.config import units  # noqa: PLC0415 - it is slow to load

    try:
        return units.ban_duration(text) if permanent else units.duration(text)
    except ValueError as err:
        raise typer.BadParameter(str(err), param_hint=option) from None
