"""What people ask of the running daemon, and its answers. Called in the control socket's threads.

Whatever touches the guard is done in the loop's thread, so an answer knows of all that was asked before.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from sidecar import __version__
from sidecar.config import jail_keys
from sidecar.config.changes import ReloadOutcome
from sidecar.config.jail_keys import Shown
from sidecar.control.server import Refused
from sidecar.core.address import Address, parse_ban_target
from sidecar.core.events import Ban, Decision, Turn
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.queries import AddressStatus
from sidecar.runtime.loop import Closed, Inbox
from sidecar.stores.base import StoreError
from sidecar.telemetry.http import Health

log = logging.getLogger(__name__)

Evidence: TypeAlias = Mapping[tuple[str, Address], tuple[str, ...]]  # (jail, who) -> the lines of the ban

PATIENCE = 10.0  # seconds that a person waits for the loop


class Fleet(Protocol):
    """The fleet that this host is a member of. Both methods raise StoreError while it cannot be reached."""

    def bans(self) -> Sequence[Ban]: ...

    def unban(self, address: Address | None, jail: str) -> int:
        """Unban on every node. Return how many bans that were. Raises ValueError where that is not possible."""


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
        reload: Callable[[], ReloadOutcome],
        evidence: Callable[[], Evidence],
        fleet: Fleet | None = None,
    ) -> None:
        """`began`: when the daemon did. `streams`: log -> its state. `firewall`: what `status` tells of it.

        `reload()` takes a new configuration over. `evidence()` has the lines of all bans; it raises StoreError.
        """
        self.tally = Tally()
        self._guard, self._inbox, self._began = guard, inbox, began
        self._health, self._streams, self._firewall = health, streams, firewall
        self._reload, self._evidence, self._fleet = reload, evidence, fleet
        self._answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "health": lambda _: told(self._health()),
            "status": lambda _: self._status(),
            "reload": lambda _: self._reloaded(),
            "bans": lambda asked: self._everywhere() if asked.get("fleet") else self._banned(asked),
            "history": self._history,
            "explain": self._explain,
            "ban": self._ban,
            "unban": self._unban,
        }

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request. Raises Refused, with a sentence for who asked."""
        answer = self._answers.get(str(request.get("do")))
        if answer is None:
            raise Refused(f"no such thing to do: {request.get('do')}")
        return answer(request)

    def _ban(self, request: dict[str, Any]) -> dict[str, Any]:
        address, jail, seconds = _subject(request.get("who")), _jail(request), _seconds(request.get("for"))

        def work(now: float) -> Sequence[Decision]:
            self._know(jail)
            if reason := self._guard.view.allowlist_reason(address, jail):
                raise Refused(f"{address} is never banned: it is {reason}")
            return self._guard.ban(address, now, jail, seconds, str(request.get("reason") or ""))

        return {"banned": [shown(ban) for ban in self._ask(work) if isinstance(ban, Ban)]}

    def _unban(self, request: dict[str, Any]) -> dict[str, Any]:
        """Of everyone, where nobody is named."""
        address = None if request.get("who") is None else _subject(request["who"])
        jail, everywhere = _jail(request), bool(request.get("fleet"))
        self._ask(lambda _: self._know(jail))
        found = self._lifted(address, jail) if everywhere else 0

        def work(now: float) -> Sequence[Decision]:
            wider = self._guard.view.banned_networks_around(address) if address else ()
            lifted = self._guard.unban(address, now, jail)
            if wider and not lifted and not found:
                raise Refused(
                    f"{address} is not banned by itself: it lies in {wider[0]}, which is; unban that"
                )
            return lifted

        lifted = [{"ip": each.address, "jail": each.jail} for each in self._ask(work)]
        return {"unbanned": lifted} | ({"fleet": found} if everywhere else {})

    def _everywhere(self) -> dict[str, Any]:
        """All that the fleet knows of, held here or not."""
        try:
            return {"bans": [shown(ban) for ban in self._the_fleet().bans()]}
        except StoreError as err:
            raise Refused(str(err)) from None

    def _lifted(self, address: Address | None, jail: str) -> int:
        try:
            return self._the_fleet().unban(address, jail)
        except (StoreError, ValueError) as err:
            raise Refused(str(err)) from None

    def _the_fleet(self) -> Fleet:
        if self._fleet is None:
            raise Refused("this host is in no fleet: set WP_SIDECAR_REDIS_URL")
        return self._fleet

    def _banned(self, request: dict[str, Any]) -> dict[str, Any]:
        """Everyone, with the lines that led to it, unless nobody wants them.

        Those are the store's, which has written what the guard decided.
        """
        bans = self._bans()
        try:
            lines = self._evidence() if request.get("evidence", True) else {}
        except StoreError as err:  # the loop is told of it as well, and then everyone
            log.warning("bans are shown without their evidence: %s", err)
            lines = {}
        return {"bans": [shown(ban, lines.get((ban.jail, ban.address), ())) for ban in bans]}

    def _history(self, request: dict[str, Any]) -> dict[str, Any]:
        """How often someone was banned, by jail, as far as that is remembered; now counts, too."""
        address, times = _subject(request.get("who")), dict[str, int]()

        def work(now: float) -> Sequence[Decision]:
            times.update(self._guard.view.ban_counts(address, now))
            return ()

        self._ask(work)
        return {"ip": address, "times": times}

    def _explain(self, request: dict[str, Any]) -> dict[str, Any]:
        """How someone stands with each jail, and in which wider networks that are banned they lie."""
        address = _subject(request.get("who"))
        found, wider = list[AddressStatus](), list[Address]()

        def work(now: float) -> Sequence[Decision]:
            found.extend(self._guard.view.statuses(address, now))
            wider.extend(self._guard.view.banned_networks_around(address))
            return ()

        self._ask(work)
        return {"ip": address, "within": wider, "jails": [_stands(each) for each in found]}

    def _bans(self) -> Sequence[Ban]:
        """As they are after everything that was asked for before."""
        found: list[Ban] = []

        def work(_: float) -> Sequence[Decision]:
            found.extend(self._guard.view.bans)
            return ()

        self._ask(work)
        return found

    def _status(self) -> dict[str, Any]:
        bans, jails = Counter[tuple[str, bool]](), list[Jail]()

        def work(_: float) -> Sequence[Decision]:
            bans.update((ban.jail, ban.dry_run) for ban in self._guard.view.bans)
            jails.extend(self._guard.view.jails)
            return ()

        self._ask(work)
        return {
            "version": __version__,
            "started": self._began,
            "jails": [self._jail(jail, bans[jail.name, False], bans[jail.name, True]) for jail in jails],
            "streams": [{"container": name, "state": state} for name, state in sorted(self._streams.items())],
            "firewall": self._firewall(),
            "bans": sum(count for (_, observed), count in bans.items() if not observed),
            "health": told(self._health()),
        }

    def _jail(self, jail: Jail, active: int, observed: int) -> dict[str, Any]:
        """A jail as `status` tells it: how many are kept out now, and how many would be."""
        return {
            "name": jail.name,
            **jail_keys.shown(jail, Shown.STATUS),
            "failures": self.tally.failures[jail.name],
            "bans": self.tally.bans[jail.name],
            "active": active,
            "observed": observed,
            "leaks": self.tally.bypasses[jail.name],
        }

    def _reloaded(self) -> dict[str, Any]:
        try:
            outcome = self._reload()
        except Closed:
            raise Refused("wp-sidecar is stopping") from None
        return {
            "ok": outcome.ok,
            "jails": [jail.name for jail in outcome.settings.jails],
            "notes": list(outcome.settings.notes) if outcome.ok else [],
            "mistakes": [error.as_dict() for error in outcome.errors],
            "restart": list(outcome.restart),
        }

    def _know(self, jail: str) -> tuple[()]:
        """Raises Refused where there is no jail of that name. In the loop's thread: a reload may change them."""
        names = [jail.name for jail in self._guard.view.jails]
        if jail and jail not in names:
            raise Refused(f"no jail is named {jail}; there are {', '.join(names)}")
        return ()

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
        self.bypasses: Counter[str] = Counter()  # of those who were banned: who was logged again all the same

    def apply(self, turn: Turn) -> None:
        self.failures.update([hit.jail for hit in (*turn.hits, *turn.ignored)])
        self.bans.update([each.jail for each in turn.decisions if isinstance(each, Ban)])
        self.bypasses.update([each.jail for each in turn.bypasses])


def shown(ban: Ban, evidence: Sequence[str] = ()) -> dict[str, Any]:
    """A ban as the control socket tells it; `until` is null for good."""
    return {
        "ip": ban.address,
        "jail": ban.jail,
        "at": ban.at,
        "until": None if ban.is_permanent else ban.until,
        "cause": ban.cause,
        "failures": ban.failures,
        "site": ban.origin_name,
        "reason": ban.reason,
        "times": ban.ban_count,
        "observed": ban.dry_run,
        "evidence": list(evidence),
    }


def _stands(standing: AddressStatus) -> dict[str, Any]:
    jail, never, failures, times, ban = standing
    return {
        "jail": jail.name,
        "never": never,
        "failures": failures,
        "maxretry": jail.maxretry,
        "findtime": jail.findtime,
        "times": times,
        "ban": shown(ban) if ban else None,
    }


def told(health: Health) -> dict[str, Any]:
    return {"live": health.live, "ready": health.ready, "why": list(health.why)}


def _subject(address: object) -> Address:
    """Whom a person means. Raises Refused."""
    try:
        return parse_ban_target(str(address))
    except ValueError as err:
        raise Refused(str(err)) from None


def _jail(request: dict[str, Any]) -> str:
    """The jail that was named; "" for none."""
    return str(request.get("jail") or "")


def _seconds(lasting: object) -> float | None:
    """How long a ban by hand is to last; below zero is for good, None as long as the jail says. Raises Refused."""
    if lasting is None:
        return None
    if not isinstance(lasting, int | float) or math.isnan(lasting):
        raise Refused(f"a ban lasts seconds, -1 for good: not {lasting}")
    return math.inf if lasting < 0 else lasting
