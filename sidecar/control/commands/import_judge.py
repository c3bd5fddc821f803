"""What is to be made of the entries of `import`, by what is in force and what earlier entries would change."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sidecar.advice import allowlist as advice
from sidecar.control.commands.allow import EditableAllowlist, allow_target
from sidecar.control.commands.answers import ban_target
from sidecar.control.commands.loop_access import check_jail
from sidecar.control.protocol import Refused, lasting
from sidecar.control.transfer import ImportAnswer
from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from sidecar.core.allowlist import BY_HAND, Allowlist
from sidecar.core.allowlist_bounds import RefusedNetworks
from sidecar.core.jail import MANUAL_JAIL
from sidecar.core.queries import GuardView

# What becomes of an entry that is not refused: keys of the answer.
BANNED: Final = "banned"
LONGER: Final = "longer"
ALLOWED: Final = "allowed"
KNOWN: Final = "known"
OVER: Final = "over"
UNBANNED: Final = "unbanned"

# Some 25 MB. Behind this many, a dry run takes each line of an address for a new ban.
MAX_DRAFT_BANS: Final = 100_000


class BoundedAllowlist(EditableAllowlist, Protocol):
    """An allowlist that has no more than it may."""

    def refused_with(self, addresses: Iterable[Address]) -> Sequence[RefusedNetworks]:
        """Return the networks that would be too much for it if these were allowed too. In the loop's thread."""


@dataclass(frozen=True, slots=True)
class NewBan:
    """A ban to be made, or to be made longer."""

    address: Address
    jail: str
    until: float
    reason: str


class Draft:
    """What entries that were judged so far would change: one request of an import, or all of a dry run."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.allowed: dict[Address, Allow] = {}
        # Jail and address -> the end.
        self.bans: dict[tuple[str, Address], float] = {}
        self._allowlist: Allowlist | None = None

    def allow(self, entries: Iterable[Allow], view: GuardView) -> int:
        """Have these allowed. Return how many bans would end by that, in force or of this draft."""
        fresh = {each.address: each for each in entries}
        if not fresh:
            return 0
        covers = Allowlist({BY_HAND: fresh})
        in_force = ((ban.jail, ban.address) for ban in view.bans if not self.allowlist_reason(ban.address))
        ended = {key for key in (*self.bans, *in_force) if covers.reason(key[1]) == BY_HAND}
        for key in ended:
            self.bans.pop(key, None)
        self.allowed |= fresh
        self._allowlist = Allowlist({BY_HAND: self.allowed})
        return len(ended)

    def allowlist_reason(self, address: Address) -> str | None:
        """Return why the address could not be banned any more; None: it could."""
        covered = self._allowlist and self._allowlist.reason(address) == BY_HAND
        return BY_HAND if covered else None

    def ban(self, bans: Iterable[NewBan]) -> None:
        """Have these banned."""
        for ban in bans:
            if len(self.bans) < MAX_DRAFT_BANS:
                self.bans[ban.jail, ban.address] = ban.until


@dataclass(slots=True)
class Judgement:
    """What is to be done about the entries of one request, and why nothing about some, by their places in it."""

    counts: Counter[str] = field(default_factory=Counter)
    refused: dict[int, str] = field(default_factory=dict)
    # Jail and address -> the ban that lasts longest.
    bans: dict[tuple[str, Address], NewBan] = field(default_factory=dict)
    allowed: dict[int, Allow] = field(default_factory=dict)

    def answer(self) -> ImportAnswer:
        return {
            "banned": self.counts[BANNED],
            "longer": self.counts[LONGER],
            "allowed": self.counts[ALLOWED],
            "known": self.counts[KNOWN],
            "over": self.counts[OVER],
            "unbanned": self.counts[UNBANNED],
            "refused": [{"index": index, "why": why} for index, why in sorted(self.refused.items())],
        }


class EntryJudge:
    """Judges entries at one moment. What is to be allowed goes before bans, wherever it stands in the request."""

    def __init__(
        self, view: GuardView, now: float, jail: str, draft: Draft, allowlist: BoundedAllowlist
    ) -> None:
        """`jail`: where bans go, whatever their entries say. Raises Refused if there is none of this name."""
        check_jail(view, jail)
        self.found = Judgement()
        self._view, self._now, self._jail = view, now, jail
        self._draft, self._allowlist = draft, allowlist
        self._bantimes = {jail.name: jail.bantime for jail in view.jails}

    def judge(self, entries: Sequence[object]) -> Judgement:
        """Say what would become of each entry, and put that into the draft. In the loop's thread."""
        found = self.found
        self._judge_each(entries, allows=True)
        self._bound()
        found.counts[ALLOWED] = len(found.allowed)
        found.counts[UNBANNED] = self._draft.allow(found.allowed.values(), self._view)
        self._judge_each(entries, allows=False)
        self._draft.ban(found.bans.values())
        return found

    def _judge_each(self, entries: Sequence[object], *, allows: bool) -> None:
        """Judge the entries that allow an address, or all others."""
        for index, entry in enumerate(entries):
            if (isinstance(entry, dict) and entry.get("kind") == "allow") == allows:
                self._judge(index, entry)

    def _judge(self, index: int, entry: object) -> None:
        try:
            self._judge_entry(index, entry)
        except Refused as err:
            self.found.refused[index] = str(err)

    def _judge_entry(self, index: int, entry: object) -> None:
        if not isinstance(entry, dict):
            raise Refused('an entry is an object, as {"kind": "ban", "ip": "203.0.113.7"}')
        until = self._until(entry)
        if until is not None and until <= self._now:
            self.found.counts[OVER] += 1
        elif entry.get("kind") == "ban":
            self._judge_ban(entry, until)
        elif entry.get("kind") == "allow":
            self._judge_allow(index, entry, until)
        else:
            raise Refused(f"kind has to be ban or allow, not {entry.get('kind')}")

    def _judge_ban(self, entry: Mapping[str, Any], until: float | None) -> None:
        address, jail = ban_target(_text(entry, "ip")), self._jail or _text(entry, "jail") or MANUAL_JAIL.name
        if jail not in self._bantimes:
            check_jail(self._view, jail)
        reason = self._view.allowlist_reason(address, jail) or self._draft.allowlist_reason(address)
        if reason:
            raise Refused(f"{address} is never banned: it is {reason}")
        end = self._now + self._bantimes[jail] if until is None else until
        before = self._end_before(jail, address)
        if before is not None and before >= end:
            self.found.counts[KNOWN] += 1
            return
        self.found.counts[BANNED if before is None else LONGER] += 1
        self.found.bans[jail, address] = NewBan(address, jail, end, _text(entry, "reason"))

    def _end_before(self, jail: str, address: Address) -> float | None:
        """Return when the address's ban ends that is in force, or would be; None: there is none."""
        if earlier := self.found.bans.get((jail, address)):
            return earlier.until
        if (end := self._draft.bans.get((jail, address))) is not None:
            return end
        ban = self._view.ban_in(jail, address)
        return ban.until if ban and not ban.dry_run else None

    def _judge_allow(self, index: int, entry: Mapping[str, Any], until: float | None) -> None:
        address = allow_target(_text(entry, "ip"))
        end = math.inf if until is None else until
        made = Allow(address, self._now, end, _text(entry, "comment"))
        drafted = self._draft.allowed.get(address)
        if drafted:
            is_known = (drafted.until, drafted.comment) == (made.until, made.comment)
        else:
            is_known = self._view.is_allowed(made)
        if is_known:
            self.found.counts[KNOWN] += 1
        else:
            self.found.allowed[index] = made

    def _bound(self) -> None:
        """Refuse what would be too much for the allowlist."""
        found = self.found
        if not found.allowed:
            return
        if self._view.room_to_allow(self._addresses()) < 0:
            room = max(0, self._view.room_to_allow(self._draft.allowed))
            self._refuse([*found.allowed][room:], advice.TOO_MANY_ALLOWED)
        for each in self._allowlist.refused_with(self._addresses()):
            same = [index for index, entry in found.allowed.items() if entry.address == each.network]
            self._refuse(same, advice.cannot_allow([each]))
        # What is left is narrower than networks of another source, and would displace them.
        if displaced := self._allowlist.refused_with(self._addresses()):
            self._refuse([*found.allowed], advice.cannot_allow(displaced))

    def _addresses(self) -> list[Address]:
        return [*self._draft.allowed, *(each.address for each in self.found.allowed.values())]

    def _refuse(self, indexes: Iterable[int], why: str) -> None:
        for index in indexes:
            del self.found.allowed[index]
            self.found.refused[index] = why

    def _until(self, entry: Mapping[str, Any]) -> float | None:
        """Return when an entry ends: `until` is a unix time or null (for good), `for` seconds. None: neither."""
        if "until" not in entry:
            seconds = lasting(entry.get("for"), "an entry is")
            return None if seconds is None else self._now + seconds
        until = entry["until"]
        if until is None:
            return math.inf
        if isinstance(until, bool) or not isinstance(until, int | float) or math.isnan(until):
            raise Refused(f"until has to be a unix time, or null for good, not {until}")
        return float(until)


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise Refused(f"{key} has to be text, not {value}")
    return value
