"""The daemon's answers as tables for a person."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sidecar.cli.layout import print_table
from sidecar.cli.stdio import terminal_width, write_line, write_paragraph, write_styled
from sidecar.cli.text import local_time
from sidecar.control.protocol import (
    MIN_SHOWN_SHARE,
    AllowedEntry,
    AllowlistShare,
    BanEntry,
    FirewallStatus,
    StatusAnswer,
    StreamStatus,
)
from sidecar.core.durations import format_duration
from sidecar.core.text import printable

JAIL_TITLES: Final = (
    "jail", "maxretry", "findtime", "bantime", "failures", "bans", "banned now", "dry runs", "settings",
)  # fmt: skip
LOG_TITLES: Final = ("log", "state", "format", "requests understood")
LABEL_TITLES: Final = ("container", "labels in force")
ALLOWLIST_TITLES: Final = ("never banned", "of all public IPv4", "of all public IPv6")
ALLOWED_TITLES: Final = ("address", "remaining", "until", "since", "comment")
BAN_TITLES: Final = (
    "address",
    "jail",
    "remaining",
    "until",
    "failures",
    "container",
    "times",
    "dropped",
    "reason",
)


def show_status(answer: StatusAnswer, now: float, *, wide: bool = False) -> None:
    """Show the health, then jails, logs and firewall."""
    uptime = format_duration(now - answer["started"])
    write_line(printable(f"wp-sidecar {answer['version']}, up {uptime}, {answer['bans']} banned"))
    if answer["health"]["ready"]:
        write_styled("healthy", fg="green")
    else:
        write_styled("not healthy", fg="red")
    for sentence in answer["health"]["why"]:
        write_paragraph(sentence, terminal_width())
    print_table(JAIL_TITLES, map(_jail_row, answer["jails"]), wide=wide)
    print_table(LOG_TITLES, map(_log_row, answer["streams"]), wide=wide)
    labels = ((name, ", ".join(labels)) for name, labels in answer["labels"].items())
    print_table(LABEL_TITLES, labels, wide=wide)
    print_table(ALLOWLIST_TITLES, map(_share_row, answer["allowlist"]), wide=wide)
    if answer["allowed"]:
        write_line(f"allowed by hand: {answer['allowed']}; `wp-sidecar allowed` lists them")
    print_table(("dropped", "packets", "bytes"), _drop_rows(answer["firewall"]), wide=wide)
    for remark in answer.get("remarks", ()):
        write_paragraph(remark, terminal_width())
    for warning in _warnings(answer):
        write_styled(warning, fg="red")


def show_bans(bans: Iterator[BanEntry], now: float, *, wide: bool = False) -> None:
    """Show the bans in the order in which they come."""
    first = next(bans, None)
    if first is None:
        write_line("no address is banned")
        return
    print_table(BAN_TITLES, (_ban_row(ban, now) for ban in itertools.chain([first], bans)), wide=wide)


def show_allowed(entries: Iterator[AllowedEntry], now: float, *, wide: bool = False) -> None:
    """Show what people put on the allowlist, as it comes."""
    first = next(entries, None)
    if first is None:
        write_line("nothing was allowed by hand; `wp-sidecar status` shows what else is never banned")
        return
    rows = (_allowed_row(entry, now) for entry in itertools.chain([first], entries))
    print_table(ALLOWED_TITLES, rows, wide=wide)


def show_hits(rows: Iterable[tuple[int, int, str]]) -> None:
    """Show how often each expression of a filter matched, in the filter's order."""
    print_table(("failregex", "hits", "expression"), rows)


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
    """Return the share with two digits that say something: `0.45 %`, `< 0.01 %`."""
    if not share:
        return ""
    return "< 0.01 %" if share < MIN_SHOWN_SHARE else f"{share * 100:.2g} %"


def _allowed_row(entry: AllowedEntry, now: float) -> tuple[object, ...]:
    until = "for good" if entry["until"] is None else local_time(entry["until"])
    remaining = "" if entry["until"] is None else format_duration(entry["until"] - now)
    return (
        entry["ip"],
        remaining or until,
        until if remaining else "",
        local_time(entry["at"]),
        entry["comment"],
    )


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


def _count(packets: int | None) -> str:
    """Return the packets that were dropped since the ban; nothing where that is unknown."""
    return "" if packets is None else f"{packets:,}"


def _ban_row(ban: BanEntry, now: float) -> tuple[object, ...]:
    until = "for good" if ban["until"] is None else local_time(ban["until"])
    remaining = "" if ban["until"] is None else format_duration(ban["until"] - now)
    cause = f"{ban['cause']}, dry run" if ban["observed"] else ban["cause"]
    return (
        ban["ip"], ban["jail"], remaining or until, until if remaining else "",
        ban["failures"] or "", ban["site"], ban["times"],
        _count(ban.get("dropped")), ban["reason"] or cause,
    )  # fmt: skip
