"""`import`: many bans, and many addresses to allow, in one turn of the loop."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sidecar.advice import allowlist as advice
from sidecar.control.commands.allow import EditableAllowlist, allow_target
from sidecar.control.commands.answers import ban_target
from sidecar.control.commands.loop_access import LoopAccess, check_jail
from sidecar.control.protocol import Refused, lasting
from sidecar.control.transfer import ImportAnswer, ImportRequest
from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from sidecar.core.allowlist_bounds import RefusedNetworks
from sidecar.core.events import Decision, Unban
from sidecar.core.guard import Guard
from sidecar.core.jail import MANUAL_JAIL
from sidecar.core.queries import GuardView

# What becomes of an entry that is not refused: keys of the answer.
BANNED: Final = "banned"
LONGER: Final = "longer"
ALLOWED: Final = "allowed"
KNOWN: Final = "known"
OVER: Final = "over"


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


@dataclass(slots=True)
class Judgement:
    """What is to be done about the entries of one request, and why nothing about some, by their places in it."""

    counts: Counter[str] = field(default_factory=Counter)
    refused: dict[int, str] = field(default_factory=dict)
    # Jail and address -> the ban that lasts longest.
    bans: dict[tuple[str, Address], NewBan] = field(default_factory=dict)
    allowed: dict[int, Allow] = field(default_factory=dict)

    def answer(self, unbanned: int) -> ImportAnswer:
        return {
            "banned": self.counts[BANNED],
            "longer": self.counts[LONGER],
            "allowed": self.counts[ALLOWED],
            "known": self.counts[KNOWN],
            "over": self.counts[OVER],
            "unbanned": unbanned,
            "refused": [{"index": index, "why": why} for index, why in sorted(self.refused.items())],
        }


class ImportCommand:
    """Takes over a list of bans and of what is allowed. One entry that is refused stops no other."""

    request = ImportRequest

    def __init__(self, loop: LoopAccess, allowlist: BoundedAllowlist) -> None:
        self._loop, self._allowlist = loop, allowlist

    def answer(self, request: ImportRequest) -> ImportAnswer:
        if request.dry_run:
            return self._loop.query(lambda view, now: self._judge(request, view, now)).answer(0)
        judgements: list[Judgement] = []

        def take_over(guard: Guard, now: float) -> Sequence[Decision]:
            judgement = self._judge(request, guard.view, now)
            judgements.append(judgement)
            decisions: list[Decision] = []
            if judgement.allowed:
                decisions += self._allowlist.allow([*judgement.allowed.values()], guard, now)
            for ban in judgement.bans.values():
                decisions += guard.ban_until(ban.address, ban.until, now, ban.jail, ban.reason)
            return decisions

        decisions = self._loop.decide(take_over)
        return judgements[0].answer(sum(isinstance(each, Unban) for each in decisions))

    def _judge(self, request: ImportRequest, view: GuardView, now: float) -> Judgement:
        """Say what would become of each entry. Nothing is changed."""
        check_jail(view, request.jail)
        judge = EntryJudge(view, now, request.jail)
        for index, entry in enumerate(request.entries):
            try:
                judge.judge(index, entry)
            except Refused as err:
                judge.found.refused[index] = str(err)
        self._bound(judge.found, view)
        return judge.found

    def _bound(self, found: Judgement, view: GuardView) -> None:
        """Refuse what would be too much for the allowlist."""
        if view.room_to_allow([each.address for each in found.allowed.values()]) < 0:
            _refuse(found, [*found.allowed][max(0, view.room_to_allow([])) :], advice.TOO_MANY_ALLOWED)
        for each in self._allowlist.refused_with(_addresses(found)):
            same = [index for index, entry in found.allowed.items() if entry.address == each.network]
            _refuse(found, same, advice.cannot_allow([each]))
        # What is left is narrower than networks of another source, and would displace them.
        if displaced := self._allowlist.refused_with(_addresses(found)):
            _refuse(found, [*found.allowed], advice.cannot_allow(displaced))
        found.counts[ALLOWED] = len(found.allowed)


class EntryJudge:
    """Says what is to be made of entries, by what is in force at one moment."""

    def __init__(self, view: GuardView, now: float, jail: str) -> None:
        """`jail`: where bans go, whatever their entries say."""
        self.found = Judgement()
        self._view, self._now, self._jail = view, now, jail
        self._bantimes = {jail.name: jail.bantime for jail in view.jails}

    def judge(self, index: int, entry: object) -> None:
        """Judge the entry at this place. Raises Refused."""
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
        if reason := self._view.allowlist_reason(address, jail):
            raise Refused(f"{address} is never banned: it is {reason}")
        end = self._now + self._bantimes[jail] if until is None else until
        before, earlier = self._view.ban_in(jail, address), self.found.bans.get((jail, address))
        if (before and not before.dry_run and before.until >= end) or (earlier and earlier.until >= end):
            self.found.counts[KNOWN] += 1
            return
        self.found.counts[LONGER if earlier or (before and not before.dry_run) else BANNED] += 1
        self.found.bans[jail, address] = NewBan(address, jail, end, _text(entry, "reason"))

    def _judge_allow(self, index: int, entry: Mapping[str, Any], until: float | None) -> None:
        address = allow_target(_text(entry, "ip"))
        end = math.inf if until is None else until
        made = Allow(address, self._now, end, _text(entry, "comment"))
        if self._view.is_allowed(made):
            self.found.counts[KNOWN] += 1
        else:
            self.found.allowed[index] = made

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


def _addresses(found: Judgement) -> list[Address]:
    return [each.address for each in found.allowed.values()]


def _refuse(found: Judgement, indexes: Iterable[int], why: str) -> None:
    for index in indexes:
        del found.allowed[index]
        found.refused[index] = why


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise Refused(f"{key} has to be text, not {value}")
    return value
