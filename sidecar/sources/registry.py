"""The sources of one run: of each factory in `FACTORIES`, those that some jail needs.

A new source is one file, with the source and its `SourceFactory`, and one line here. A new configuration changes what
the sources read, and may need more of them; it ends none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.config.settings import Settings
from sidecar.runtime.supervisor import Service
from sidecar.sources.dns import ResolverFactory
from sidecar.sources.docker.factory import DockerSourceFactory
from sidecar.sources.factories import ConfiguredSource, SourceConfig, SourceFactory, SourceInputs
from sidecar.sources.files.factories import CriSourceFactory, DockerFilesSourceFactory, FileSourceFactory
from sidecar.sources.syslog import SyslogSourceFactory

FACTORIES: Final[tuple[SourceFactory, ...]] = (
    ResolverFactory(),
    DockerSourceFactory(),
    CriSourceFactory(),
    DockerFilesSourceFactory(),
    FileSourceFactory(),
    SyslogSourceFactory(),
)


@dataclass(frozen=True, slots=True)
class NewSources:
    """Sources that were made, and are not in use yet."""

    by_name: Mapping[str, ConfiguredSource]

    @property
    def services(self) -> tuple[Service, ...]:
        """What has to be started, in this order, after `SourceRegistry.reconfigure`."""
        return tuple(service for source in self.by_name.values() for service in source.services)


class SourceRegistry:
    """Called by one thread at a time."""

    def __init__(self, inputs: SourceInputs, factories: Sequence[SourceFactory] = FACTORIES) -> None:
        self._inputs, self._factories = inputs, factories
        self._sources: dict[str, ConfiguredSource] = {}

    @property
    def reports_topology(self) -> bool:
        """Whether a source in use notifies the TopologyListener."""
        return any(each.reports_topology and each.name in self._sources for each in self._factories)

    def prepare(self, settings: Settings, now: float) -> NewSources:
        """Make the sources that these settings need and that are not in use yet.

        At the start, a source that has nothing to read from waits for it. Later that raises SourceUnavailable, and
        OSError is raised where a socket cannot be made; then nothing has changed.
        """
        config = SourceConfig.at(settings, now, is_start=not self._sources)
        needed = (
            each for each in self._factories if each.name not in self._sources and each.is_needed(settings)
        )
        return NewSources({each.name: each.make(config, self._inputs) for each in needed})

    def reconfigure(self, settings: Settings, new: NewSources, now: float) -> None:
        """Have all sources read by these settings from now on, and take the new ones into use."""
        for source in self._sources.values():
            source.reconfigure(SourceConfig.at(settings, now))
        self._sources |= new.by_name
