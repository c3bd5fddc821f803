"""The daemon's answer to `explain` as sentences for a person, each with what stands below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sidecar.cli import plot
from sidecar.cli.history import ENDS
from sidecar.cli.text import local_time, times, until_text
from sidecar.control.protocol import BanEntry, ExplainAnswer, JailStanding, PastBanEntry
from sidecar.core.durations import format_duration
from sidecar.core.text import printable

# What a bar of a plot stands for, and how many bars are wide enough for 80 columns.
BAR_S: Final = {"second": 1, "10 seconds": 10, "minute": 60, "10 minutes": 600, "hour": 3_600, "day": 86_400}
MAX_BARS: Final = 48
PLOT_ROWS: Final = 2


def explanation(answer: ExplainAnswer) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield sentences, each with the lines that show it."""
    address = answer["ip"]
    # An older daemon names the networks alone.
    bans = {ban["ip"]: ban for ban in answer.get("networks", ())}
    for network in answer["within"]:
        what = f", {_ban(ban)}" if (ban := bans.get(network)) else ""
        below = ban["evidence"] if ban else ()
        yield (
            f"{address} lies in {network}, which is banned{what}; `wp-sidecar unban {network}` lifts that",
            below,
        )
    reasons = {standing["never"] for standing in answer["jails"]}
    if None not in reasons and len(reasons) == 1:
        yield f"{address} is never banned: it is {reasons.pop()}", ()
        return
    # What a person asks about comes first.
    for standing in sorted(filter(_says_something, answer["jails"]), key=lambda each: not each["ban"]):
        yield f"{standing['jail']}: {_standing(standing)}", [*_lines(standing), *_plot(standing)]
    if idle := [each["jail"] for each in answer["jails"] if not _says_something(each)]:
        yield f"nothing that counts in {', '.join(idle)}", ()
    lifted = {standing["ban"]["ip"] for standing in answer["jails"] if standing["ban"]} - set(
        answer["within"]
    )
    for banned in sorted(lifted):
        yield (
            f"`wp-sidecar unban {banned}` lifts the ban, and `wp-sidecar allow {banned}` also prevents the next",
            (),
        )
    if past := answer.get("history"):
        yield f"bans before (`wp-sidecar history {address}` has all):", [*map(_past, past)]


def _says_something(standing: JailStanding) -> bool:
    return any(standing.get(key) for key in ("never", "ban", "failures", "refused", "times"))


def _lines(standing: JailStanding) -> Iterator[str]:
    """Yield the lines that counted, and the expressions that they match."""
    ban = standing["ban"]
    yield from ban["evidence"] if ban else standing["lines"]
    for each in standing.get("expressions", ()):
        count = f"{each['lines']} line{'s' * (each['lines'] != 1)}"
        yield f"({count} by failregex {each['number']} of {standing['filter']}: {each['expression']})"


def _plot(standing: JailStanding) -> Iterator[str]:
    """Yield the failures over time as a plot; nothing where fewer than two times are known."""
    failed_at = standing.get("failed_at", ())
    if len(failed_at) < 2:
        return
    first, last = min(failed_at), max(failed_at)
    name, width_s = next(
        (each for each in BAR_S.items() if (last - first) / each[1] < MAX_BARS), ("day", BAR_S["day"])
    )
    bars = [0] * min(MAX_BARS, int((last - first) / width_s) + 1)
    for at in failed_at:
        bars[max(0, len(bars) - 1 - int((last - at) / width_s))] += 1
    yield f"failures per {name}, {local_time(first)} to {local_time(last)}:"
    yield from plot.bars(bars, blocks=plot.has_blocks(), rows=PLOT_ROWS)


def _past(ban: PastBanEntry) -> str:
    ended = local_time(ban["ended"]) if ban["ended"] is not None else "now"
    how = ENDS.get(ban["ended_by"] or "", ban["ended_by"] or "in force")
    counted = f"{ban['failures']} failures" if ban["failures"] else ""
    why = ban["reason"] or counted or ban["cause"]
    where = f", {ban['site']}" if ban["site"] else ""
    return f"{local_time(ban['at'])} to {ended} ({how}): {ban['ip']} in {ban['jail']}, {why}{where}"


def _standing(standing: JailStanding) -> str:
    if standing["never"]:
        return f"never banned, it is {standing['never']}"
    if ban := standing["ban"]:
        word = "would be banned (dry run)" if ban["observed"] else "banned"
        why = printable(ban["reason"] or _why(standing, ban))
        return f"{word} {_term(ban)}, {why}{_before(standing['times'] - 1)}{_dropped(ban)}"
    window = format_duration(standing["findtime"])
    counted = f"{standing['failures']} of {standing['maxretry']} failures within {window}"
    refused = f"; due to be banned, but {standing['refused']}" if standing.get("refused") else ""
    return f"{counted}{refused}{_before(standing['times'])}"


def _ban(ban: BanEntry) -> str:
    """Return the ban of a network: when, why, and what it dropped."""
    return f"in {ban['jail']} {_term(ban)}, {printable(ban['reason'] or ban['cause'])}{_dropped(ban)}"


def _term(ban: BanEntry) -> str:
    return f"since {local_time(ban['at'])} {until_text(ban['until'])}"


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
