"""The daemon's answers as tables for a person. The only module that loads rich."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import rich.progress
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from sidecar.cli.log_lines import Reader
from sidecar.cli.stdio import write_line
from sidecar.cli.text import local_time
from sidecar.control.protocol import AllowlistShare, BanEntry, FirewallStatus, StatusAnswer, StreamStatus
from sidecar.core.durations import format_duration
from sidecar.core.text import printable

# Columns where there is no terminal that has a width.
PIPE_COLUMNS: Final = 200
# rich lays out so many rows in half a second.
MAX_RICH_ROWS: Final = 1_000

JAIL_TITLES: Final = (
    "jail", "maxretry", "findtime", "bantime", "failures", "bans", "banned now", "dry runs", "settings",
)  # fmt: skip
LOG_TITLES: Final = ("log", "state", "format", "requests understood")
LABEL_TITLES: Final = ("container", "labels in force")
ALLOWLIST_TITLES: Final = ("never banned", "of all public IPv4", "of all public IPv6")
BAN_TITLES: Final = ("address", "jail", "until", "remaining", "failures", "container", "times", "reason")


def show_status(answer: StatusAnswer, now: float) -> None:
    """Show the health, then jails, logs and firewall."""
    console = _console()
    uptime = format_duration(now - answer["started"])
    console.print(_cell(f"wp-sidecar {answer['version']}, up {uptime}, {answer['bans']} banned"))
    health = answer["health"]
    console.print(Text("healthy", "green") if health["ready"] else Text("not healthy", "bold red"))
    for sentence in health["why"]:
        console.print(_cell(f"  {sentence}"))
    _print(console, JAIL_TITLES, map(_jail_row, answer["jails"]))
    _print(console, LOG_TITLES, map(_log_row, answer["streams"]))
    _print(console, LABEL_TITLES, ((name, ", ".join(labels)) for name, labels in answer["labels"].items()))
    _print(console, ALLOWLIST_TITLES, map(_share_row, answer["allowlist"]))
    _print(console, ("dropped", "packets", "bytes"), _drop_rows(answer["firewall"]))
    for remark in answer.get("remarks", ()):
        console.print(_cell(remark))
    for warning in _warnings(answer):
        console.print(Text(warning, "bold red"))


def show_bans(bans: Sequence[BanEntry], now: float) -> None:
    """Show the bans in the order of their ends."""
    if not bans:
        write_line("no address is banned")
        return
    ordered = sorted(bans, key=_end)
    _print(_console(), BAN_TITLES, [_ban_row(ban, now) for ban in ordered])


def show_hits(rows: Iterable[tuple[int, int, str]]) -> None:
    """Show how often each expression of a filter matched, in the filter's order."""
    _print(_console(), ("failregex", "hits", "expression"), rows)


class Progress:
    """A stream that shows on standard error how much of it was read."""

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


def _log_row(log: StreamStatus) -> tuple[str, ...]:
    understood = f"{log['understood']} of {log['read']}" if log["read"] else ""
    return log["container"], log["state"], log.get("note") or log["format"], understood


def _jail_row(jail: dict[str, Any]) -> tuple[object, ...]:
    bantime = "for good" if jail["bantime"] is None else format_duration(jail["bantime"])
    return (
        jail["name"], jail["maxretry"], format_duration(jail["findtime"]), bantime,
        jail["failures"], jail["bans"], jail["active"], jail["observed"] or "", _special_settings(jail),
    )  # fmt: skip


def _special_settings(jail: dict[str, Any]) -> str:
    """Return what this jail does differently from most."""
    settings = {
        "dry run": jail["mode"] == "observe",
        "no witness": not jail.get("witness", True),
        "escalating": jail["increment"],
        "counts as fail2ban": jail["window"] == "fail2ban",
        f"/24 from {jail['bangroup']}": jail["bangroup"],
        "no networks": not jail.get("aggregate", True),
    }
    return ", ".join(words for words, is_set in settings.items() if is_set)


def _share_row(share: AllowlistShare) -> tuple[str, ...]:
    return share["reason"], _percent(share["ipv4"]), _percent(share["ipv6"])


def _percent(share: float) -> str:
    """Return the share with two digits that say something: `0.45 %`, `2.3e-06 %`."""
    return f"{share * 100:.2g} %" if share else ""


def _drop_rows(firewall: FirewallStatus) -> list[tuple[str, int, int]]:
    return [
        (f"IPv{version}", packets, octets)
        for version, (packets, octets) in sorted(firewall["dropped"].items())
    ]


def _warnings(answer: StatusAnswer) -> Iterable[str]:
    enforced, expected = answer["firewall"]["enforced"]
    if enforced < expected:
        yield f"{enforced} of {expected} bans are in force"
    if bypasses := sum(jail["leaks"] for jail in answer["jails"]):
        yield f"bans without effect: {bypasses}; the daemon's log says why"
    if refused := sum(jail.get("refused", 0) for jail in answer["jails"]):
        yield f"bans that are due and not made: {refused}; `wp-sidecar explain` says why of each address"
    if not answer["firewall"]["ok"]:
        yield "the firewall table is not as it should be; see the daemon's log"


def _end(ban: BanEntry) -> tuple[bool, float]:
    return ban["until"] is None, ban["until"] or 0.0


def _ban_row(ban: BanEntry, now: float) -> tuple[object, ...]:
    until = "for good" if ban["until"] is None else local_time(ban["until"])
    remaining = "" if ban["until"] is None else format_duration(ban["until"] - now)
    cause = f"{ban['cause']}, dry run" if ban["observed"] else ban["cause"]
    return (
        ban["ip"], ban["jail"], until, remaining,
        ban["failures"] or "", ban["site"], ban["times"], ban["reason"] or cause,
    )  # fmt: skip


def _print(console: Console, titles: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    cells = [[printable(str(value)) for value in row] for row in rows]
    if not cells:
        return
    console.print()
    if len(cells) > MAX_RICH_ROWS or not sys.stdout.isatty():
        _print_plain([[*titles], *cells])
        return
    columns = (Column(title, overflow="fold") for title in titles)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in cells:
        table.add_row(*map(_cell, row))
    console.print(table)


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    """Write one line a row, however wide: a program that reads it wants no line breaks."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        write_line("  ".join(cells).rstrip())


def _cell(value: object) -> Text:
    """Return plain text, in which rich reads no markup."""
    return Text(printable(str(value)), overflow="fold")


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
