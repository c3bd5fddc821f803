"""What `status` says about a log beside its state: its last line, the policy in force for it, and its ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sidecar.app.guard_inputs import GuardInputs
from sidecar.app.log_states import LogStates
from sidecar.config import jail_keys
from sidecar.config.jail_keys import Shown
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides


class LogDetails:
    """Any thread may ask: what it reads is swapped whole."""

    def __init__(self, logs: LogStates, inputs: GuardInputs) -> None:
        self._logs = logs
        self._inputs = inputs

    def of(self, name: str) -> dict[str, Any]:
        """Return the details of this log, as a StreamStatus has them. What is not known is absent."""
        details: dict[str, Any] = {}
        if (last := self._logs.last_lines.get(name)) is not None:
            details["last"] = last
        if jails := [_policy(jail) for jail in self._jails(name)]:
            details["jails"] = jails
        for container in self._inputs.containers:
            if container.name == name:
                leading = (container, *container.front_ends)
                details["ports"] = sorted(frozenset[int]().union(*(each.published for each in leading)))
        return details

    def _jails(self, name: str) -> Iterator[Jail]:
        """Yield the jails that look at this log, with what its container's labels change."""
        looking = self._logs.jails.get(name, ())
        overrides = self._inputs.overrides.get(name, Overrides())
        for jail in self._inputs.settings.jails:
            if jail.name in looking:
                yield overrides.apply_to(jail)


def _policy(jail: Jail) -> dict[str, Any]:
    return {"name": jail.name, **jail_keys.shown(jail, Shown.STATUS)}
