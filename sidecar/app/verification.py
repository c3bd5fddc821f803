"""Whether an address in a log is the client's own, as far as packets can show it."""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

from sidecar.advice.exposure import unverified
from sidecar.advice.unbannable import PERIOD_S, UNVERIFIED_HITS, forged_addresses
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.core.address import Address
from sidecar.core.events import Hit
from sidecar.core.rate_alarms import RateAlarms
from sidecar.runtime.problems import Problems

FORGED_PROBLEM: Final = "addresses in "


class Sightings(Protocol):
    """Knows which addresses sent packets to this host: the firewall."""

    def seen(self, address: Address) -> bool | None:
        """Return whether packets of this address came lately; None: that is unknown."""


class SightingVerifier:
    """An AddressVerifier: where a log may name any address, packets of it must have come. The loop's thread owns it."""

    def __init__(self, exposed: ExposedContainers, sightings: Sightings, problems: Problems) -> None:
        self._exposed = exposed
        self._sightings = sightings
        self._problems = problems
        # By log and reason.
        self._alarms: RateAlarms[tuple[str, str]] = RateAlarms(UNVERIFIED_HITS, PERIOD_S)

    def unverified_reason(self, hit: Hit) -> str | None:
        """Return why no ban may be made of this hit; None: its address is believed."""
        container = self._exposed.container_of(hit.origin)
        if container is None:
            return None
        reason = unverified(container, self._sightings.seen(hit.address))
        if reason:
            self._alarms.add((hit.origin.name, reason), hit.at)
        return reason

    def report(self, now: float) -> None:
        """Report the logs with many unverified addresses, and those where that is over."""
        counts = Counter[str]()
        for (origin, _), count in self._alarms.raised(now).items():
            counts[origin] += count
        sentences = {
            f"{FORGED_PROBLEM}{origin}": forged_addresses(origin, count, self._exposed.advice(origin))
            for origin, count in counts.items()
        }
        self._problems.replace(FORGED_PROBLEM, sentences)
