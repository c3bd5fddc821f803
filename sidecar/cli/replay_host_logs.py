"""The logs that `replay` reads of this host: what the Docker Engine has, or kubelet and Docker keep in files."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.cli.meter import Meter
from sidecar.cli.replay_logs import FileLog, LogPart, ReadLog, ReplayLog, UnreadableError
from sidecar.cli.stdio import write_error
from sidecar.config.settings import Settings, SourceKind
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.core.containers import Container
from sidecar.core.events import Framing, Topology
from sidecar.core.front_ends import with_joined_networks
from sidecar.core.text import printable
from sidecar.core.watched import Watched, choose
from sidecar.sources.base import SourceUnavailable
from sidecar.sources.docker.api import DockerHost, check, reason
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.inventory import Inventory
from sidecar.sources.docker.line_joiner import LineDecoder, decoder_of
from sidecar.sources.docker.wire import STDOUT, EngineError, Line, joined
from sidecar.sources.files.cluster import ClusterView
from sidecar.sources.files.container_folder import list_segments
from sidecar.sources.files.cri_lines import LineJoiner
from sidecar.sources.files.cursor import FilePosition
from sidecar.sources.files.factories import logpaths
from sidecar.sources.files.json_file import to_cri_lines
from sidecar.sources.files.kubernetes import Api, Unlisted, api_url, list_cluster
from sidecar.sources.files.layouts import DOCKER_ROOT, KUBELET_ROOT, DockerLayout, KubeletLayout, LogLayout
from sidecar.sources.files.rotated_path import rotated_files
from sidecar.sources.files.segments import READ_SIZE_BYTES, SegmentReader
from sidecar.sources.own_container import own_container_id

# Docker's answers are small, and a batch has fixed costs.
PART_BYTES: Final = 256 * 1024
STREAMS: Final = {True: "stdout", False: "stderr"}


@dataclass(frozen=True, slots=True)
class EngineLog:
    """A container's log, as the Docker Engine has it, from a unix time on."""

    host: DockerHost
    container: str
    name: str
    since: float
    source: str = "docker"

    def parts(self, meter: Meter) -> Iterator[LogPart]:
        try:
            with (
                contextlib.closing(self.host.open(Interrupt())) as engine,
                contextlib.closing(
                    engine.logs(self.container, int(max(0.0, self.since)), follow=False)
                ) as stream,
            ):
                decoder: LineDecoder | None = None
                lines, size = list[Line](), 0
                while data := stream.read():
                    decoder = decoder or decoder_of(data)
                    meter.advance(len(data))
                    lines += decoder.feed(data)
                    size += len(data)
                    if size >= PART_BYTES:
                        yield from _by_stream(lines)
                        lines, size = [], 0
                    if decoder.failure:
                        break
                yield from _by_stream(lines)
                if decoder and decoder.failure:
                    raise UnreadableError(str(decoder.failure))
        except (OSError, EngineError) as err:
            raise UnreadableError(reason(err)) from err


def _by_stream(lines: Sequence[Line]) -> Iterator[LogPart]:
    for is_stdout, name in STREAMS.items():
        if data := joined([line for stream, line in lines if (stream == STDOUT) is is_stdout]):
            yield LogPart(name, data, Framing.DOCKER, len(data))


@dataclass(frozen=True, slots=True)
class FolderLog:
    """A container's log, as kubelet or Docker keep it in files: those written to since a unix time, oldest first."""

    folder: str
    name: str
    since: float
    source: str
    # Why it has no files; "": it has.
    unsupported: str = ""

    def parts(self, meter: Meter) -> Iterator[LogPart]:
        if self.unsupported:
            raise UnreadableError(self.unsupported)
        joiner, restarts = LineJoiner(), -1
        try:
            for segment in list_segments(self.folder):
                if os.stat(segment.path).st_mtime < self.since:  # noqa: PTH116 - as the segments are found
                    continue
                if segment.restart_count != restarts:
                    # The writer of an unfinished line has ended.
                    joiner.discard()
                    restarts = segment.restart_count
                with contextlib.closing(segment.open()) as file:
                    reader = SegmentReader(file, FilePosition(file.status.st_ino), restarts)
                    while (raw := reader.read(READ_SIZE_BYTES)) and raw.size + len(raw.data):
                        meter.advance(raw.size)
                        reader.advance(raw.size)
                        data = to_cri_lines(raw.data) if raw.data.startswith(b"{") else raw.data
                        for lines in joiner.feed(data):
                            yield LogPart(lines.stream, lines.data, Framing.CRI, len(lines.data))
        except OSError as err:
            raise UnreadableError(f"{err.filename or self.folder}: {err.strerror or err}") from err


@dataclass(frozen=True, slots=True)
class HostLogs:
    """The logs of all containers of this host, by the container's id, and what is known of the containers."""

    logs: dict[str, ReplayLog]
    containers: tuple[Container, ...]
    networks: tuple[str, ...]
    # None: Docker's engine listed them.
    layout: LogLayout | None = None

    def watched(self, settings: Settings) -> Watched:
        """Return which containers these settings watch."""
        labels = settings.sources.labels
        discovered = self.layout.discovered(self.containers, labels) if self.layout else None
        return choose(self.containers, settings.jails, discovered, labels)

    def topology(self, settings: Settings) -> Topology:
        """Return what the daemon would know of the host under these settings."""
        return Topology.of(self.networks, self.watched(settings))


def host_logs(settings: Settings, since: float) -> HostLogs:
    """Return the logs of this host's containers, which are read from this unix time on. Raises Failed."""
    sources = settings.sources
    if sources.kind is SourceKind.DOCKER:
        return _of_engine(DockerHost(sources.docker_host), since, sources.image_labels)
    layout: LogLayout
    if sources.kind is SourceKind.CRI:
        root = sources.logs or KUBELET_ROOT
        mountinfo = Path("/proc/self/mountinfo").read_text()
        layout = KubeletLayout(root, sources.pods, _cluster(settings), mountinfo)
    else:
        layout = DockerLayout(sources.logs or DOCKER_ROOT, own_container_id(), sources.image_labels)
    try:
        scan = layout.scan()
    except OSError as err:
        raise Failed(ExitCode.NO_INPUT, layout.explain(err)) from err
    logs: dict[str, ReplayLog] = {
        each.container.id: FolderLog(each.folder, each.container.name, since, layout.origin, each.unsupported)
        for each in scan.logs
    }
    containers = with_joined_networks(each.container for each in scan.logs)
    return HostLogs(logs, containers, scan.networks, layout)


def _cluster(settings: Settings) -> ClusterView:
    """Return what the Kubernetes API says, where it may be asked: labels, images and ports."""
    view = ClusterView()
    url = api_url(os.environ) if settings.sources.kubernetes_api else ""
    if url:
        try:
            view.update(list_cluster(Api(url), settings.node or socket.gethostname()))
        except Unlisted as err:
            write_error(str(err))
    return view


def _of_engine(host: DockerHost, since: float, trusted_images: Sequence[str]) -> HostLogs:
    try:
        check(host)
        with contextlib.closing(host.open(Interrupt())) as engine:
            inventory = Inventory(own_container_id(), trusted_images)
            listing = inventory.listing(engine)
            # One that was created and never ran has no log.
            stopped = [
                inventory.describe(engine, each) for each in listing.stopped if each["State"] != "created"
            ]
    except SourceUnavailable as err:
        raise Failed(ExitCode.NO_INPUT, str(err)) from err
    except (OSError, EngineError) as err:
        raise Failed(ExitCode.NO_INPUT, f"Docker at {host.endpoint} does not answer ({reason(err)})") from err
    containers = with_joined_networks((*listing.running, *stopped))
    logs: dict[str, ReplayLog] = {each.id: EngineLog(host, each.id, each.name, since) for each in containers}
    return HostLogs(logs, containers, listing.networks)


def watched_logs(
    found: HostLogs, settings: Sequence[Settings], chosen: Sequence[str], since: float
) -> list[ReadLog]:
    """Return the logs of the containers that are named, or of all that are watched, and the files of `logpath`."""
    watched = [found.watched(each) for each in settings]
    names = [printable(each.name) for each in found.containers]
    if unknown := [name for name in chosen if name not in names]:
        raise Failed(
            ExitCode.NO_INPUT, f"no container is named {unknown[0]}; there are: {', '.join(sorted(names))}"
        )
    logs = []
    for container in found.containers:
        jails = [each.jails.get(container.id, ()) for each in watched]
        if chosen and container.name not in chosen:
            continue
        if chosen and not any(jails):
            # A person asks for it, so each jail looks at it.
            jails = [tuple(each.filters) for each in settings]
        if any(jails):
            logs.append(ReadLog(found.logs[container.id], jails))
    if not chosen:
        logs += _logpaths(settings, since)
    if not logs:
        raise Failed(
            ExitCode.NO_INPUT,
            f"no container is watched; choose one by --container: {', '.join(sorted(names)) or 'none runs here'}",
        )
    return logs


def _logpaths(settings: Sequence[Settings], since: float) -> Iterator[ReadLog]:
    """Yield the files of `logpath`, rotated ones included that are not compressed."""
    jails: dict[str, list[tuple[str, ...]]] = {}
    for number, each in enumerate(settings):
        for pattern, names in logpaths(each.jails).items():
            for path in glob.glob(pattern):  # noqa: PTH207 - a path may be no text
                found = jails.setdefault(path, [()] * len(settings))
                found[number] = tuple(dict.fromkeys((*found[number], *names)))
    for path, names_by_policy in sorted(jails.items()):
        for file in (*(rotated for _, rotated in rotated_files(path)), path):
            with contextlib.suppress(OSError):
                if os.stat(file).st_mtime >= since:  # noqa: PTH116
                    yield ReadLog(FileLog(file, source="file"), names_by_policy)
