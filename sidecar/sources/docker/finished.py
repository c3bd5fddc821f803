"""Containers that do not run: their logs are read to the end, once.

A container may start, log and stop between two lists, or while the sidecar does not run. Its log is read where it was
read before, and where it stopped late enough for its lines to count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sidecar.core.containers import Container
from sidecar.core.front_ends import with_joined_networks
from sidecar.core.watched import choose
from sidecar.sources.base import ContainerSelection
from sidecar.sources.docker.api import Engine, RequestRefusedError
from sidecar.sources.docker.inventory import Inventory, Listing, bound_ports
from sidecar.sources.docker.watched_logs import WatchedLogs
from sidecar.sources.docker.wire import unix_seconds

# Each log has a thread. The others wait for a later list.
MAX_READ_AT_ONCE = 32
# Seconds until that list.
WAITING_LIST_PERIOD_S = 0.2


class FinishedContainers:
    """Chooses the stopped containers whose logs are read. Called by one thread."""

    def __init__(self, inventory: Inventory, logs: WatchedLogs) -> None:
        self._inventory, self._logs = inventory, logs
        self._selection: ContainerSelection | None = None
        # Ids of stopped containers that need not be read, by this selection.
        self._ignored: set[str] = set()
        self._some_wait = False

    def list_period_s(self, usual_s: float) -> float:
        """Return the seconds until the next list without an event."""
        return min(usual_s, WAITING_LIST_PERIOD_S) if self._some_wait or self._logs.has_gone else usual_s

    def read(self, engine: Engine, listing: Listing, selection: ContainerSelection) -> None:
        """Start to read what is chosen of the stopped containers. Raises OSError and EngineError."""
        if selection is not self._selection:
            self._selection, self._ignored = selection, set()
        self._ignored &= listing.ids
        self._some_wait, free = False, MAX_READ_AT_ONCE - self._logs.reading_to_end
        stopped = [
            self._described(engine, entry)
            for entry in listing.stopped
            if entry["Id"] not in self._ignored
            and not self._logs.was_read(entry["Id"])
            # One that was created and never ran has no log.
            and entry["State"] != "created"
        ]
        if not stopped:
            return
        # All at once: a host may have hundreds.
        containers = with_joined_networks((*listing.running, *stopped))
        chosen = choose(containers, selection.jails, labels=selection.labels).jails
        for container in stopped:
            jails = chosen.get(container.id)
            if jails is None or not self._may_count(engine, container.id, selection.since):
                self._ignored.add(container.id)
            elif free > 0:
                free -= 1
                self._logs.read_to_end(container.id, container.name, jails, selection.since)
            else:
                self._some_wait = True

    def _described(self, engine: Engine, entry: Mapping[str, Any]) -> Container:
        """Return a stopped container. One that was read before has the ports that it would publish."""
        container = self._inventory.describe(engine, entry)
        if not self._logs.has_cursor(container.id):
            return container
        # Docker's list has no ports of it. It may have been read as the front end of a site.
        with contextlib.suppress(RequestRefusedError):
            container = replace(container, published=bound_ports(engine.inspect(container.id)))
        return container

    def _may_count(self, engine: Engine, container: str, since: float) -> bool:
        """Return whether lines of the log may count: it was read before, or the container stopped after `since`."""
        if self._logs.has_cursor(container):
            return True
        # It may have been removed meanwhile, and then there is nothing to read.
        with contextlib.suppress(RequestRefusedError):
            finished = str(engine.inspect(container)["State"].get("FinishedAt", ""))
            with contextlib.suppress(ValueError):
                return unix_seconds(finished.encode()) >= int(since)
            return True
        return False
