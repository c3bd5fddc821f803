"""What people ask of the running daemon, and its answers. Called in the control socket's threads.

Whatever touches the guard is done in the loop's thread, so an answer knows of all that was asked before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sidecar import __version__
from sidecar.control import Refused
from sidecar.core.events import Ban, Decision, Turn, Who
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.trust import subject
from sidecar.loop import Closed, Inbox
from sidecar.web import Health

PATIENCE = 10.0  # seconds that a person waits for the loop


class Answers:
    """What `control.Control` is given; docs/cli.md has the shapes."""

    def __init__(
        self,
        guard: Guard,
        inbox: Inbox,
        *,
        began: float,
        health: Callable[[], Health],
        streams: Mapping[str, str],
        firewall: Callable[[], dict[str, Any]],
    ) -> None:
        """`began`: when the daemon did. `streams`: log -> its state. `firewall`: what `status` tells of it."""
        self.tally = Tally()
        self._guard, self._inbox, self._began = guard, inbox, began
        self._health, self._streams, self._firewall = health, streams, firewall

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request. Raises Refused, with a sentence for who asked."""
        match request:
            case {"do": "health"}:
                return told(self._health())
            case {"do": "status"}:
                return self._status()
            case {"do": "bans"}:
                return {"bans": [shown(ban) for ban in self._bans()]}
            case {"do": "ban", "who": str(text)}:
                return self._ban(text, request)
            case {"do": "unban", "who": str(text)}:
                return self._unban(_subject(text), request)
            case {"do": "unban"} if request.get("who") is None:
                return self._unban(None, request)
        raise Refused(f"no such thing to do: {request.get('do')}")

    def _ban(self, text: str, request: dict[str, Any]) -> dict[str, Any]:
        who, jail, seconds = _subject(text), self._known(request), _seconds(request.get("for"))

        def work(now: float) -> Sequence[Decision]:
            if reason := self._guard.why(who, jail):
                raise Refused(f"{who} is never banned: it is {reason}")
            return self._guard.ban(who, now, jail, seconds, str(request.get("reason") or ""))

        return {"banned": [shown(ban) for ban in self._ask(work) if isinstance(ban, Ban)]}

    def _unban(self, who: Who | None, request: dict[str, Any]) -> dict[str, Any]:
        jail = self._known(request)

        def work(now: float) -> Sequence[Decision]:
            wider = self._guard.over(who) if who else ()
            lifted = self._guard.unban(who, now, jail)
            if wider and not lifted:
                raise Refused(f"{who} is not banned by itself: it lies in {wider[0]}, which is; unban that")
            return lifted

        lifted = self._ask(work)
        return {"unbanned": [{"ip": each.who, "jail": each.jail} for each in lifted]}

    def _bans(self) -> Sequence[Ban]:
        """As they are after everything that was asked for before."""
        found: list[Ban] = []

        def work(_: float) -> Sequence[Decision]:
            found.extend(self._guard.bans)
            return ()

        self._ask(work)
        return found

    def _status(self) -> dict[str, Any]:
        active = Counter(ban.jail for ban in self._bans())
        return {
            "version": __version__,
            "started": self._began,
            "jails": [self._jail(jail, active[jail.name]) for jail in self._guard.jails],
            "streams": [{"container": name, "state": state} for name, state in sorted(self._streams.items())],
            "firewall": self._firewall(),
            "bans": active.total(),
            "health": told(self._health()),
        }

    def _jail(self, jail: Jail, active: int) -> dict[str, Any]:
        return {
            "name": jail.name,
            "maxretry": jail.maxretry,
            "findtime": jail.findtime,
            "bantime": None if jail.bantime == math.inf else jail.bantime,
            "failures": self.tally.failures[jail.name],
            "bans": self.tally.bans[jail.name],
            "active": active,
        }

    def _known(self, request: dict[str, Any]) -> str:
        """The jail that was named, if any. Raises Refused where there is none of that name."""
        jail, names = str(request.get("jail") or ""), [jail.name for jail in self._guard.jails]
        if jail and jail not in names:
            raise Refused(f"no jail is named {jail}; there are {', '.join(names)}")
        return jail

    def _ask(self, work: Callable[[float], Sequence[Decision]]) -> Sequence[Decision]:
        """Have this done in the loop's thread, and wait until the sinks have acted on it."""
        try:
            return self._inbox.ask(work).result(PATIENCE)
        except Closed:
            raise Refused("wp-sidecar is stopping") from None
        except TimeoutError:
            raise Refused(
                f"wp-sidecar is busy: nothing came of it within {PATIENCE:.0f} s; try again"
            ) from None


class Tally:
    """What `status` counts since the start, by jail. Written by the loop's thread, read by others as it stands."""

    name = "tally"

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.bans: Counter[str] = Counter()

    def apply(self, turn: Turn) -> None:
        self.failures.update([hit.jail for hit in (*turn.hits, *turn.ignored)])
        self.bans.update([each.jail for each in turn.decisions if isinstance(each, Ban)])


def shown(ban: Ban) -> dict[str, Any]:
    """A ban as the control socket tells it; `until` is null for good."""
    return {
        "ip": ban.who,
        "jail": ban.jail,
        "at": ban.at,
        "until": None if ban.for_good else ban.until,
        "cause": ban.cause,
        "failures": ban.failures,
        "site": ban.site,
        "reason": ban.reason,
        "evidence": list(ban.evidence),
    }


def told(health: Health) -> dict[str, Any]:
    return {"live": health.live, "ready": health.ready, "why": list(health.why)}


def _subject(text: str) -> Who:
    """Whom a person means. Raises Refused."""
    try:
        return subject(text)
    except ValueError as err:
        raise Refused(str(err)) from None


def _seconds(lasting: object) -> float | None:
    """How long a ban by hand is to last; below zero is for good, None as long as the jail says. Raises Refused."""
    if lasting is None:
        return None
    if not isinstance(lasting, int | float) or math.isnan(lasting):
        raise Refused(f"a ban lasts seconds, -1 for good: not {lasting}")
    return math.inf if lasting < 0 else lasting
