"""Banned addresses that still reach a site: a sink that finds out why, counts it and alerts people."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from sidecar.advice.bypass import BypassKind, diagnose
from sidecar.alerts.occurrences import Occurrence
from sidecar.app.host_network import HostNetwork
from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.events import Bypass, Decision, Turn
from sidecar.core.guard import Guard
from sidecar.core.text import printable
from sidecar.firewall import AddressFacts, FirewallError
from sidecar.runtime.loop import Inbox

log = logging.getLogger(__name__)

# One reason at one site is alerted once within this time.
ALERT_INTERVAL_S: Final = 3600.0

# How many bypasses of one turn are looked into, so that the loop is not held up. A thousand at once have one reason.
MAX_EXAMINED = 100


class FactsSource(Protocol):
    """Knows why a ban may have no effect: the firewall."""

    def facts(self, address: Address, jail: str, at: float, now: float) -> AddressFacts:
        """Return what is known about a banned address that a log line of the time `at` names.

        Raises FirewallError if the kernel does not answer.
        """


class WatchedContainers(Protocol):
    """Knows the containers that are watched."""

    @property
    def containers(self) -> Sequence[Container]: ...


class BypassMetrics(Protocol):
    """Counts bypassed bans."""

    def bypassed(self, kind: str) -> None: ...


class OccurrencePublisher(Protocol):
    """Delivers to people what happened."""

    def publish_occurrence(self, occurrence: Occurrence) -> None: ...


class Bypasses:
    """A Sink. Each bypassed ban is counted by its reason; people are alerted to each reason and log once an hour."""

    name = "bypasses"

    def __init__(
        self,
        firewall: FactsSource,
        watched: WatchedContainers,
        network: HostNetwork,
        metrics: BypassMetrics,
        alerts: OccurrencePublisher,
        *,
        inbox: Inbox,
    ) -> None:
        self._firewall = firewall
        self._watched = watched
        self._network = network
        self._metrics = metrics
        self._alerts = alerts
        self._inbox = inbox
        # (reason, log) -> when people were alerted.
        self._alerted: dict[tuple[BypassKind, str], float] = {}

    def apply(self, turn: Turn) -> None:
        for bypass in turn.bypasses[:MAX_EXAMINED]:
            self._examine(bypass, turn.at)
        for _ in turn.bypasses[MAX_EXAMINED:]:
            self._metrics.bypassed(BypassKind.UNKNOWN)

    def _examine(self, bypass: Bypass, now: float) -> None:
        origin = bypass.origin_name
        container = next((each for each in self._watched.containers if each.name == origin), None)
        try:
            # If the clock of the log is ahead, its time is in the future.
            facts = self._firewall.facts(bypass.address, bypass.jail, min(bypass.at, now), now)
        except FirewallError:
            # The firewall sink reports that.
            self._metrics.bypassed(BypassKind.UNKNOWN)
            return
        if _is_under_way(facts):
            self._dismiss(bypass)
            return
        kind, sentence = diagnose(facts, container, is_host=self._network.is_ours)
        self._metrics.bypassed(kind)
        log.warning(
            "[%s] the ban of %s has no effect at %s: %s",
            bypass.jail, bypass.address, printable(origin), sentence,
        )  # fmt: skip
        if self._note_alert(kind, origin, now):
            # An event and not a problem, as its end cannot be noticed.
            self._alerts.publish_occurrence(Occurrence.of_bypass(bypass, sentence))

    def _dismiss(self, bypass: Bypass) -> None:
        """Have the guard notice the next log line of this address, which may be a bypass."""

        def dismiss(guard: Guard, now: float) -> Sequence[Decision]:
            del now
            guard.dismiss_bypass(bypass)
            return ()

        log.debug("[%s] %s: a request from before the ban ended", bypass.jail, bypass.address)
        self._inbox.submit(dismiss)

    def _note_alert(self, kind: BypassKind, origin: str, now: float) -> bool:
        """Note an alert for this reason at this log; False: there was one lately, so there is none now."""
        self._alerted = {key: at for key, at in self._alerted.items() if 0 <= now - at < ALERT_INTERVAL_S}
        if (kind, origin) in self._alerted:
            return False
        self._alerted[kind, origin] = now
        return True


def _is_under_way(facts: AddressFacts) -> bool:
    """Return whether the log line is about a request that came before the ban, and was not answered.

    A slow server logs such requests minutes later. The kernel recorded that the answer was rejected, and after that no
    other packet of the connection passes.
    """
    return facts.answer_rejected and facts.intact and facts.in_set and not facts.repaired
