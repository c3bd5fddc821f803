"""Where the logs of all containers are: in kubelet's tree of pods, or in Docker's folders."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from sidecar.core.address import parse_network
from sidecar.core.containers import (
    ENABLE_LABEL,
    Container,
    LabelTrust,
    discover_in_pods,
    has_our_labels,
    is_enabled,
    with_image,
)
from sidecar.core.front_ends import HOST_MODE, joined_by
from sidecar.core.text import printable
from sidecar.sources.files.cluster import ClusterView, Pod

log = logging.getLogger(__name__)

KUBELET_ROOT: Final = Path("/var/log/pods")
DOCKER_ROOT: Final = Path("/var/lib/docker/containers")
# `<namespace>_<pod>_<uid>`. DNS labels have no underscore.
_POD_FOLDER: Final = re.compile(r"([a-z0-9.-]+)_([a-z0-9.-]+)_([0-9a-f-]+)")
_OWN_POD: Final = re.compile(r"/pods/([0-9a-f-]{32,36})/")
_DOCKER_FOLDER: Final = re.compile(r"[0-9a-f]{64}")
_IMAGE_ID: Final = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ContainerLog:
    """A container and the folder of its log.

    `unsupported`: a sentence that says why the log has no files. `runs`: the container runs now.
    """

    container: Container
    folder: str
    unsupported: str = ""
    runs: bool = True


@dataclass(frozen=True, slots=True)
class FolderScan:
    """The logs of a layout at one moment.

    `folders`: they change when a log is added or removed.
    `networks`: of the containers and of the cluster's nodes. They must never be banned.
    """

    logs: tuple[ContainerLog, ...]
    folders: tuple[str, ...]
    networks: tuple[str, ...]


class LogLayout(Protocol):
    """One scheme of storing the logs of many containers.

    `name`: the name of the source. `origin`: the source in the origin of the lines.
    """

    name: str
    origin: str

    def scan(self) -> FolderScan:
        """Return the logs that exist now. Raises OSError."""

    def discovered(self, containers: Sequence[Container], labels: LabelTrust) -> frozenset[str] | None:
        """Return the ids of the containers that are watched without a jail naming them; None: by labels and images."""

    def explain(self, err: OSError) -> str:
        """Return a sentence that says why the scan failed and what to change."""


class KubeletLayout:
    """Kubelet's tree: `<namespace>_<pod>_<uid>/<container>/`."""

    name = origin = "cri"

    def __init__(
        self,
        root: Path = KUBELET_ROOT,
        globs: Sequence[str] = (),
        cluster: ClusterView | None = None,
        mountinfo: str = "",
    ) -> None:
        """`globs`: `namespace/pod/container`; without any, containers that look like a WordPress are discovered.

        `mountinfo`: of this process. It shows the uid of our own pod, which is ignored.
        """
        self._root, self._globs = root, tuple(globs)
        self._cluster = cluster or ClusterView()
        found = _OWN_POD.search(mountinfo)
        self._own_uid = found[1] if found else ""
        # The containers in each pod's folder, as of the last scan.
        self._containers: dict[str, list[str]] = {}

    def scan(self) -> FolderScan:
        cluster = self._cluster.read()
        logs, folders = list[ContainerLog](), [str(self._root)]
        for folder in sorted(os.scandir(self._root), key=_name):
            named = _POD_FOLDER.fullmatch(folder.name)
            if not named or named[3] == self._own_uid:
                continue
            folders.append(folder.path)
            namespace, name, uid = named.groups()
            for container in self._containers_in(folder.path):
                one = _pod_container(f"{namespace}/{name}/{container}", uid, cluster.pods.get(uid, Pod()))
                logs.append(ContainerLog(self._believed(one), f"{folder.path}/{container}"))
        self._containers = {path: self._containers[path] for path in folders if path in self._containers}
        return FolderScan(tuple(logs), tuple(folders), cluster.networks)

    def discovered(self, containers: Sequence[Container], labels: LabelTrust) -> frozenset[str]:
        return discover_in_pods(containers, self._globs, labels)

    def explain(self, err: OSError) -> str:
        return (
            f"{self._root} cannot be listed ({err.strerror or err}): no log is read. "
            f"Mount the node's {KUBELET_ROOT} there, read-only"
        )

    def _containers_in(self, folder: str) -> list[str]:
        """Return the containers in a pod's folder; those of the last scan if it cannot be listed."""
        try:
            self._containers[folder] = _subfolders(folder)
        except OSError as err:
            if folder not in self._containers:
                log.warning("%s cannot be listed (%s)", folder, err.strerror or err)
        return self._containers.setdefault(folder, [])

    def _believed(self, container: Container) -> Container:
        """Return the container with the labels that count. A pod that no glob matches can only exclude itself."""
        if not self._globs or discover_in_pods([container], self._globs):
            return container
        kept = {
            key: value
            for key, value in container.labels.items()
            if not key.startswith("wp-sidecar.") or (key == ENABLE_LABEL and is_enabled(container) is False)
        }
        return replace(container, labels=kept)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _subfolders(path: str) -> list[str]:
    """Return the names of the folders in this one; none if the pod was removed meanwhile."""
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _pod_container(name: str, uid: str, pod: Pod) -> Container:
    container = name.rpartition("/")[2]
    # In Kubernetes a label's prefix ends with a slash; a jail's selectors and Docker's labels have a dot there.
    labels = {key.replace("wp-sidecar/", "wp-sidecar.", 1): value for key, value in pod.labels.items()}
    return Container(
        f"{uid}/{container}",
        name,
        pod.images.get(container, ""),
        labels,
        pod.published.get(container, frozenset()),
    )


class DockerLayout:
    """Docker's folders: `<id>/<id>-json.log`, with files beside it that describe the container."""

    name, origin = "docker-files", "docker"

    def __init__(
        self, root: Path = DOCKER_ROOT, own_id: str = "", trusted_images: Sequence[str] = ()
    ) -> None:
        """`own_id`: the id of our own container, which is ignored.

        `trusted_images`: globs of the names of images whose labels count as their containers' own.
        """
        self._root, self._own_id, self._trusted_images = root, own_id, tuple(trusted_images)
        self._files = JsonFiles()

    def scan(self) -> FolderScan:
        logs, networks = list[ContainerLog](), set[str]()
        for folder in sorted(os.scandir(self._root), key=_name):
            if not _DOCKER_FOLDER.fullmatch(folder.name) or folder.name == self._own_id:
                continue
            config = self._files.load(f"{folder.path}/config.v2.json")
            networks |= set(_networks(config))
            # Stopped containers as well: their last lines count, and their logs continue when they start.
            if config:
                host_config = self._files.load(f"{folder.path}/hostconfig.json")
                unsupported = _unsupported(config, host_config)
                container = self._with_image(_docker_container(folder.name, config, host_config), config)
                runs = (config.get("State") or {}).get("Running") is not False
                logs.append(ContainerLog(container, folder.path, unsupported, runs=runs))
        self._files.drop_unused()
        return FolderScan(tuple(logs), (str(self._root),), tuple(sorted(networks)))

    def discovered(self, _containers: Sequence[Container], _labels: LabelTrust) -> None:
        return None

    def explain(self, err: OSError) -> str:
        advice = f"Mount the host's {DOCKER_ROOT} (or where `docker info` says its root is) at {self._root}, read-only"
        if err.errno in (errno.EACCES, errno.EPERM):
            advice = "Run as uid 0: only root may list it"
        return f"{self._root} cannot be listed ({err.strerror or err}): no log is read. {advice}"

    def _with_image(self, container: Container, config: Mapping[str, Any]) -> Container:
        """Return the container with the names of the labels that may be of its image, as `docker/images.py` does."""
        if not has_our_labels(container):
            return container
        found = _IMAGE_ID.fullmatch(str(config.get("Image") or ""))
        driver = str(config.get("Driver") or "").replace("/", "")
        # It may not be mounted, and is empty where containerd has the images.
        folder = self._root.parent / "image" / driver / "imagedb/content/sha256"
        image = self._files.load(str(folder / found[1])) if found else {}
        labels = (image["config"] or {}).get("Labels") or {} if "config" in image else None
        return with_image(container, labels, self._trusted_images, f"it is not in {folder}")


class JsonFiles:
    """Loads JSON files, and parses each of them again only if it was written since."""

    def __init__(self) -> None:
        # Modification time (unix nanoseconds; -1: it cannot be read) and content, by path.
        self._parsed: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._used: set[str] = set()

    def load(self, path: str) -> Mapping[str, Any]:
        """Return the content of the file; empty if it does not exist or is being written."""
        try:
            written = os.stat(path).st_mtime_ns  # noqa: PTH116
            if self._parsed.get(path, (0,))[0] != written:
                self._parsed[path] = written, json.loads(Path(path).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        except OSError as err:
            # A bad disk under one container's folder must not hide the other containers.
            if path not in self._parsed:
                log.warning("%s cannot be read (%s)", path, err.strerror or err)
                self._parsed[path] = -1, {}
        self._used.add(path)
        return self._parsed[path][1]

    def drop_unused(self) -> None:
        """Forget the files that were not loaded since the last call."""
        self._parsed = {path: parsed for path, parsed in self._parsed.items() if path in self._used}
        self._used.clear()


def _docker_container(key: str, config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Container:
    about, pools = config.get("Config") or {}, _pools(config)
    # `{"80/tcp": [{"HostIp": "::", "HostPort": "8080"}], "443/tcp": null}`
    ports = (config.get("NetworkSettings") or {}).get("Ports") or {}
    bound = {
        port: [each for each in bindings or () if each.get("HostPort")] for port, bindings in ports.items()
    }
    published = [each for bindings in bound.values() for each in bindings]
    gateways = (pool.get(which) for pool in pools for which in ("Gateway", "IPv6Gateway"))
    mode = str(host_config.get("NetworkMode") or "")
    return Container(
        key, _docker_name(config) or key[:12], str(about.get("Image") or ""), about.get("Labels") or {},
        frozenset(int(each["HostPort"]) for each in published),
        tuple(sorted({gateway for gateway in gateways if gateway})),
        ipv6_proxied=any(":" in str(each.get("HostIp") or "") for each in published)
        and not any(pool.get("GlobalIPv6Address") for pool in pools),
        target_ports=frozenset(int(port.partition("/")[0]) for port, bindings in bound.items() if bindings),
        networks=frozenset(network for pool in pools if (network := pool.get("NetworkID"))),
        listening=frozenset(int(port.partition("/")[0]) for port in bound),
        joined=joined_by(mode),
        is_on_host=mode == HOST_MODE,
    )  # fmt: skip


def _docker_name(config: Mapping[str, Any]) -> str:
    return str(config.get("Name") or "").removeprefix("/")


def _pools(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [pool for pool in ((config.get("NetworkSettings") or {}).get("Networks") or {}).values() if pool]


def _networks(config: Mapping[str, Any]) -> Iterable[str]:
    """Yield the networks that a container is in, and their gateways."""
    for pool in _pools(config):
        for address, prefix in (("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen")):
            text = f"{pool.get(address) or ''}/{pool.get(prefix) or ''}".rstrip("/")
            if text and (network := parse_network(text)):
                yield str(network)
        for gateway in ("Gateway", "IPv6Gateway"):
            if pool.get(gateway) and (network := parse_network(pool[gateway])):
                yield str(network)


def _unsupported(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> str:
    """Return a sentence that says why the container's log has no files; "" if it has."""
    driver = str((host_config.get("LogConfig") or {}).get("Type") or "json-file")
    if driver == "json-file":
        return ""
    return (
        f"container {printable(_docker_name(config))} is not watched: its log driver {printable(driver)} writes no "
        "files that can be read here. Use json-file, or WP_SIDECAR_SOURCE=docker"
    )
