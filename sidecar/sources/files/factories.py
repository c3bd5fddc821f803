"""How the sources that read files are made from the settings.

The modules that read containers' logs take 1 MB of memory, so they are imported only by the sources that need them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.config.settings import Settings, SourceKind
from sidecar.core.jail import Jail
from sidecar.runtime.supervisor import Service
from sidecar.sources.factories import ConfiguredContainers, SourceConfig, SourceInputs, needs_containers
from sidecar.sources.files.source import Files
from sidecar.sources.own_container import own_container_id

if TYPE_CHECKING:
    from sidecar.sources.files.container_logs import ContainerLogs
    from sidecar.sources.files.layouts import LogLayout


class FileSourceFactory:
    """The files that jails name in `logpath`."""

    name = "files"
    reports_topology = False

    def is_needed(self, settings: Settings) -> bool:
        return bool(logpaths(settings.jails))

    def make(self, config: SourceConfig, inputs: SourceInputs) -> ConfiguredFiles:
        paths = logpaths(config.settings.jails)
        return ConfiguredFiles(Files(paths, inputs.outputs, cursors=inputs.cursors))


@dataclass(frozen=True, slots=True)
class ConfiguredFiles:
    """The source of all files."""

    source: Files

    @property
    def services(self) -> tuple[Service, ...]:
        return (self.source,)

    def reconfigure(self, config: SourceConfig) -> None:
        self.source.reconfigure(logpaths(config.settings.jails))


class CriSourceFactory:
    """Containers' logs as kubelet stores them (WP_SIDECAR_SOURCE=cri)."""

    name = "cri"
    reports_topology = True

    def is_needed(self, settings: Settings) -> bool:
        return settings.sources.kind is SourceKind.CRI and needs_containers(settings)

    def make(self, config: SourceConfig, inputs: SourceInputs) -> ConfiguredContainers:
        from sidecar.sources.files.cluster import ClusterView  # noqa: PLC0415
        from sidecar.sources.files.kubernetes import (  # noqa: PLC0415
            FIRST_ANSWER_TIMEOUT_S,
            Api,
            KubernetesPods,
            api_url,
        )
        from sidecar.sources.files.layouts import KUBELET_ROOT, KubeletLayout  # noqa: PLC0415

        sources = config.settings.sources
        # Outside of a cluster there is no API.
        url = api_url(os.environ) if sources.kubernetes_api else ""
        view = ClusterView(FIRST_ANSWER_TIMEOUT_S if url else 0.0)
        layout = KubeletLayout(
            sources.logs or KUBELET_ROOT, sources.pods, view, Path("/proc/self/mountinfo").read_text()
        )
        logs = _container_logs(layout, config, inputs)
        if not url:
            return ConfiguredContainers(logs, (logs,))
        node = config.settings.node or socket.gethostname()
        pods = KubernetesPods(Api(url), node, view, logs, inputs.outputs.problems)
        return ConfiguredContainers(logs, (pods, logs))


class DockerFilesSourceFactory:
    """Containers' logs as Docker stores them (WP_SIDECAR_SOURCE=docker-files)."""

    name = "docker-files"
    reports_topology = True

    def is_needed(self, settings: Settings) -> bool:
        return settings.sources.kind is SourceKind.DOCKER_FILES and needs_containers(settings)

    def make(self, config: SourceConfig, inputs: SourceInputs) -> ConfiguredContainers:
        from sidecar.sources.files.layouts import DOCKER_ROOT, DockerLayout  # noqa: PLC0415

        sources = config.settings.sources
        layout = DockerLayout(sources.logs or DOCKER_ROOT, own_container_id(), sources.image_labels)
        logs = _container_logs(layout, config, inputs)
        return ConfiguredContainers(logs, (logs,))


def logpaths(jails: Sequence[Jail]) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the jails that check each path or pattern of log files."""
    paths = dict.fromkeys(path for jail in jails for path in jail.logpath)
    return {path: tuple(jail.name for jail in jails if path in jail.logpath) for path in paths}


def _container_logs(layout: LogLayout, config: SourceConfig, inputs: SourceInputs) -> ContainerLogs:
    from sidecar.sources.files.container_logs import ContainerLogs  # noqa: PLC0415

    return ContainerLogs(
        layout, config.settings.jails, inputs.outputs, inputs.topology,
        cursors=inputs.cursors, since=config.reading_start, labels=config.settings.sources.labels,
    )  # fmt: skip
