# ruff: noqa: PLC0415 - `allow --for` alone needs the grammar of durations, and tables alone need rich
"""`allow`, `disallow` and `allowed`: what people put on the allowlist while the daemon runs."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer

from sidecar.cli.errors import refusals_at_the_end
from sidecar.cli.options import Addresses, Json, Socket, SomeAddresses, Wide, Yes, seconds_of, socket_path
from sidecar.cli.stdio import write_json, write_json_list, write_line
from sidecar.cli.text import until_text
from sidecar.control.client import ask, stream
from sidecar.control.protocol import (
    AllowedEntry,
    AllowedRequest,
    AllowRequest,
    DisallowRequest,
    UnbannedEntry,
)
from sidecar.core.text import printable

commands = typer.Typer(rich_markup_mode=None)

# The allowlist may have to be built again from 20,000 networks.
ALLOW_TIMEOUT_S = 15.0


@commands.command()
def allow(
    addresses: Addresses,
    *,
    lasting: Annotated[
        str, typer.Option("--for", metavar="TIME", help="As 2h or 1d12h. Default: for good.")
    ] = "",
    comment: Annotated[
        str, typer.Option("--comment", metavar="TEXT", help="Why; `allowed` and the logs show it.")
    ] = "",
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Never ban these addresses, on this host and at once. They are unbanned."""
    path, seconds = socket_path(socket), seconds_of(lasting, "--for", permanent=True)
    allowed: list[AllowedEntry] = []
    unbanned: list[UnbannedEntry] = []
    alone = False
    with refusals_at_the_end() as refused:
        for address in addresses:
            with refused.caught():
                answer = ask(path, AllowRequest(address, seconds, comment), ALLOW_TIMEOUT_S)
                allowed += answer["allowed"]
                unbanned += answer["unbanned"]
                # An older daemon does not say.
                alone = answer.get("alone", False)
                if not as_json:
                    for entry in answer["allowed"]:
                        write_line(f"{entry['ip']} is never banned {until_text(entry['until'])}")
                    for each in answer["unbanned"]:
                        write_line(f"{each['ip']} is unbanned in {each['jail']}")
        if as_json and (allowed or not refused.sentences):
            write_json({"allowed": allowed, "unbanned": unbanned, "alone": alone})
        elif alone:
            write_line("on this host alone: the other hosts of its fleet are not told, so allow it there too")


@commands.command()
def disallow(
    addresses: SomeAddresses = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Take back all that was allowed.")] = False,
    yes: Yes = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Take back `allow`. An address that was not allowed is not an error. Settings go on to hold."""
    if bool(addresses) == every:
        raise typer.BadParameter("give an address, or --all")
    path = socket_path(socket)
    # A program has nobody to ask.
    if every and not yes and sys.stdin.isatty():
        typer.confirm("Take back all that was allowed?", abort=True)
    ended: list[str] = []
    with refusals_at_the_end() as refused:
        for address in addresses or (None,):
            with refused.caught():
                answer = ask(path, DisallowRequest(address), ALLOW_TIMEOUT_S)["disallowed"]
                ended += answer
                if not as_json:
                    for each in answer:
                        write_line(f"{each} is allowed no more")
                    if not answer:
                        write_line(
                            f"{printable(address)} was not allowed" if address else "nothing was allowed"
                        )
        if as_json and (ended or not refused.sentences):
            write_json({"disallowed": ended})


@commands.command()
def allowed(*, wide: Wide = False, socket: Socket = None, as_json: Json = False) -> None:
    """Show what `allow` put on the allowlist, and until when."""
    found = stream(socket_path(socket), AllowedRequest())
    if as_json:
        write_json_list("allowed", found)
        return
    from sidecar.cli import tables

    tables.show_allowed(map(json.loads, found), time.time(), wide=wide)
