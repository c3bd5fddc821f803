"""Opens the logs of containers while they start, before they are listed.

A container with `--rm` may log, end and be removed together with its log within milliseconds, and a list takes longer.
What it is called, its image and its labels are in the event `create`. When it is started, Docker connects it to its
network first, with an event, and holds a lock until it runs. Whoever asks for its log meanwhile waits for that lock,
and so does what ends the container. So a log that is asked for at that event is open before the container has ended.
On the network of the host or of another container there is no such event, and the log is asked for at `start`.

What is read is handed on when the container was listed: its networks have to be known before (`source.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sidecar.core.containers import Container
from sidecar.core.watched import choose
from sidecar.sources.base import ContainerSelection
from sidecar.sources.docker.api import Engine
from sidecar.sources.docker.inventory import Inventory, Listing
from sidecar.sources.docker.watched_logs import WatchedLogs

# An event has some hundred bytes, and all labels of its container.
MAX_EVENT_BYTES = 1024 * 1024
# Containers that were created and do not run yet. The others wait for their list.
MAX_CREATED = 256


class ContainerEvent(NamedTuple):
    """What happened to a container: `create`, `connect` (to a network), `start` …"""

    action: str
    id: str
    # Its labels, and among them its `name` and `image`.
    attributes: Mapping[str, str]


class EventDecoder:
    """The bytes of the event stream -> what happened to containers."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[ContainerEvent]:
        """Return the events that are complete by now."""
        *events, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            self._rest = b""
        return [found for event in events if (found := _decoded(event))]


def _decoded(event: bytes) -> ContainerEvent | None:
    try:
        found = json.loads(event)
        kind, action, actor = found["Type"], str(found["Action"]), found["Actor"]
        attributes = {str(key): str(text) for key, text in dict(actor["Attributes"] or {}).items()}
    except (ValueError, KeyError, TypeError):
        # Whatever it is, there is a list soon.
        return None
    if kind == "container":
        return ContainerEvent(action, str(actor["ID"]), attributes) if _has_id(actor) else None
    if kind == "network" and action == "connect" and "container" in attributes:
        return ContainerEvent(action, attributes["container"], {})
    return None


def _has_id(actor: Mapping[str, Any]) -> bool:
    return isinstance(actor.get("ID"), str)


class StartingContainers:
    """Containers from their creation to the first list in which they run. Called by one thread."""

    def __init__(self, inventory: Inventory, logs: WatchedLogs) -> None:
        self._inventory, self._logs = inventory, logs
        self._created: dict[str, Container] = {}

    def note(self, engine: Engine, event: ContainerEvent, selection: ContainerSelection) -> None:
        """Open the container's log if it is being started, and is watched for its own sake.

        A front end is only known from the list. Raises OSError and EngineError.
        """
        match event.action:
            case "create" if len(self._created) < MAX_CREATED:
                attributes = event.attributes
                container = Container(
                    event.id, attributes.get("name", ""), attributes.get("image", ""), attributes
                )
                # Most containers are none of ours, and need no further question.
                if _jails_of(container, selection):
                    self._created[event.id] = self._inventory.with_image_labels(engine, container)
            case "connect" | "start" if event.id in self._created:
                container = self._created[event.id]
                if jails := _jails_of(container, selection):
                    self._logs.open_unlisted(container.id, container.name, jails, selection.since)

    def listed(self, listing: Listing) -> None:
        """Forget all that were started or removed, and have what was read of them handed on."""
        waiting = {entry["Id"] for entry in listing.stopped if entry["State"] == "created"}
        self._created = {key: each for key, each in self._created.items() if key in waiting}
        self._logs.admit_unlisted(but=waiting)


def _jails_of(container: Container, selection: ContainerSelection) -> tuple[str, ...]:
    return choose((container,), selection.jails, labels=selection.labels).jails.get(container.id, ())
