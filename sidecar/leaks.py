"""Who is banned and gets through all the same: a sink that finds out why, and tells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from sidecar.core.events import Leak, Turn, Who
from sidecar.core.oldest import drop_oldest
from sidecar.core.selection import Container
from sidecar.firewall import FirewallError
from sidecar.firewall.diagnosis import Facts, diagnose

log = logging.getLogger(__name__)

AGAIN = 3600.0  # seconds within which people are told of one reason at one site once
EXAMINED = (
    100  # leaks of one turn that the kernel is asked about, 1 ms each; a thousand at once have one reason
)
KNOWN = 10_000  # bans whose leak is remembered, so that it is told once; the oldest go first


class LookAt(Protocol):
    """Asks the kernel, as `Firewall.look_at` does. Raises FirewallError."""

    def __call__(self, who: Who, jail: str, ports: frozenset[int], *, proxied: bool) -> Facts: ...


class Leaks:
    """Each ban's leak is counted once, by its reason; people are told of each reason at each site, not too often."""

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
        self._known: dict[tuple[str, Who], None] = {}
        self._told: dict[tuple[str, str], float] = {}  # (reason, site) -> when

    def apply(self, turn: Turn) -> None:
        fresh = [leak for leak in dict.fromkeys(turn.leaks) if self._is_new(leak)]
        for leak in fresh[:EXAMINED]:
            self._examine(leak, turn.at)
        for _ in fresh[EXAMINED:]:
            self._leaked("unknown")

    def _is_new(self, leak: Leak) -> bool:
        key = leak.jail, leak.who
        known = key in self._known
        self._known[key] = None
        if len(self._known) > KNOWN:
            drop_oldest(self._known)
        return not known

    def _examine(self, leak: Leak, now: float) -> None:
        site = next((each for each in self._containers() if each.name == leak.site), None)
        ports, proxied = (site.published, site.proxied) if site else (frozenset[int](), False)
        try:
            facts = self._look_at(leak.who, leak.jail, ports, proxied=proxied)
        except FirewallError:  # who looks after the firewall tells of that
            self._leaked("unknown")
            return
        kind, sentence = diagnose(facts)
        self._leaked(kind)
        what = f"the ban of {leak.who}"
        log.warning(
            "[%s] %s does not keep them out of %s: %s", leak.jail, what, ascii(leak.site)[1:-1], sentence
        )
        self._told = {told: at for told, at in self._told.items() if 0 <= now - at < AGAIN}
        if (kind, leak.site) not in self._told:
            self._told[kind, leak.site] = now
            self._tell(what, f"They still reach {leak.site}: {sentence}.")
