"""How sources are made from the settings: one `SourceFactory` for each way to read logs, listed in `registry.py`.

A factory has no state. It says whether some settings need its sources, and makes them; what it makes is changed by
later settings. The classes of the sources themselves know no settings, only values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecar.config.settings import Settings
from sidecar.core.containers import LabelTrust
from sidecar.core.jail import Jail
from sidecar.runtime.supervisor import Service
from sidecar.sources.base import Outputs, TopologyListener


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """What sources are made by, and what they are changed by."""

    settings: Settings
    # Unix time at which reading begins in a log that was never read: older lines count in no jail.
    reading_start: float
    # At the start of the process, a source waits for what it reads from: nothing else reads meanwhile. A reload is
    # refused instead, and the sources in use go on.
    is_start: bool = False

    @classmethod
    def at(cls, settings: Settings, now: float, *, is_start: bool = False) -> SourceConfig:
        """Return what these settings mean at this unix time."""
        return cls(settings, now - max(jail.findtime for jail in settings.jails), is_start)


@dataclass(frozen=True, slots=True)
class SourceInputs:
    """What sources are made of, whatever the settings are."""

    outputs: Outputs
    topology: TopologyListener
    # How far the last run has read each log, by cursor key.
    cursors: Mapping[str, bytes]
    # Looks up names in logs; it runs where a filter needs it.
    resolver: Service


class ConfiguredSource(Protocol):
    """The services of one factory."""

    @property
    def services(self) -> Sequence[Service]:
        """What has to be started, in this order."""

    def reconfigure(self, config: SourceConfig, /) -> None:
        """Read by this configuration from now on. Any thread may call this."""


class SourceFactory(Protocol):
    """Makes the sources that read logs in one way."""

    @property
    def name(self) -> str: ...

    @property
    def reports_topology(self) -> bool:
        """Whether its sources notify the TopologyListener."""

    def is_needed(self, settings: Settings) -> bool:
        """Return whether these settings need its sources."""

    def make(self, config: SourceConfig, inputs: SourceInputs, /) -> ConfiguredSource:
        """Return sources that are not started yet. Raises SourceUnavailable, and OSError for a socket."""


class ContainerSource(Service, Protocol):
    """A service that reads the logs of containers."""

    def reconfigure(self, jails: Sequence[Jail], since: float, labels: LabelTrust, /) -> None:
        """Have these jails choose the containers; a log that was never read begins at `since` (unix time).

        `labels` is what the containers' own labels may decide about it.
        """


@dataclass(frozen=True, slots=True)
class ConfiguredContainers:
    """A source of containers' logs, and what runs beside it."""

    source: ContainerSource
    services: tuple[Service, ...]

    def reconfigure(self, config: SourceConfig) -> None:
        self.source.reconfigure(config.settings.jails, config.reading_start, config.settings.sources.labels)


def needs_containers(settings: Settings) -> bool:
    """Return whether some jail looks at containers' logs."""
    return any(jail.containers or jail.absent or not jail.logpath for jail in settings.jails)
