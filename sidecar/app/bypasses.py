"""Who is banned and gets through all the same: a sink that finds out why, and tells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from sidecar.advice.bypass import Facts, diagnose
from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.events import Bypass, Turn
from sidecar.firewall import FirewallError

log = logging.getLogger(__name__)

AGAIN = 3600.0  # seconds within which people are told of one reason at one site once
EXAMINED = (
    100  # leaks of one turn that the kernel is asked about, 1 ms each; a thousand at once have one reason
)


class LookAt(Protocol):
    """Asks the kernel, as `Firewall.look_at` does. Raises FirewallError."""

    def __call__(self, address: Address, jail: str, at: float, now: float) -> Facts: ...


class Bypasses:
    """Each ban's leak is counted by its reason; people are told of each reason at each site, not too often."""

    name = "leaks"

    def __init__(
        self,
        look_at: LookAt,
        containers: Callable[[], Iterable[Container]],
        bypassed: Callable[[str], None],
        tell: Callable[[str, str], None],
    ) -> None:
        """`containers()`: those that are watched. `leaked(kind)` counts one. `tell(name, sentence)`: what, and why."""
        self._look_at, self._containers = look_at, containers
        self._leaked, self._tell = bypassed, tell
        self._told: dict[tuple[str, str], float] = {}  # (reason, site) -> when

    def apply(self, turn: Turn) -> None:
        for bypass in turn.bypasses[:EXAMINED]:
            self._examine(bypass, turn.at)
        for _ in turn.bypasses[EXAMINED:]:
            self._leaked("unknown")

    def _examine(self, bypass: Bypass, now: float) -> None:
        site = next((each for each in self._containers() if each.name == bypass.origin_name), None)
        try:
            facts = self._look_at(bypass.address, bypass.jail, min(bypass.at, now), now)
        except FirewallError:  # who looks after the firewall tells of that
            self._leaked("unknown")
            return
        kind, sentence = diagnose(facts, site)
        self._leaked(kind)
        what = f"the ban of {bypass.address}"
        log.warning(
            "[%s] %s does not keep them out of %s: %s",
            bypass.jail,
            what,
            ascii(bypass.origin_name)[1:-1],
            sentence,
        )
        self._told = {told: at for told, at in self._told.items() if 0 <= now - at < AGAIN}
        if (kind, bypass.origin_name) not in self._told:
            self._told[kind, bypass.origin_name] = now
            self._tell(what, f"They still reach {bypass.origin_name}: {sentence}.")
