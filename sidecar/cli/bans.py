# ruff: noqa: PLC0415 - tables alone need rich
"""`bans`, `ban`, `unban`, `history` and `explain`: what the daemon has banned."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from socket import gethostbyaddr
from typing import Annotated

import typer

from sidecar.cli.errors import refusals_at_the_end
from sidecar.cli.layout import terminal_width
from sidecar.cli.options import (
    Address,
    Addresses,
    InFleet,
    InJail,
    Json,
    Socket,
    SomeAddresses,
    Wide,
    Yes,
    seconds_of,
    socket_path,
)
from sidecar.cli.stdio import write_json, write_json_list, write_line, write_paragraph
from sidecar.cli.text import local_time, times, until_text
from sidecar.control.client import ask, stream
from sidecar.control.protocol import (
    BanEntry,
    BanRequest,
    BansRequest,
    ExplainAnswer,
    ExplainRequest,
    HistoryRequest,
    JailStanding,
    UnbannedEntry,
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
    jail: InJail = "",
    site: Annotated[
        str,
        typer.Option(
            "--site", metavar="GLOB", help="Only bans for this container or file, as blog or 'shop-*'."
        ),
    ] = "",
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Only bans made within this time, as 2h or 7d.")
    ] = "",
    fleet: InFleet = False,
    wide: Wide = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Show the bans in force: why, and for how long. Those that end first come first."""
    now = time.time()
    after = now - (seconds_of(since, "--since") or now)
    # A table shows no evidence.
    request = BansRequest(as_json, fleet, jail, site, after, observed)
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
    """Unban addresses; one that is not banned is no error."""
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
def explain(
    address: Address,
    *,
    dns: Annotated[bool, typer.Option("--dns", help="Ask DNS for the name of the address, too.")] = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Show how an address stands with each jail, why, by which lines, and how to change it."""
    answer = ask(socket_path(socket), ExplainRequest(address))
    if as_json:
        write_json(answer)
        return
    width = terminal_width()
    if dns:
        write_line(f"{answer['ip']} is {_host_name(answer['ip'])}")
    for sentence, lines in _explanation(answer):
        write_paragraph(sentence, width, indent="")
        for line in lines:
            write_line(f"    {printable(line)}")


def _host_name(address: str) -> str:
    """Return the name that DNS has for an address: it is the owner's own word."""
    try:
        return printable(gethostbyaddr(address.partition("/")[0])[0])
    except OSError:
        return "an address without a name in DNS"


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


def _explanation(answer: ExplainAnswer) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield sentences, each with the log lines that show it."""
    address = answer["ip"]
    for network in answer["within"]:
        yield f"{address} lies in {network}, which is banned; `wp-sidecar unban {network}` lifts that", ()
    reasons = {standing["never"] for standing in answer["jails"]}
    if None not in reasons and len(reasons) == 1:
        yield f"{address} is never banned: it is {reasons.pop()}", ()
        return
    for standing in answer["jails"]:
        ban = standing["ban"]
        yield f"{standing['jail']}: {_standing(standing)}", ban["evidence"] if ban else standing["lines"]
    lifted = {standing["ban"]["ip"] for standing in answer["jails"] if standing["ban"]} - set(
        answer["within"]
    )
    for banned in sorted(lifted):
        yield f"`wp-sidecar unban {banned}` lifts the ban; an address in `ignoreip` is never banned", ()


def _standing(standing: JailStanding) -> str:
    if standing["never"]:
        return f"never banned, it is {standing['never']}"
    if ban := standing["ban"]:
        word = "would be banned (dry run)" if ban["observed"] else "banned"
        why = ban["reason"] or _why(standing, ban)
        since = f"since {local_time(ban['at'])} {until_text(ban['until'])}"
        return f"{word} {since}, {printable(why)}{_before(standing['times'] - 1)}{_dropped(ban)}"
    window = format_duration(standing["findtime"])
    counted = f"{standing['failures']} of {standing['maxretry']} failures within {window}"
    refused = f"; due to be banned, but {standing['refused']}" if standing.get("refused") else ""
    return f"{counted}{refused}{_before(standing['times'])}"


def _why(standing: JailStanding, ban: BanEntry) -> str:
    if ban["cause"] != "failures":
        return ban["cause"]
    where = f", the last in {ban['site']}" if ban["site"] else ""
    return f"{ban['failures']} failures by filter {standing['filter']}{where}"


def _before(count: int) -> str:
    return f"; banned {times(count)} before" if count > 0 else ""


def _dropped(ban: BanEntry) -> str:
    """Return what the kernel dropped since the ban; nothing where that is unknown."""
    if (packets := ban.get("dropped")) is None:
        return ""
    last = f", the last at {local_time(last)}" if (last := ban.get("last_dropped")) else ""
    return f"; the kernel dropped {packets:,} packet{'s' * (packets != 1)} since{last}"
