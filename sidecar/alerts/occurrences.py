"""What happened to one address in one jail, as far as a message can show it; and many of them, counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Self

from sidecar.core.actions import AlertEvent
from sidecar.core.events import Ban, Bypass, Hit, Unban

# Of a log line, and lines of one ban. Mails show them all.
MAX_LINE_CHARS: Final = 1_000
MAX_LINES: Final = 20
# A digest keeps this many whole, to name them, and this many addresses for senders without a limit.
MAX_FIRST: Final = 10
MAX_ADDRESSES: Final = 10_000


class Occurrence(NamedTuple):
    """A ban, an unban, a failure or a bypass. Times are unix seconds; `until` is `math.inf` for a permanent ban.

    `at` is when it was decided or logged. `bantime` are the seconds for which the address is banned. `site` is the
    container or file, "" where none is known. `cause` is that of the ban or unban. `lines` are log lines, the oldest
    first. `reason` is what a person gave, or why a ban is bypassed.
    """

    event: AlertEvent
    jail: str
    address: str
    at: float
    site: str = ""
    until: float = math.inf
    bantime: float = math.inf
    cause: str = ""
    failures: int = 0
    ban_count: int = 1
    dry_run: bool = False
    reason: str = ""
    lines: tuple[str, ...] = ()

    @classmethod
    def of_ban(cls, ban: Ban, now: float) -> Self:
        # A log that is read late has bans that ended long ago: the message is about the decision.
        at = ban.decided_at or now
        return cls(
            AlertEvent.BAN, ban.jail, ban.address, at, ban.origin_name, ban.until, ban.until - ban.at,
            str(ban.cause), ban.failures, ban.ban_count, ban.dry_run, ban.reason, _lines(ban.evidence),
        )  # fmt: skip

    @classmethod
    def of_unban(cls, unban: Unban) -> Self:
        return cls(AlertEvent.UNBAN, unban.jail, unban.address, unban.at, cause=str(unban.cause))

    @classmethod
    def of_hit(cls, hit: Hit) -> Self:
        lines = _lines((hit.line,))
        return cls(AlertEvent.FOUND, hit.jail, hit.address, hit.at, hit.origin.name, failures=1, lines=lines)

    @classmethod
    def of_bypass(cls, bypass: Bypass, reason: str) -> Self:
        """Return the bypass with the reason, a clause without a full stop."""
        return cls(
            AlertEvent.BYPASS, bypass.jail, bypass.address, bypass.at, bypass.origin_name, reason=reason
        )

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Self:
        """Return what was stored as a list of the fields. Raises TypeError and ValueError."""
        found = cls(*values)
        return found._replace(event=AlertEvent(found.event), lines=tuple(map(str, found.lines)))


class Digest:
    """Occurrences of one jail or of several, counted. Owned by one thread, or used under a lock."""

    def __init__(self) -> None:
        # (event, whether it is a dry run) -> how many.
        self.events: Counter[tuple[AlertEvent, bool]] = Counter()
        self.jails: Counter[str] = Counter()
        self.sites: Counter[str] = Counter()
        # The first few, and the addresses of all as far as there is room.
        self.first: list[Occurrence] = []
        self.addresses: list[str] = []
        self.since = math.inf
        self.last = -math.inf

    @property
    def count(self) -> int:
        return sum(self.events.values())

    def add(self, occurrences: Iterable[Occurrence]) -> None:
        for each in occurrences:
            self.events[each.event, each.dry_run] += 1
            self.jails[each.jail] += 1
            self.sites[each.site] += 1
            self.since, self.last = min(self.since, each.at), max(self.last, each.at)
            if len(self.first) < MAX_FIRST:
                self.first.append(each)
            if len(self.addresses) < MAX_ADDRESSES:
                self.addresses.append(each.address)

    def add_digest(self, other: Digest) -> None:
        self.events.update(other.events)
        self.jails.update(other.jails)
        self.sites.update(other.sites)
        self.first += other.first[: MAX_FIRST - len(self.first)]
        self.addresses += other.addresses[: MAX_ADDRESSES - len(self.addresses)]
        self.since, self.last = min(self.since, other.since), max(self.last, other.last)

    def remove_first(self, occurrence: Occurrence) -> None:
        """Take out the oldest one."""
        self.events[occurrence.event, occurrence.dry_run] -= 1
        self.jails[occurrence.jail] -= 1
        self.sites[occurrence.site] -= 1
        del self.first[:1], self.addresses[:1]
        if self.first:
            self.since = self.first[0].at

    def to_json(self) -> dict[str, Any]:
        return {
            "events": [[event, dry_run, count] for (event, dry_run), count in self.events.items()],
            "jails": self.jails, "sites": self.sites, "first": self.first, "addresses": self.addresses,
            "since": self.since, "last": self.last,
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return what `to_json` gave. Raises KeyError, TypeError and ValueError."""
        digest = cls()
        for event, dry_run, count in values["events"]:
            digest.events[AlertEvent(event), bool(dry_run)] = int(count)
        digest.jails.update(values["jails"])
        digest.sites.update(values["sites"])
        digest.first = [Occurrence.from_json(each) for each in values["first"]]
        digest.addresses = list(map(str, values["addresses"]))
        digest.since, digest.last = float(values["since"]), float(values["last"])
        return digest


def _lines(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple([line[:MAX_LINE_CHARS] for line in lines[-MAX_LINES:]])
