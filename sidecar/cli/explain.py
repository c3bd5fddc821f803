"""`explain`: why an address is banned or is not, and how to change it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from socket import gethostbyaddr
from typing import Annotated

import typer

from sidecar.cli.options import Address, Json, Socket, socket_path
from sidecar.cli.stdio import terminal_width, write_json, write_line, write_paragraph
from sidecar.cli.text import local_time, times, until_text
from sidecar.control.client import ask
from sidecar.control.protocol import BanEntry, ExplainAnswer, ExplainRequest, JailStanding
from sidecar.core.durations import format_duration
from sidecar.core.text import printable

commands = typer.Typer(rich_markup_mode=None)


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
