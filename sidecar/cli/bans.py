# ruff: noqa: PLC0415 - `ban --for` alone needs the grammar of durations, and tables alone need rich
"""`bans`, `ban`, `unban`, `history` and `explain`: what the daemon has banned."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

import typer

from sidecar.cli.options import Address, InFleet, InJail, Json, Socket, socket_path
from sidecar.cli.stdio import write_json, write_line
from sidecar.cli.text import local_time, times
from sidecar.control.client import ask
from sidecar.control.protocol import (
    BanRequest,
    BansRequest,
    ExplainAnswer,
    ExplainRequest,
    HistoryRequest,
    JailStanding,
    UnbanRequest,
)
from sidecar.core.durations import format_duration
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
    fleet: InFleet = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Show the bans in force: why, and for how long."""
    # A table shows no evidence.
    answer = ask(socket_path(socket), BansRequest(evidence=as_json, fleet=fleet), BANS_TIMEOUT_S)
    if observed:
        answer["bans"] = [ban for ban in answer["bans"] if ban["observed"]]
    if as_json:
        write_json(answer)
        return
    from sidecar.cli import tables

    tables.show_bans(answer["bans"], time.time())


@commands.command()
def ban(
    address: Address,
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
    """Ban an address by hand, unless it is on an allowlist."""
    answer = ask(socket_path(socket), BanRequest(address, jail, _bantime(lasting), reason))
    if as_json:
        write_json(answer)
        return
    for made in answer["banned"]:
        write_line(f"{made['ip']} is banned in {made['jail']} {_until(made['until'])}")
    if not answer["banned"]:
        write_line(f"{printable(address)} is banned for at least as long already")


@commands.command()
def unban(
    address: Annotated[str, typer.Argument(metavar="ADDR", help="An address or a network.")] = "",
    *,
    every: Annotated[bool, typer.Option("--all", help="End all bans.")] = False,
    jail: InJail = "",
    fleet: InFleet = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Unban an address; one that is not banned is no error."""
    if bool(address) == every:
        raise typer.BadParameter("give an address, or --all")
    answer = ask(socket_path(socket), UnbanRequest(address or None, jail, fleet))
    if as_json:
        write_json(answer)
        return
    for unbanned in answer["unbanned"]:
        write_line(f"{unbanned['ip']} is unbanned in {unbanned['jail']}")
    if fleet:
        write_line(f"bans that the fleet knew and every node lifts: {answer['fleet']}")
    elif not answer["unbanned"]:
        write_line(f"{printable(address)} was not banned" if address else "no address was banned")


@commands.command()
def history(address: Address, *, socket: Socket = None, as_json: Json = False) -> None:
    """Show how often an address was banned, as far as that is remembered."""
    answer = ask(socket_path(socket), HistoryRequest(address))
    if as_json:
        write_json(answer)
        return
    for jail, count in answer["times"].items():
        write_line(f"{answer['ip']} was banned {times(count)} in {jail}")
    if not answer["times"]:
        write_line(f"{answer['ip']} was never banned, as far as is remembered")


@commands.command()
def explain(address: Address, *, socket: Socket = None, as_json: Json = False) -> None:
    """Show how an address stands with each jail: banned, close to a ban, or never banned and why."""
    answer = ask(socket_path(socket), ExplainRequest(address))
    if as_json:
        write_json(answer)
        return
    for sentence in _explanation(answer):
        write_line(sentence)


def _explanation(answer: ExplainAnswer) -> Iterator[str]:
    address = answer["ip"]
    for network in answer["within"]:
        yield f"{address} lies in {network}, which is banned"
    reasons = {standing["never"] for standing in answer["jails"]}
    if None not in reasons and len(reasons) == 1:
        yield f"{address} is never banned: it is {reasons.pop()}"
        return
    for standing in answer["jails"]:
        yield f"{standing['jail']}: {_standing(standing)}"


def _standing(standing: JailStanding) -> str:
    if standing["never"]:
        return f"never banned, it is {standing['never']}"
    if ban := standing["ban"]:
        word = "would be banned (dry run)" if ban["observed"] else "banned"
        why = ban["reason"] or ban["cause"]
        return f"{word} {_until(ban['until'])}, {printable(why)}{_before(standing['times'] - 1)}"
    window = format_duration(standing["findtime"])
    counted = f"{standing['failures']} of {standing['maxretry']} failures within {window}"
    refused = f"; due to be banned, but {standing['refused']}" if standing.get("refused") else ""
    return f"{counted}{refused}{_before(standing['times'])}"


def _before(count: int) -> str:
    return f"; banned {times(count)} before" if count > 0 else ""


def _until(until: float | None) -> str:
    if until is None:
        return "for good"
    return f"until {local_time(until)} ({format_duration(until - time.time())})"


def _bantime(text: str) -> float | None:
    """Return the seconds that `--for` says (`math.inf`: permanently); None: the jail's ban time."""
    if not text:
        return None
    from sidecar.config.units import ban_duration

    try:
        return ban_duration(text)
    except ValueError as err:
        raise typer.BadParameter(str(err), param_hint="--for") from None
