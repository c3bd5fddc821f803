"""What a person reads: rich tables of the daemon's answers. The only module that loads rich."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import rich.progress
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from sidecar.cli.lines import Reader
from sidecar.cli.text import safe, when
from sidecar.core.durations import format_duration

PIPED = 200  # columns where there is no terminal to ask
MANY = 1_000  # rows that rich lays out in half a second


def status(reply: dict[str, Any], now: float) -> None:
    """Health first, then jails, streams, firewall."""
    console = _console()
    health, firewall = reply["health"], reply["firewall"]
    uptime = format_duration(now - reply["started"])
    console.print(_cell(f"wp-sidecar {reply['version']}, up {uptime}, {reply['bans']} banned"))
    console.print(Text("well", "green") if health["ready"] else Text("not well", "bold red"))
    for sentence in health["why"]:
        console.print(_cell(f"  {sentence}"))
    jails = [
        (
            jail["name"], jail["maxretry"], format_duration(jail["findtime"]), _bantime(jail["bantime"]),
            jail["failures"], jail["bans"], jail["active"], jail["observed"] or "", _policy(jail),
        )
        for jail in reply["jails"]
    ]  # fmt: skip
    titles = (
        "jail",
        "maxretry",
        "findtime",
        "bantime",
        "failures",
        "bans",
        "banned now",
        "observed",
        "policy",
    )
    _print(console, titles, jails)
    _print(console, ("container", "state"), [(s["container"], s["state"]) for s in reply["streams"]])
    dropped = [
        (f"IPv{version}", packets, octets)
        for version, (packets, octets) in sorted(firewall["dropped"].items())
    ]
    _print(console, ("dropped", "packets", "bytes"), dropped)
    present, wanted = firewall["enforced"]
    if present < wanted:
        console.print(Text(f"{present} of {wanted} bans are in force", "bold red"))
    if bypasses := sum(jail["leaks"] for jail in reply["jails"]):
        console.print(
            Text(f"logged again while banned: {bypasses}; the log says how they get in", "bold red")
        )
    if not firewall["ok"]:
        console.print(Text("the firewall table is not as it should be; see the log", "bold red"))


def bans(found: list[dict[str, Any]], now: float) -> None:
    """Who is banned, those who stay longest last."""
    rows = [
        (
            ban["ip"], ban["jail"], "for good" if ban["until"] is None else when(ban["until"]),
            "" if ban["until"] is None else format_duration(ban["until"] - now), ban["failures"] or "", ban["site"],
            ban["times"], ban["reason"] or (f"{ban['cause']}, only observed" if ban["observed"] else ban["cause"]),
        )
        for ban in sorted(found, key=lambda ban: (ban["until"] is None, ban["until"] or 0.0))
    ]  # fmt: skip
    if rows:
        titles = ("address", "jail", "until", "remaining", "failures", "site", "times", "reason")
        _print(_console(), titles, rows)
    else:
        sys.stdout.write("nobody is banned\n")


def hits(rows: list[tuple[int, int, str]]) -> None:
    """How often each expression of a filter matched, in the filter's order."""
    _print(_console(), ("failregex", "hits", "expression"), rows)


class Progress:
    """A stream that shows on stderr how much of it was read."""

    def __init__(self, stream: Reader, size: int) -> None:
        self._stream = stream
        self._bar = rich.progress.Progress(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("reading", total=size)

    def read1(self, size: int, /) -> bytes:
        data = self._stream.read1(size)
        if data:
            self._bar.start()
            self._bar.advance(self._task, len(data))
        else:
            self._bar.stop()
        return data


def _policy(jail: dict[str, Any]) -> str:
    """What a jail does otherwise than most."""
    said = {
        "observes only": jail["mode"] == "observe",
        "bans grow": jail["increment"],
        "counts as fail2ban": jail["window"] == "fail2ban",
        f"/24 from {jail['bangroup']}": jail["bangroup"],
    }
    return ", ".join(words for words, true in said.items() if true)


def _bantime(seconds: float | None) -> str:
    return "for good" if seconds is None else format_duration(seconds)


def _print(console: Console, titles: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    states = [[safe(str(value)) for value in row] for row in rows]
    if not states:
        return
    console.print()
    if len(states) > MANY or not sys.stdout.isatty():
        _plain([[*titles], *states])
        return
    table = Table(
        *(Column(title, overflow="fold") for title in titles), box=None, pad_edge=False, header_style="bold"
    )
    for row in states:
        table.add_row(*map(_cell, row))
    console.print(table)


def _plain(rows: Sequence[Sequence[str]]) -> None:
    """One line a row, however wide: whoever reads a pipe wants no breaks, and rich lays out 100,000 rows in 45 s."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        states = (state.ljust(width) for state, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(states).rstrip() + "\n")


def _cell(value: object) -> Text:
    """Plain text: no markup of rich's, and nothing that a terminal would obey."""
    return Text(safe(str(value)), overflow="fold")


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED)
