# ruff: noqa: PLC0415 - tables alone need what they need
"""`history`: which bans there were, in force or over."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

from sidecar.cli.options import InJail, Json, Site, Socket, Wide, seconds_of, socket_path
from sidecar.cli.stdio import write_json, write_line
from sidecar.cli.text import local_time, times
from sidecar.control.client import ask
from sidecar.control.protocol import HISTORY_LIMIT, MAX_HISTORY_LIMIT, HistoryRequest, PastBanEntry
from sidecar.core.durations import format_duration

commands = typer.Typer(rich_markup_mode=None)

# 10,000 bans are 3 MB of JSON.
TIMEOUT_S: Final = 30.0

# How a ban ended, in words.
ENDS: Final = {
    "expired": "expired",
    "manual": "unbanned by hand",
    "web": "unbanned on the status page",
    "allowed": "allowlisted",
    "fleet": "unbanned by another node",
    "merged": "its network was banned",
    "crowded_out": "too many bans",
    "replaced": "replaced by a ban by hand",
}
TITLES: Final = ("banned", "address", "jail", "ended", "how", "lasted", "failures", "container", "why")


@commands.command()
def history(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDR]", help="An address or a network.", show_default=False)
    ] = None,
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Only bans made within this time, as 2h or 7d.")
    ] = "",
    jail: InJail = "",
    site: Site = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MAX_HISTORY_LIMIT, help="At most this many.")
    ] = HISTORY_LIMIT,
    wide: Wide = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Show the bans there were, in force or over, the last first. Of an address, or of all."""
    now = time.time()
    after = now - (seconds_of(since, "--since") or now)
    answer = ask(socket_path(socket), HistoryRequest(address, after, jail, site, limit), TIMEOUT_S)
    if as_json:
        write_json(answer)
        return
    from sidecar.cli.layout import print_table

    for name, count in answer.get("times", {}).items():
        write_line(f"{answer['ip']} was banned {times(count)} in {name}")
    # An older daemon answers without them.
    bans = answer.get("bans", [])
    if not bans and not answer.get("times"):
        who = f"{answer['ip']} was" if "ip" in answer else "no address was"
        write_line(f"{who} {'never ' * ('ip' in answer)}banned, as far as is remembered")
    print_table(TITLES, (_row(ban, now) for ban in bans), wide=wide)
    if len(bans) == limit:
        write_line(f"\nmore than {limit} are not shown: --limit")


def _row(ban: PastBanEntry, now: float) -> tuple[object, ...]:
    ended, by = ban["ended"], ban["ended_by"]
    cause = f"{ban['cause']}, dry run" if ban["observed"] else ban["cause"]
    return (
        local_time(ban["at"]), ban["ip"], ban["jail"],
        "in force" if ended is None else local_time(ended),
        ENDS.get(by, by) if by else "",
        format_duration(max(0.0, (now if ended is None else ended) - ban["at"])),
        ban["failures"] or "", ban["site"], ban["reason"] or cause,
    )  # fmt: skip
