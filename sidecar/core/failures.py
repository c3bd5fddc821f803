"""The failures that count in one jail: how many, at which targets, and the lines that show them."""

from __future__ import annotations

from sidecar.core.address import Address
from sidecar.core.events import Hit
from sidecar.core.evidence import Evidence
from sidecar.core.jail import Jail
from sidecar.core.windows import WINDOWS, DistinctTargets


class Failures:
    """Counts failures until they are a ban. The evidence is shared by all jails, so that its memory is bounded once."""

    def __init__(self, jail: Jail, evidence: Evidence) -> None:
        self.window = WINDOWS[jail.window]()
        self._name = jail.name
        self._evidence = evidence
        self._targets = DistinctTargets()

    def is_repeated(self, hit: Hit) -> bool:
        """Return whether the target of this hit has counted already."""
        return self._targets.is_repeated(hit.address, hit.target)

    def add(self, jail: Jail, hit: Hit, at: float, weight: int) -> tuple[str, ...] | None:
        """Count a failure at this time. Return the lines that counted, the oldest first, once they are too many."""
        _, address, _, _, line, target, _, _ = hit
        maxretry = jail.maxretry
        if target:
            self._targets.add(address, target, 2 * maxretry)
        self._evidence.add(self._name, address, line, maxretry)
        if not self.window.add(address, at, maxretry, jail.findtime, weight):
            return None
        self._targets.clear(address)
        return self._evidence.take(self._name, address)

    def put_back(self, jail: Jail, address: Address, at: float, lines: tuple[str, ...]) -> None:
        """Take back failures that were too many, all but one, as if they had come at this time.

        So the next failure is one too many again.
        """
        if jail.maxretry > 1:
            self.window.add(address, at, jail.maxretry, jail.findtime, jail.maxretry - 1)
        for line in lines[1:]:
            self._evidence.add(self._name, address, line, jail.maxretry)

    def clear(self, address: Address) -> bool:
        """Forget the failures of this address. Return whether any counted."""
        self._targets.clear(address)
        self._evidence.take(self._name, address)
        return self.window.clear(address)

    def restart(self, jail: Jail) -> None:
        """Begin to count again, in the way that this jail counts."""
        self.window = WINDOWS[jail.window]()
        self._targets = DistinctTargets()

    def forget(self, before: float) -> None:
        """Forget addresses whose last failure was earlier."""
        self.window.forget(before)
        self._targets.forget(self.window)
