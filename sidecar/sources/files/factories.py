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
        outputs = inputs.outputs
        files = Files(
            logpaths(config.settings.jails), outputs.emit,
            cursors=inputs.cursors, listener=outputs.listener, problem=outputs.problems.report,
        )  # fmt: skip
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
        from sidecar.sources.files.container_logs import Cri  # noqa: PLC0415
        from sidecar.sources.files.kubernetes import Kubernetes, address  # noqa: PLC0415
        from sidecar.sources.files.layouts import PODS, Cluster, Pods  # noqa: PLC0415

        api, outputs = None, inputs.outputs
        if config.settings.sources.kubernetes_api and (url := address(os.environ)):
            node = config.settings.node or socket.gethostname()
            api = Kubernetes(url, node, problem=outputs.problems.report)
        pods = Pods(
            config.settings.sources.logs or PODS,
            config.settings.sources.pods,
            api.cluster if api else Cluster,
            _mounts(),
        )
        cri = Cri(
            pods, config.settings.jails, outputs.emit, inputs.topology.on_topology_changed,
            cursors=inputs.cursors, since=config.reading_start,
            listener=outputs.listener, problem=outputs.problems.report,
        )  # fmt: skip
        if api is None:
            return ConfiguredContainers(cri, (cri,))
        api.changed = cri.look_soon
        return ConfiguredContainers(cri, (api, cri))


class DockerFilesSourceFactory:
    """Containers' logs as Docker keeps them (WP_SIDECAR_SOURCE=docker-files)."""

    name = "docker-files"
    reports_topology = True

    def is_needed(self, settings: Settings) -> bool:
        return settings.sources.kind is SourceKind.DOCKER_FILES and needs_containers(settings)

    def make(self, config: SourceConfig, inputs: SourceInputs) -> ConfiguredContainers:
        from sidecar.sources.files.container_logs import Cri  # noqa: PLC0415
        from sidecar.sources.files.layouts import DOCKER, DockerFolders  # noqa: PLC0415

        outputs = inputs.outputs
        cri = Cri(
            DockerFolders(config.settings.sources.logs or DOCKER, own_container_id()),
            config.settings.jails, outputs.emit, inputs.topology.on_topology_changed,
            cursors=inputs.cursors, since=config.reading_start,
            listener=outputs.listener, problem=outputs.problems.report,
        )  # fmt: skip
        return ConfiguredContainers(cri, (cri,))


def logpaths(jails: Sequence[Jail]) -> Mapping[str, tuple[str, ...]]:
    """Return each path or pattern of a log file -> the names of the jails that look at it."""
    paths = dict.fromkeys(path for jail in jails for path in jail.logpath)
    return {path: tuple(jail.name for jail in jails if path in jail.logpath) for path in paths}


def _mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()
