"""The sink of decisions and problems that alerts people."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from sidecar.alerts import compose
from sidecar.alerts.notices import Notice
from sidecar.alerts.occurrences import Occurrence
from sidecar.core.actions import AlertEvent
from sidecar.core.events import DECIDED_HERE, Ban, Turn, Unban, UnbanCause


class AlertPublisher(Protocol):
    """Where messages go on their way to people: the outbox. No call ever waits for a service."""

    def publish_notice(self, notice: Notice) -> None: ...

    def publish_occurrences(self, occurrences: Sequence[Occurrence]) -> None: ...

    def prepare(self, occurrences: Sequence[Occurrence]) -> None: ...

    def commit(self) -> None: ...

    @property
    def wanted(self) -> Collection[AlertEvent]:
        """The events that any action asks for."""


class AlertSink:
    """Publishes decisions and problems. Any thread may call it, and it returns at once.

    What a turn decided is kept before it is stored, and sent when it is: so a `kill -9` between the two loses no alert,
    and doubles none. `StoredTurns` comes after the store.
    """

    name = "alerts"

    def __init__(self, outbox: AlertPublisher) -> None:
        self._outbox = outbox

    def apply(self, turn: Turn) -> None:
        """Prepare what this host decided. The rest was published where, and when, it was decided."""
        wanted = self._outbox.wanted
        if not wanted:
            return
        found: list[Occurrence] = []
        if AlertEvent.FOUND in wanted:
            found += [Occurrence.of_hit(hit) for hit in turn.hits if not hit.success]
        for each in turn.decisions:
            if isinstance(each, Ban):
                if each.cause in DECIDED_HERE and AlertEvent.BAN in wanted:
                    found.append(Occurrence.of_ban(each, turn.at))
            elif isinstance(each, Unban) and each.cause != UnbanCause.FLEET and AlertEvent.UNBAN in wanted:
                found.append(Occurrence.of_unban(each))
        if found:
            self._outbox.prepare(found)

    def started(self, version: str, jails: Sequence[str], bans: int, now: float) -> None:
        """Publish that the daemon runs: once, and for action files once for each jail, as fail2ban does."""
        self.publish(compose.started(version, jails, bans, now))
        for jail in jails:
            self.publish(compose.jail_started(jail, now))

    def stopped(self, jails: Sequence[str], bans: int, now: float) -> None:
        for jail in jails:
            self.publish(compose.jail_stopped(jail, now))
        self.publish(compose.stopped(bans, now))

    def publish(self, notice: Notice) -> None:
        self._outbox.publish_notice(notice)

    def publish_occurrence(self, occurrence: Occurrence) -> None:
        self._outbox.publish_occurrences((occurrence,))

    def problem_changed(self, name: str, sentence: str | None) -> None:
        """Publish that a problem began, or (None) that it is over. `runtime.problems` calls it."""
        self.publish(compose.resolved(name) if sentence is None else compose.problem(name, sentence))


class StoredTurns:
    """The sink after the store: what `AlertSink` prepared may be sent."""

    name = "alerts of stored turns"

    def __init__(self, outbox: AlertPublisher) -> None:
        self._outbox = outbox

    def apply(self, turn: Turn) -> None:
        del turn
        self._outbox.commit()
