"""`allow`, `disallow` and `allowed`: what people put on the allowlist while the daemon runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from sidecar.control.commands.loop_access import LoopAccess
from sidecar.control.protocol import (
    AllowAnswer,
    AllowedAnswer,
    AllowedEntry,
    AllowedRequest,
    AllowRequest,
    DisallowAnswer,
    DisallowRequest,
    Refused,
)
from sidecar.core.address import Address, parse_allow_target
from sidecar.core.allowed import Allow, Disallow
from sidecar.core.events import Decision
from sidecar.core.guard import Guard
from sidecar.core.queries import GuardView


class EditableAllowlist(Protocol):
    """The allowlist that is in force. Both methods are called in the loop's thread."""

    def allow(self, entries: Sequence[Allow], guard: Guard, now: float) -> Sequence[Decision]:
        """Put these on it, and unban what they cover. Raises ValueError, with a sentence, where they are too much."""

    def disallow(self, addresses: Iterable[Address], guard: Guard, now: float) -> Sequence[Disallow]:
        """Take these off it, as far as people put them there. Return what that was."""


class AllowCommand:
    """Puts an address or a network on the allowlist, and unbans it."""

    request = AllowRequest

    def __init__(self, loop: LoopAccess, allowlist: EditableAllowlist, *, in_fleet: bool = False) -> None:
        self._loop, self._allowlist, self._in_fleet = loop, allowlist, in_fleet

    def answer(self, request: AllowRequest) -> AllowAnswer:
        address = allow_target(request.address)
        made: list[Allow] = []

        def allow(guard: Guard, now: float) -> Sequence[Decision]:
            until = math.inf if request.lasting is None else now + request.lasting
            made.append(Allow(address, now, until, request.comment))
            try:
                return self._allowlist.allow(made, guard, now)
            except ValueError as err:
                raise Refused(str(err)) from None

        unbanned = self._loop.decide(allow)
        return {
            "allowed": [allowed_entry(each) for each in made],
            "unbanned": [{"ip": each.address, "jail": each.jail} for each in unbanned],
            "alone": self._in_fleet,
        }


class DisallowCommand:
    """Takes back what was allowed: an address, or everything."""

    request = DisallowRequest

    def __init__(self, loop: LoopAccess, allowlist: EditableAllowlist) -> None:
        self._loop, self._allowlist = loop, allowlist

    def answer(self, request: DisallowRequest) -> DisallowAnswer:
        address = None if request.address is None else allow_target(request.address)
        ended: list[Disallow] = []

        def disallow(guard: Guard, now: float) -> Sequence[Decision]:
            addresses = [each.address for each in guard.view.allowed] if address is None else [address]
            ended.extend(self._allowlist.disallow(addresses, guard, now))
            return ()

        self._loop.decide(disallow)
        return {"disallowed": [each.address for each in ended]}


class AllowedCommand:
    """Shows what was allowed, in the order in which it was."""

    request = AllowedRequest

    def __init__(self, loop: LoopAccess) -> None:
        self._loop = loop

    def answer(self, _: AllowedRequest) -> AllowedAnswer:
        def in_force(view: GuardView, now: float) -> list[Allow]:
            return [entry for entry in view.allowed if entry.until > now]

        return {"allowed": map(allowed_entry, self._loop.query(in_force))}


def allow_target(text: str) -> Address:
    """Return the address or the network that a person named. Raises Refused."""
    try:
        return parse_allow_target(text)
    except ValueError as err:
        raise Refused(str(err)) from None


def allowed_entry(entry: Allow) -> AllowedEntry:
    return {
        "ip": entry.address,
        "at": entry.at,
        "until": None if entry.is_permanent else entry.until,
        "comment": entry.comment,
    }
