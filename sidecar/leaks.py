"""Who is banned and gets through all the same: a sink that finds out why, and tells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from sidecar.core.events import Leak, Turn, Who
from sidecar.core.selection import Container
from sidecar.firewall import FirewallError
from sidecar.firewall.diagnosis import Facts, diagnose

log = logging.getLogger(__name__)

AGAIN = 3600.0  # seconds within which people are told of one reason at one site once
EXAMINED = (
    100  # leaks of one turn that the kernel is asked about, 1 ms each; a thousand at once have one reason
)


class LookAt(Protocol):
    """Asks the kernel, as `Firewall.look_at` does. Raises FirewallError."""

    def __call__(self, who: Who, jail: str, at: float, now: float) -> Facts: ...


class Leaks:
    """Each ban's leak is counted by its reason; people are told of each reason at each site, not too often."""

    name = "leaks"

    def __init__(
        self,
        look_at: LookAt,
        containers: Callable[[], Iterable[Container]],
        leaked: Callable[[str], None],
        tell: Callable[[str, str], None],
    ) -> None:
        """`containers()`: those that are watched. `leaked(kind)` counts one. `tell(name, sentence)`: what, and why."""
        self._look_at, self._containers = look_at, containers
        self._leaked, self._tell = leaked, tell
        self._told: dict[tuple[str, str], float] = {}  # (reason, site) -> when

    def apply(self, turn: Turn) -> None:
        for leak in turn.leaks[:EXAMINED]:
            self._examine(leak, turn.at)
        for _ in turn.leaks[EXAMINED:]:
            self._leaked("unknown")

    def _examine(self, leak: Leak, now: float) -> None:
        site = next((each for each in self._containers() if each.name == leak.site), None)
        try:
            facts = self._look_at(leak.who, leak.jail, min(leak.at, now), now)
        except FirewallError:  # who looks after the firewall tells of that
            self._leaked("unknown")
            return
        kind, sentence = diagnose(facts, site)
        self._leaked(kind)
        what = f"the ban of {leak.who}"
        log.warning(
            "[%s] %s does not keep them out of %s: %s", leak.jail, what, ascii(leak.site)[1:-1], sentence
        )
        self._told = {told: at for told, at in self._told.items() if 0 <= now - at < AGAIN}
        if (kind, leak.site) not in self._told:
            self._told[kind, leak.site] = now
            self._tell(what, f"They still reach {leak.site}: {sentence}.")
