"""Rows of the tables <-> values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from sidecar.core.events import Ban, BanCause, Hit, Origin

# Characters of a line that are kept as evidence. What a filter matches stands before.
MAX_LINE_CHARS = 2048


def ban_row(ban: Ban) -> tuple[object, ...]:
    return (
        ban.jail,
        ban.address,
        ban.at,
        ban.until,
        str(ban.cause),
        ban.failures,
        storable(ban.origin_name),
        storable(ban.reason),
        ban.ban_count,
        ban.dry_run,
    )


def bans(rows: Iterable[Any], now: float) -> tuple[Ban, ...]:
    """Return the bans of these rows. They are taken over: as far as we know they are in force since now.

    Jails, causes and origins are the same few texts 100,000 times, so each is kept once, which
    saves 16 MB. Fields by position and one comprehension take half the time of anything prettier.
    """
    one = dict[str, str]().setdefault
    # A later version may have stored a cause that this one does not know.
    cause_of = {str(cause): cause for cause in BanCause}.get
    return tuple([
        Ban(
            one(jail, jail), address, at, until, cause_of(cause, BanCause.ADOPTED), failures,
            one(site, site), (), one(reason, reason), times, bool(observed), now,
        )
        for jail, address, at, until, cause, failures, site, reason, times, observed in rows
    ])  # fmt: skip


def allow_row(entry: Allow) -> tuple[object, ...]:
    return entry.address, entry.at, entry.until, storable(entry.comment)


def evidence_text(ban: Ban) -> str:
    return storable("\n".join([line[:MAX_LINE_CHARS].replace("\n", " ") for line in ban.evidence]))


def evidence_lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n"))


def hit_row(hit: Hit, now: float) -> tuple[object, ...]:
    """Return the row of a failure, at its time but no later than now: otherwise it would be new at each start."""
    return (
        hit.jail,
        hit.address,
        min(hit.at, now),
        hit.origin.source,
        storable(hit.origin.name),
        hit.origin.stream,
        storable(hit.line[:MAX_LINE_CHARS]),
        storable(hit.target),
    )


def hits(rows: list[Any]) -> Iterator[Hit]:
    """Yield the failures of these rows, oldest first. They come from few origins, and each of those is kept once."""
    origins: dict[tuple[str, str, str], Origin] = {}
    # They are nearly sorted already.
    for jail, address, at, source, name, stream, line, target in sorted(rows, key=itemgetter(2)):
        key = source, name, stream
        origin = origins.get(key) or origins.setdefault(key, Origin(*key))
        yield Hit(jail, Address(address), at, origin, line, target)


def storable(text: str) -> str:
    """Return a text that SQLite accepts: a line or the name of a file may contain bytes that are not text."""
    return text if text.isascii() else text.encode(errors="replace").decode()
