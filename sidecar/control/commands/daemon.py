"""`health`, `status` and `reload`: the daemon itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from sidecar import __version__
from sidecar.access.detect import AccessLog
from sidecar.access.logs import AccessLogs
from sidecar.config import jail_keys
from sidecar.config.changes import ReloadOutcome
from sidecar.config.jail_keys import Shown
from sidecar.control.commands.answers import DropCounts, health_answer
from sidecar.control.commands.loop_access import STOPPING, LoopAccess
from sidecar.control.protocol import (
    AllowlistShare,
    FirewallStatus,
    HealthAnswer,
    HealthRequest,
    Refused,
    ReloadAnswer,
    ReloadRequest,
    StatusAnswer,
    StatusRequest,
    StreamStatus,
)
from sidecar.core.events import Ban, Turn
from sidecar.core.jail import Jail
from sidecar.core.queries import GuardView
from sidecar.runtime.loop import Closed
from sidecar.telemetry.http import HealthCheck


class FirewallState(DropCounts, Protocol):
    """The firewall as the last check found it."""

    def state(self) -> Mapping[str, Any]:
        """Return a FirewallStatus."""


class Reloader(Protocol):
    """Reads the configuration again, and applies it whole or not at all."""

    def reload(self) -> ReloadOutcome:
        """Return what came of it. Raises Closed once the loop has stopped."""


class LabelsInForce(Protocol):
    """Knows which labels of containers have an effect."""

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """Container's name -> its labels, as `name=value`."""


class DescribesLogs(Protocol):
    """Knows more about each log."""

    def of(self, name: str) -> Mapping[str, Any]:
        """Return the fields of a StreamStatus that not each log has."""


class LogOddities(Protocol):
    """What is odd about logs and filters, without being a problem."""

    @property
    def notes(self) -> Mapping[str, str]:
        """The log's name -> what is odd about it."""

    @property
    def remarks(self) -> Sequence[str]:
        """Sentences about filters."""


class Tally:
    """A sink that counts since the start, by jail. The loop's thread writes it, and others read it as it is.

    `bypasses` are bans without effect: the address was logged again all the same.
    """

    name = "tally"

    def __init__(self, started_at: float) -> None:
        """`started_at` is when the daemon did, as a unix time."""
        self.started_at = started_at
        self.failures: Counter[str] = Counter()
        self.bans: Counter[str] = Counter()
        self.bypasses: Counter[str] = Counter()

    def apply(self, turn: Turn) -> None:
        self.failures.update([hit.jail for hit in (*turn.hits, *turn.ignored)])
        self.bans.update([each.jail for each in turn.decisions if isinstance(each, Ban)])
        self.bypasses.update([each.jail for each in turn.bypasses])


class HealthCommand:
    """Says whether the daemon works."""

    request = HealthRequest

    def __init__(self, health: HealthCheck) -> None:
        self._health = health

    def answer(self, _: HealthRequest) -> HealthAnswer:
        return health_answer(self._health.health())


class ReloadCommand:
    """Applies the configuration as it is now."""

    request = ReloadRequest

    def __init__(self, reloader: Reloader) -> None:
        self._reloader = reloader

    def answer(self, _: ReloadRequest) -> ReloadAnswer:
        try:
            outcome = self._reloader.reload()
        except Closed:
            raise Refused(STOPPING) from None
        return {
            "ok": outcome.ok,
            "jails": [jail.name for jail in outcome.settings.jails],
            "notes": list(outcome.settings.notes) if outcome.ok else [],
            "mistakes": [error.as_dict() for error in outcome.errors],
            "restart": list(outcome.restart),
        }


class StatusCommand:
    """Shows what the daemon watches, and what it counted."""

    request = StatusRequest

    def __init__(
        self,
        loop: LoopAccess,
        *,
        health: HealthCheck,
        streams: Mapping[str, str],
        details: DescribesLogs,
        oddities: LogOddities,
        access_logs: AccessLogs,
        firewall: FirewallState,
        inputs: LabelsInForce,
        tally: Tally,
    ) -> None:
        """`streams` is each log's state by its name."""
        self._loop = loop
        self._health = health
        self._streams = streams
        self._details = details
        self._oddities = oddities
        self._access_logs = access_logs
        self._firewall = firewall
        self._inputs = inputs
        self._tally = tally

    def answer(self, _: StatusRequest) -> StatusAnswer:
        jails, enforced, dry_runs, refused = self._loop.query(_jails_and_bans)
        shares, allowed = self._loop.query(lambda view, _: (view.allowlist_shares, len(view.allowed)))
        return {
            "version": __version__,
            "started": self._tally.started_at,
            "jails": [
                self._jail(jail, enforced[jail.name], dry_runs[jail.name], refused[jail.name])
                for jail in jails
                # Of the jails of sites, those that had something to do.
                if not jail.site
                or self._tally.failures[jail.name]
                or enforced[jail.name]
                or dry_runs[jail.name]
            ],
            "streams": self._logs(),
            "labels": {name: list(labels) for name, labels in sorted(self._inputs.labels.items())},
            "allowlist": _shares(shares),
            "allowed": allowed,
            "firewall": cast("FirewallStatus", self._firewall.state()),
            "bans": enforced.total(),
            "health": health_answer(self._health.health()),
            "remarks": list(self._oddities.remarks),
        }

    def _logs(self) -> list[StreamStatus]:
        snapshot = self._access_logs.snapshot()
        by_name: dict[str, list[AccessLog]] = {}
        for (_, name, _), log in snapshot.items():
            by_name.setdefault(name, []).append(log)
        notes = self._oddities.notes
        return [
            cast(
                "StreamStatus",
                {**_log(name, state, notes.get(name, ""), by_name.get(name, ())), **self._details.of(name)},
            )
            for name, state in sorted(self._streams.items())
        ]

    def _jail(self, jail: Jail, enforced: int, dry_runs: int, refused: int) -> dict[str, Any]:
        return {
            "name": jail.name,
            **jail_keys.shown(jail, Shown.STATUS),
            "failures": self._tally.failures[jail.name],
            "bans": self._tally.bans[jail.name],
            "active": enforced,
            "observed": dry_runs,
            "refused": refused,
            "leaks": self._tally.bypasses[jail.name],
        }


def _shares(shares: Mapping[int, Mapping[str, float]]) -> list[AllowlistShare]:
    """Return the shares by reason, the largest of IPv4 first."""
    found: list[AllowlistShare] = [
        {"reason": reason, "ipv4": shares[4].get(reason, 0.0), "ipv6": shares[6].get(reason, 0.0)}
        for reason in dict.fromkeys([*shares[4], *shares[6]])
    ]
    return sorted(found, key=lambda each: (-each["ipv4"], -each["ipv6"]))


def _log(name: str, state: str, note: str, streams: Sequence[AccessLog]) -> StreamStatus:
    """Return how a log is read; a container's has several streams."""
    status: StreamStatus = {
        "container": name,
        "state": state,
        "format": ", ".join(sorted({log.format for log in streams if log.format})),
        "read": sum(log.read for log in streams),
        "understood": sum(log.understood for log in streams),
    }
    if note:
        status["note"] = note
    return status


def _jails_and_bans(
    view: GuardView, _now: float
) -> tuple[tuple[Jail, ...], Counter[str], Counter[str], Counter[str]]:
    """Return the jails, and by jail how many bans are enforced, how many are dry runs and how many are refused."""
    enforced: Counter[str] = Counter()
    for (jail, _), count in view.enforced_bans.items():
        enforced[jail] += count
    refused = Counter(ban.jail for ban in view.refused_bans)
    return view.jails, enforced, Counter(view.dry_run_bans), refused
