"""The states of all jails, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sidecar.core.evidence import Evidence
from sidecar.core.jail import MANUAL_JAIL, Jail
from sidecar.core.jail_state import NO_OVERRIDES, JailState
from sidecar.core.overrides import Overrides


class JailStates:
    """Every jail of the configuration, `manual`, and jails that left it and still have bans. `by_name` is to be read.

    `evidence` are the lines of all jails together.
    """

    def __init__(self, jails: Iterable[Jail]) -> None:
        self.evidence = Evidence()
        self.by_name = {jail.name: JailState(jail, self.evidence) for jail in (*jails, MANUAL_JAIL)}
        self._overrides = NO_OVERRIDES

    def __iter__(self) -> Iterator[JailState]:
        return iter(self.by_name.values())

    def add_removed(self, name: str) -> JailState:
        """Add a jail that is not configured, for as long as it has bans, and return its state."""
        state = self.by_name[name] = JailState(Jail(name), self.evidence, self._overrides, is_removed=True)
        return state

    def set_overrides(self, overrides: Mapping[str, Overrides]) -> None:
        """Apply what containers' labels say now: container's name -> its overrides."""
        self._overrides = dict(overrides)
        for state in self:
            state.set_overrides(self._overrides)

    def reconfigure(self, jails: Iterable[Jail]) -> list[JailState]:
        """Make these the jails. Return those that made dry runs of their bans and do so no longer."""
        configured = {jail.name: jail for jail in (*jails, MANUAL_JAIL)}
        enforcing: list[JailState] = []
        for name, jail in configured.items():
            state = self.by_name.get(name)
            if state is None:
                self.by_name[name] = JailState(jail, self.evidence, self._overrides)
                continue
            if state.jail.observe and not jail.observe:
                enforcing.append(state)
            state.reconfigure(jail)
        for name, state in list(self.by_name.items()):
            state.is_removed = name not in configured
            if state.is_removed and not state.bans:
                del self.by_name[name]
        return enforcing
