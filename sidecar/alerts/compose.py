"""The notices that the daemon sends: their words, and what of a ban or a problem they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sidecar.alerts.notices import LAST_LINE, MAX_LIST_LENGTH, Field, Notice, NoticeKind, NoticeLevel, listed
from sidecar.alerts.occurrences import Digest, Occurrence
from sidecar.core.actions import AlertEvent
from sidecar.core.durations import format_duration
from sidecar.core.events import YEAR_10000, BanCause

# Characters of a log line: what shows without unfolding. The store keeps the whole line.
MAX_LINE_LENGTH: Final = 300
# Characters of a sentence from outside. nft and Docker explain their errors at length, and what to change comes last.
MAX_SENTENCE_LENGTH: Final = 3_000

# (event, whether it is a dry run) -> how a digest counts it: one, many.
COUNTED: Final = {
    (AlertEvent.BAN, False): ("ban enforced", "bans enforced"),
    (AlertEvent.BAN, True): ("ban observed", "bans observed"),
    (AlertEvent.UNBAN, False): ("unban", "unbans"),
    (AlertEvent.FOUND, False): ("failure", "failures"),
    (AlertEvent.BYPASS, False): ("bypassed ban", "bypassed bans"),
}


def started(version: str, jails: Sequence[str], bans: int, at: float = 0.0) -> Notice:
    """Return the notice that the daemon is running, with this many bans of earlier runs in force."""
    fields = (Field("Jails", listed(jails) or "none"), Field("Bans in force", f"{bans:,}"))
    return Notice(NoticeKind.START, NoticeLevel.GOOD, f"wp-sidecar {version} has started", fields, at=at)


def stopped(bans: int, at: float = 0.0) -> Notice:
    """Return the notice that the daemon ends; this many bans stay in the kernel until they expire."""
    fields = (Field("Bans left in force", f"{bans:,}"),)
    return Notice(NoticeKind.STOP, NoticeLevel.GOOD, "wp-sidecar has stopped", fields, at=at)


def jail_started(jail: str, at: float) -> Notice:
    """Return the notice of one jail, for action files that have a message for each jail."""
    return Notice(NoticeKind.START, NoticeLevel.GOOD, f"Jail {jail} has started", jail=jail, at=at)


def jail_stopped(jail: str, at: float) -> Notice:
    return Notice(NoticeKind.STOP, NoticeLevel.GOOD, f"Jail {jail} has stopped", jail=jail, at=at)


def problem(name: str, sentence: str) -> Notice:
    """Return the notice that something is wrong; `resolved` follows when it is over."""
    return Notice(NoticeKind.PROBLEM, NoticeLevel.DANGER, f"Problem: {name}", _what_field(sentence), key=name)


def resolved(name: str) -> Notice:
    """Return the notice that a problem is over."""
    return Notice(NoticeKind.RESOLVED, NoticeLevel.GOOD, f"Resolved: {name}", key=name)


def trial(at: float) -> Notice:
    """Return the notice of `wp-sidecar alert test`."""
    text = "Test message of wp-sidecar: alerts arrive here"
    return Notice(NoticeKind.TEST, NoticeLevel.GOOD, text, at=at)


def described(occurrence: Occurrence) -> Notice:
    """Return the notice of one ban, unban, failure or bypassed ban."""
    level = NoticeLevel.WARNING
    if occurrence.event == AlertEvent.BAN:
        text, fields = _banned(occurrence)
    elif occurrence.event == AlertEvent.UNBAN:
        level = NoticeLevel.GOOD
        text, fields = f"Unbanned {occurrence.address} ({occurrence.cause})", _where(occurrence)
    elif occurrence.event == AlertEvent.FOUND:
        text, fields = (
            f"A failure of {occurrence.address}",
            (*_where(occurrence), _last_line(occurrence)),
        )
    else:
        level = NoticeLevel.DANGER
        text = f"Problem: the ban of {occurrence.address}"
        fields = _what_field(f"It still reaches {occurrence.site}: {occurrence.reason}.")
    return Notice(
        NoticeKind(occurrence.event), level, text, _filled(fields),
        jail=occurrence.jail, at=occurrence.at, occurrence=occurrence,
    )  # fmt: skip


def digested(digest: Digest) -> Notice:
    """Return the notice of many occurrences: the first of them, and counts by event, jail and container."""
    addresses = [
        f"{each.address} ({', '.join(filter(None, (each.jail, each.site)))})" for each in digest.first
    ]
    fields = (
        Field("Jails", _counts(digest.jails)),
        Field("Containers", _counts(digest.sites)),
        Field("Addresses", listed(addresses, digest.count, "; "), short=False),
    )
    seconds = max(0.0, digest.last - digest.since)
    text = f"{_by_event(digest)} within {format_duration(seconds)}"
    jail = next(iter(digest.jails)) if len(digest.jails) == 1 else ""
    return Notice(
        NoticeKind.DIGEST,
        NoticeLevel.WARNING,
        text,
        _filled(fields),
        jail=jail,
        at=digest.last,
        digest=digest,
    )


def until(occurrence: Occurrence) -> str:
    """Return when the ban ends: `2026-11-23 08:40:04 UTC (1d)`, or `for good`."""
    if occurrence.until >= YEAR_10000:
        return "for good"
    return f"{utc(occurrence.until)} ({format_duration(occurrence.bantime)})"


def utc(at: float) -> str:
    """Return a time of unix seconds as `2026-11-23 08:40:04 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _banned(ban: Occurrence) -> tuple[str, tuple[Field, ...]]:
    verb = "Would have banned" if ban.dry_run else "Banned"
    return f"{verb} {ban.address} {_why(ban)}", (
        Field("Address", ban.address),
        Field("Failures", str(ban.failures) if ban.cause == BanCause.FAILURES else ""),
        Field("Times banned", str(ban.ban_count) if ban.ban_count > 1 else ""),
        *_where(ban),
        Field("Until", until(ban)),
        Field("Reason", _sentence(ban.reason), short=False, verbatim=True),
        _last_line(ban),
    )


def _where(occurrence: Occurrence) -> tuple[Field, ...]:
    site = occurrence.site
    return (
        Field("Jail", occurrence.jail),
        Field("Log" if "/" in site else "Container", site[:MAX_LIST_LENGTH]),
    )


def _last_line(occurrence: Occurrence) -> Field:
    line = occurrence.lines[-1][:MAX_LINE_LENGTH] if occurrence.lines else ""
    return Field(LAST_LINE, line, short=False, verbatim=True)


def _why(ban: Occurrence) -> str:
    if ban.cause == BanCause.MANUAL:
        return "by hand"
    if ban.cause == BanCause.GROUP:
        return ban.reason or f"because {ban.failures} of its hosts are banned"
    return f"after {ban.failures} failure{'s' * (ban.failures != 1)}"


def _what_field(sentence: str) -> tuple[Field, ...]:
    return (Field("What", _sentence(sentence), short=False, verbatim=True),)


def _sentence(sentence: str) -> str:
    """Return the whole sentence, unless it is of an absurd length; a cut shows."""
    return sentence if len(sentence) <= MAX_SENTENCE_LENGTH else f"{sentence[: MAX_SENTENCE_LENGTH - 1]}…"


def _by_event(digest: Digest) -> str:
    """Return the counts: `4,200 bans enforced, 800 bans observed (dry run)`."""
    parts = []
    for key, words in COUNTED.items():
        if count := digest.events.get(key):
            note = " (dry run)" if key[1] else ""
            parts.append(f"{count:,} {words[count != 1]}{note}")
    return ", ".join(parts)


def _counts(counter: Counter[str]) -> str:
    return listed([f"{name} {count:,}" for name, count in counter.most_common() if name and count > 0])


def _filled(fields: Sequence[Field]) -> tuple[Field, ...]:
    return tuple(field for field in fields if field.value)
