"""How the Docker source is made from the settings."""

from __future__ import annotations

from sidecar.config.settings import Settings, SourceKind
from sidecar.sources.base import ContainerSelection
from sidecar.sources.factories import ConfiguredContainers, SourceConfig, SourceInputs, needs_containers


class DockerSourceFactory:
    """Containers' logs through the Engine's API (WP_SIDECAR_SOURCE=docker)."""

    name = "docker"
    reports_topology = True

    def is_needed(self, settings: Settings) -> bool:
        return settings.sources.kind is SourceKind.DOCKER and needs_containers(settings)

    def make(self, config: SourceConfig, inputs: SourceInputs) -> ConfiguredContainers:
        # docker-py is loaded only where Docker is asked: it weighs some megabytes.
        from sidecar.sources.docker.api import DockerHost  # noqa: PLC0415
        from sidecar.sources.docker.source import DockerSource  # noqa: PLC0415

        settings = config.settings
        selection = ContainerSelection(settings.jails, config.reading_start, settings.sources.labels)
        host = DockerHost(config.settings.sources.docker_host)
        source = DockerSource(
            host, inputs.outputs, inputs.topology, selection, inputs.cursors,
            trusted_images=settings.sources.image_labels,
        )  # fmt: skip
        source.check(is_start=config.is_start)
        return ConfiguredContainers(source, (source,))
