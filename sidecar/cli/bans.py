# ruff: noqa: PLC0415 - tables alone need rich
"""`bans`, `ban` and `unban`: what the daemon has banned."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from sidecar.cli.errors import refusals_at_the_end
from sidecar.cli.options import (
    Addresses,
    InFleet,
    InJail,
    Json,
    Site,
    Socket,
    SomeAddresses,
    Wide,
    Yes,
    seconds_of,
    socket_path,
)
from sidecar.cli.stdio import write_json, write_json_list, write_line
from sidecar.cli.text import until_text
from sidecar.control.client import ask, stream
from sidecar.control.protocol import (
    BanEntry,
    BanOrder,
    BanRequest,
    BansRequest,
    UnbannedEntry,
    UnbanRequest,
)
from sidecar.core.text import printable

commands = typer.Typer(rich_markup_mode=None)

# 100,000 bans with their evidence are 50 MB of JSON.
BANS_TIMEOUT_S = 60.0


@commands.command()
def bans(
    *,
    observed: Annotated[
        bool, typer.Option("--observed", help="Only dry runs, which drop nothing (mode = observe).")
    ] = False,
    jail: InJail = "",
    site: Site = "",
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Only bans made within this time, as 2h or 7d.")
    ] = "",
    order: Annotated[
        BanOrder, typer.Option("--order", metavar="ends|newest|failures", help="Which bans come first.")
    ] = BanOrder.ENDS,
    fleet: InFleet = False,
    wide: Wide = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Show the bans in force: why, and for how long. Those that end first come first."""
    now = time.time()
    after = now - (seconds_of(since, "--since") or now)
    # A table shows no evidence.
    request = BansRequest(as_json, fleet, jail, site, after, observed, order=order)
    found = stream(socket_path(socket), request, BANS_TIMEOUT_S)
    if as_json:
        write_json_list("bans", found)
        return
    from sidecar.cli import tables

    tables.show_bans(map(json.loads, found), now, wide=wide)


@commands.command()
def ban(
    addresses: Addresses,
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
    """Ban addresses by hand, unless they are on an allowlist."""
    path, bantime = socket_path(socket), seconds_of(lasting, "--for", permanent=True)
    banned: list[BanEntry] = []
    with refusals_at_the_end() as refused:
        for address in addresses:
            with refused.caught():
                made = ask(path, BanRequest(address, jail, bantime, reason))["banned"]
                banned += made
                if not as_json:
                    _show_banned(address, made)
        if as_json and (banned or not refused.sentences):
            write_json({"banned": banned})


@commands.command()
def unban(
    addresses: SomeAddresses = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="End all bans.")] = False,
    yes: Yes = False,
    jail: InJail = "",
    fleet: InFleet = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Unban addresses; one that is not banned is not an error."""
    if bool(addresses) == every:
        raise typer.BadParameter("give an address, or --all")
    path = socket_path(socket)
    # A program has nobody to ask.
    if every and not yes and sys.stdin.isatty():
        typer.confirm(f"End all bans{' of the fleet' * fleet}{f' of {jail}' * bool(jail)}?", abort=True)
    unbanned: list[UnbannedEntry] = []
    known_to_fleet = 0
    with refusals_at_the_end() as refused:
        for address in addresses or (None,):
            with refused.caught():
                answer = ask(path, UnbanRequest(address, jail, fleet))
                unbanned += answer["unbanned"]
                known_to_fleet += answer.get("fleet", 0)
                if not as_json:
                    _show_unbanned(address, answer["unbanned"], fleet=fleet)
        if as_json and (unbanned or not refused.sentences):
            write_json({"unbanned": unbanned} | ({"fleet": known_to_fleet} if fleet else {}))
    if fleet and not as_json:
        write_line(f"bans that the fleet knew and every node lifts: {known_to_fleet}")


def _show_banned(address: str, banned: Sequence[BanEntry]) -> None:
    for each in banned:
        write_line(f"{each['ip']} is banned in {each['jail']} {until_text(each['until'])}")
    if not banned:
        write_line(f"{printable(address)} is banned for at least as long already")


def _show_unbanned(address: str | None, unbanned: Sequence[UnbannedEntry], *, fleet: bool) -> None:
    for each in unbanned:
        write_line(f"{each['ip']} is unbanned in {each['jail']}")
    if not unbanned and not fleet:
        write_line(f"{printable(address)} was not banned" if address else "no address was banned")
