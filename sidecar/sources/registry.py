"""What is read: a source of each kind that some jail needs.

A new configuration changes what those look at that are there, and may need more of them; it ends none.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from sidecar.config.settings import Settings, SourceKind
from sidecar.core.events import Topology
from sidecar.core.jail import Jail
from sidecar.runtime.problems import Problems
from sidecar.runtime.supervisor import Service
from sidecar.sources.base import Emit, LogListener, Outputs
from sidecar.sources.docker.source import Docker, own_id
from sidecar.sources.files.source import Files
from sidecar.sources.syslog import Syslog


@runtime_checkable
class Containers(Service, Protocol):
    """A source that reads containers' logs, whoever keeps them."""

    def reconfigure(self, jails: Sequence[Jail], since: float) -> None:
        """From now on these jails look at them; a log that was never read begins there (unix time)."""


class Readers:
    """The sources of one run. Called by one thread at a time."""

    def __init__(
        self,
        emit: Emit,
        surrounded: Callable[[Topology], None],
        resolver: Service,
        *,
        cursors: Mapping[str, bytes],
        listener: LogListener,
        problems: Problems,
    ) -> None:
        """`surrounded` is told what the container engine says of this host. `cursors`: how far the last run read."""
        self._outputs = Outputs(emit, listener, problems)
        self._surrounded, self._resolver = surrounded, resolver
        self._cursors = cursors
        self._containers: Containers | None = None
        self._files: Files | None = None
        self._syslog: Syslog | None = None
        self._resolves = False

    @property
    def surround(self) -> bool:
        """Does one of them tell of the surroundings?"""
        return self._containers is not None

    def more(self, settings: Settings, now: float) -> list[Service]:
        """Those that these settings need and that are not there yet; they have to be started, after `take`.

        Raises NoDocker, and OSError where a socket cannot be made.
        """
        jails, outputs, services = settings.jails, self._outputs, list[Service]()
        if not self._resolves and any(rules.resolves_names for rules in settings.filters.values()):
            services.append(self._resolver)
        if self._containers is None and any(_wants_containers(jail) for jail in jails):
            services += self._of_containers(settings, now)
        if self._files is None and (paths := logpaths(jails)):
            services.append(Files(paths, self._outputs, cursors=self._cursors))
        if self._syslog is None and settings.sources.syslog:
            services.append(
                Syslog(settings.sources.syslog, _everywhere(jails), outputs.emit, listener=outputs.listener)
            )
        return services

    def take(self, settings: Settings, more: Sequence[Service], now: float) -> None:
        """From now on these jails look at the logs; `more` are the sources that are new."""
        if self._containers:
            self._containers.reconfigure(settings.jails, since(settings, now))
        if self._files:
            self._files.reconfigure(logpaths(settings.jails))
        if self._syslog:
            self._syslog.reconfigure(_everywhere(settings.jails))
        for service in more:
            match service:
                case Files():
                    self._files = service
                case Syslog():
                    self._syslog = service
                case Containers():
                    self._containers = service
                case _ if service is self._resolver:
                    self._resolves = True

    def _of_containers(self, settings: Settings, now: float) -> list[Service]:
        """What reads containers' logs, as the settings say. Raises NoDocker."""
        jails, begin, outputs = settings.jails, since(settings, now), self._outputs
        if settings.sources.kind is SourceKind.DOCKER:
            docker = Docker(
                settings.sources.docker_host, jails, outputs.emit, self._surrounded,
                cursors=self._cursors, since=begin, listener=outputs.listener, problem=outputs.problems.report,
            )  # fmt: skip
            docker.check()
            return [docker]
        # Loaded only where they are asked for: they weigh 1 MB.
        from sidecar.sources.files.cluster import ClusterView  # noqa: PLC0415
        from sidecar.sources.files.container_logs import ContainerLogs  # noqa: PLC0415
        from sidecar.sources.files.kubernetes import (  # noqa: PLC0415
            FIRST_ANSWER_TIMEOUT_S,
            Api,
            KubernetesPods,
            api_url,
        )
        from sidecar.sources.files.layouts import (  # noqa: PLC0415
            DOCKER_ROOT,
            KUBELET_ROOT,
            DockerLayout,
            KubeletLayout,
            LogLayout,
        )

        mounts = Path("/proc/self/mountinfo").read_text()
        # Not asked outside of a cluster.
        kubelet = settings.sources.kind is SourceKind.CRI
        url = api_url(os.environ) if kubelet and settings.sources.kubernetes_api else ""
        view = ClusterView(FIRST_ANSWER_TIMEOUT_S if url else 0.0)
        layout: LogLayout = (
            KubeletLayout(settings.sources.logs or KUBELET_ROOT, settings.sources.pods, view, mounts)
            if kubelet
            else DockerLayout(settings.sources.logs or DOCKER_ROOT, own_id(mounts))
        )
        logs = ContainerLogs(
            layout, jails, outputs, _TopologyAdapter(self._surrounded), cursors=self._cursors, since=begin
        )
        if not url:
            return [logs]
        node = settings.node or socket.gethostname()
        return [KubernetesPods(Api(url), node, view, logs, outputs.problems), logs]


class _TopologyAdapter:
    """Gives a function the methods of a TopologyListener."""

    def __init__(self, function: Callable[[Topology], None]) -> None:
        self._function = function

    def on_topology_changed(self, topology: Topology) -> None:
        self._function(topology)


def since(settings: Settings, now: float) -> float:
    """Where reading begins in a log that was never read: what is older counts in no jail (unix time)."""
    return now - max(jail.findtime for jail in settings.jails)


def logpaths(jails: Sequence[Jail]) -> dict[str, tuple[str, ...]]:
    """Each log file -> the jails that look at it."""
    paths = dict.fromkeys(path for jail in jails for path in jail.logpath)
    return {path: tuple(jail.name for jail in jails if path in jail.logpath) for path in paths}


def _wants_containers(jail: Jail) -> bool:
    return bool(jail.containers or jail.absent or not jail.logpath)


def _everywhere(jails: Sequence[Jail]) -> tuple[str, ...]:
    """The jails that look at what containers send to their /dev/log."""
    return tuple(jail.name for jail in jails if not jail.containers)
