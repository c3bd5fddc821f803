"""The notices that the daemon sends: their words, and what of a ban or a problem they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sidecar.alerts.notices import MAX_LIST_LENGTH, Field, Notice, NoticeKind, NoticeLevel, listed
from sidecar.core.durations import format_duration
from sidecar.core.events import YEAR_10000, Ban, BanCause

# Characters of a log line: what shows without unfolding. The store keeps the whole line.
MAX_LINE_LENGTH: Final = 300
# Characters of a sentence from outside. nft and Docker explain their errors at length.
MAX_SENTENCE_LENGTH: Final = 300


def started(version: str, jails: Sequence[str], bans: int) -> Notice:
    """Return the notice that the daemon is running, with so many bans of earlier runs in force."""
    fields = (Field("Jails", listed(jails) or "none"), Field("Bans in force", f"{bans:,}"))
    return Notice(NoticeKind.START, NoticeLevel.GOOD, f"wp-sidecar {version} has started", fields)


def stopped(bans: int) -> Notice:
    """Return the notice that the daemon ends; so many bans stay in the kernel until they expire."""
    fields = (Field("Bans left in force", f"{bans:,}"),)
    return Notice(NoticeKind.STOP, NoticeLevel.GOOD, "wp-sidecar has stopped", fields)


def problem(name: str, sentence: str) -> Notice:
    """Return the notice that something is wrong; `resolved` follows when it is over."""
    return Notice(NoticeKind.PROBLEM, NoticeLevel.DANGER, f"Problem: {name}", _what(sentence), key=name)


def resolved(name: str) -> Notice:
    """Return the notice that a problem is over."""
    return Notice(NoticeKind.RESOLVED, NoticeLevel.GOOD, f"Resolved: {name}", key=name)


def event(name: str, sentence: str) -> Notice:
    """Return the notice of something that happened once, so that no `resolved` will follow."""
    return Notice(NoticeKind.PROBLEM, NoticeLevel.DANGER, f"Problem: {name}", _what(sentence))


def banned(ban: Ban) -> Notice:
    """Return the notice of one ban, with its evidence."""
    fields = (
        Field("Address", ban.address),
        Field("Failures", str(ban.failures) if ban.cause == BanCause.FAILURES else ""),
        Field("Times banned", str(ban.ban_count) if ban.ban_count > 1 else ""),
        Field("Jail", ban.jail),
        Field("Log" if "/" in ban.origin_name else "Container", ban.origin_name[:MAX_LIST_LENGTH]),
        Field("Until", until(ban)),
        Field("Reason", ban.reason[:MAX_SENTENCE_LENGTH], short=False, verbatim=True),
        Field(
            "Last line",
            ban.evidence[-1][:MAX_LINE_LENGTH] if ban.evidence else "",
            short=False,
            verbatim=True,
        ),
    )
    verb = "Would have banned" if ban.dry_run else "Banned"
    text = f"{verb} {ban.address} {_why(ban)}"
    return Notice(NoticeKind.BAN, NoticeLevel.WARNING, text, _filled(fields))


def banned_many(
    first: Sequence[Ban], count: int, seconds: float, jails: Counter[str], containers: Counter[str]
) -> Notice:
    """Return the notice of many bans within so many seconds: the first of them, and counts by jail and container."""
    addresses = [f"{ban.address} ({', '.join(filter(None, (ban.jail, ban.origin_name)))})" for ban in first]
    fields = (
        Field("Jails", _counts(jails)),
        Field("Containers", _counts(containers)),
        Field("Addresses", listed(addresses, count, "; "), short=False),
    )
    text = f"{count:,} bans within {format_duration(seconds)}"
    return Notice(NoticeKind.BANS, NoticeLevel.WARNING, text, _filled(fields))


def until(ban: Ban) -> str:
    """Return when the ban ends: `2026-11-23 08:40:04 UTC (1d)`, or `for good`."""
    if ban.until >= YEAR_10000:
        return "for good"
    end = datetime.fromtimestamp(ban.until, UTC)
    return f"{end:%Y-%m-%d %H:%M:%S} UTC ({format_duration(ban.until - ban.at)})"


def _why(ban: Ban) -> str:
    if ban.cause == BanCause.MANUAL:
        return "by hand"
    if ban.cause == BanCause.GROUP:
        return ban.reason or f"because {ban.failures} of its hosts are banned"
    return f"after {ban.failures} failure{'s' * (ban.failures != 1)}"


def _what(sentence: str) -> tuple[Field, ...]:
    return (Field("What", sentence[:MAX_SENTENCE_LENGTH], short=False, verbatim=True),)


def _counts(counter: Counter[str]) -> str:
    return listed([f"{name} {count:,}" for name, count in counter.most_common() if name and count > 0])


def _filled(fields: Sequence[Field]) -> tuple[Field, ...]:
    return tuple(field for field in fields if field.value)
