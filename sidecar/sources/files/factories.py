"""How the sources that read files are made from the settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.config.settings import Settings, SourceKind
from sidecar.core.jail import Jail
from sidecar.runtime.supervisor import Service
from sidecar.sources.factories import ConfiguredContainers, SourceConfig, SourceInputs, needs_containers
from sidecar.sources.files.source import Files
from sidecar.sources.own_container import own_container_id

# What reads containers' logs is loaded only where it is needed: it weighs 1 MB.


class FileSourceFactory:
    """The files that jails name by `logpath`."""

    name = "files"
    reports_topology = False

    def is_needed(self, settings: Settings) -> bool:
        return bool(logpaths(settings.jails))

    def make(self, config: SourceConfig, inputs: SourceInputs) -> ConfiguredFiles:
        files = Files(logpaths(config.settings.jails), inputs.outputs, cursors=inputs.cursors)
        return ConfiguredFiles(files)


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
    """Containers' logs as kubelet keeps them (WP_SIDECAR_SOURCE=cri)."""

    name = "cri"
    reports_topology = True

    def is_needed(self, settings: Settings) -> bool:
        return settings.sources.kind is SourceKind.CRI and needs_containers(settings)

    def make(self, config: SourceConfig, inputs: SourceInputs) -> ConfiguredContainers:
        from sidecar.sources.files.cluster import ClusterView  # noqa: PLC0415
        from sidecar.sources.files.container_logs import ContainerLogs  # noqa: PLC0415
        from sidecar.sources.files.kubernetes import (  # noqa: PLC0415
            FIRST_ANSWER_TIMEOUT_S,
            Api,
            KubernetesPods,
            api_url,
        )
        from sidecar.sources.files.layouts import KUBELET_ROOT, KubeletLayout  # noqa: PLC0415

        settings, outputs = config.settings, inputs.outputs
        # The API is not asked outside of a cluster.
        url = api_url(os.environ) if settings.sources.kubernetes_api else ""
        view = ClusterView(FIRST_ANSWER_TIMEOUT_S if url else 0.0)
        layout = KubeletLayout(settings.sources.logs or KUBELET_ROOT, settings.sources.pods, view, _mounts())
        logs = ContainerLogs(
            layout,
            settings.jails,
            outputs,
            inputs.topology,
            cursors=inputs.cursors,
            since=config.reading_start,
        )
        if not url:
            return ConfiguredContainers(logs, (logs,))
        node = settings.node or socket.gethostname()
        return ConfiguredContainers(
            logs, (KubernetesPods(Api(url), node, view, logs, outputs.problems), logs)
        )


class DockerFilesSourceFactory:
    """Containers' logs as Docker keeps them (WP_SIDECAR_SOURCE=docker-files)."""

    name = "docker-files"
    reports_topology = True

    def is_needed(self, settings: Settings) -> bool:
        return settings.sources.kind is SourceKind.DOCKER_FILES and needs_containers(settings)

    def make(self, config: SourceConfig, inputs: SourceInputs) -> ConfiguredContainers:
        from sidecar.sources.files.container_logs import ContainerLogs  # noqa: PLC0415
        from sidecar.sources.files.layouts import DOCKER_ROOT, DockerLayout  # noqa: PLC0415

        layout = DockerLayout(config.settings.sources.logs or DOCKER_ROOT, own_container_id())
        logs = ContainerLogs(
            layout, config.settings.jails, inputs.outputs, inputs.topology,
            cursors=inputs.cursors, since=config.reading_start,
        )  # fmt: skip
        return ConfiguredContainers(logs, (logs,))


def logpaths(jails: Sequence[Jail]) -> Mapping[str, tuple[str, ...]]:
    """Return each path or pattern of a log file -> the names of the jails that look at it."""
    paths = dict.fromkeys(path for jail in jails for path in jail.logpath)
    return {path: tuple(jail.name for jail in jails if path in jail.logpath) for path in paths}


def _mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()
