"""Where containers' logs lie: kubelet's tree of pods, and Docker's folders."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from sidecar.core.address import parse_network
from sidecar.core.containers import LABEL, Container, discovered, enabled, in_pods

log = logging.getLogger(__name__)

PODS: Final = Path("/var/log/pods")
DOCKER: Final = Path("/var/lib/docker/containers")
_POD: Final = re.compile(r"([a-z0-9.-]+)_([a-z0-9.-]+)_([0-9a-f-]+)")  # DNS labels have no underscore
_OWN: Final = re.compile(r"/pods/([0-9a-f-]{32,36})/")
_DOCKERS: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Found:
    """A container, and where its log is."""

    container: Container
    folder: str
    unreadable: str = ""  # why nobody can read it, in a sentence


class Tree(Protocol):
    """Where the logs of many containers lie."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str:
        """What is said of where a line came from."""

    @property
    def folders(self) -> Sequence[str]:
        """Those whose lists say which containers there are, as of the last look."""

    def look(self) -> list[Found]:
        """The containers that have a log. Raises OSError."""

    def discovered(self, containers: Sequence[Container]) -> frozenset[str]:
        """The ids of those that no jail has to name."""

    def networks(self) -> tuple[str, ...]:
        """Those of the containers, and whatever else here may never be banned; as of the last look."""

    def wrong(self, err: OSError) -> str:
        """A sentence about why there is no looking."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What the API says of a pod on this node."""

    labels: Mapping[str, str] = field(default_factory=dict)  # and annotations
    images: Mapping[str, str] = field(default_factory=dict)  # by container
    published: Mapping[str, frozenset[int]] = field(default_factory=dict)  # by container: the node's ports


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the API says; nothing, where nobody asks it."""

    pods: Mapping[str, Pod] = field(default_factory=dict)  # by the name of the folder's last part
    networks: tuple[str, ...] = ()  # addresses and pod networks of all nodes


class Pods:
    """Kubelet's tree: `<namespace>_<pod>_<uid>/<container>/`."""

    name, source = "cri", "cri"

    def __init__(
        self,
        root: Path = PODS,
        globs: Sequence[str] = (),
        cluster: Callable[[], Cluster] = Cluster,
        mountinfo: str = "",
    ) -> None:
        """`globs`: `namespace/pod/container`; none: whatever looks like a WordPress. We ourselves are never found."""
        self._root, self._globs, self._cluster = root, tuple(globs), cluster
        found = _OWN.search(mountinfo)
        self._own = found[1] if found else ""
        self._folders: dict[str, list[str]] = {}  # what each pod's folder had last
        self.folders: Sequence[str] = ()

    def look(self) -> list[Found]:
        known, found, folders = self._cluster().pods, list[Found](), [str(self._root)]
        for pod in sorted(os.scandir(self._root), key=lambda entry: entry.name):
            named = _POD.fullmatch(pod.name)
            if not named or named[3] == self._own:
                continue
            folders.append(pod.path)
            namespace, name, uid = named.groups()
            for container in self._in(pod.path):
                one = _container(f"{namespace}/{name}/{container}", uid, known.get(uid, Pod()))
                found.append(Found(self._heard(one), f"{pod.path}/{container}"))
        self.folders = folders
        self._folders = {path: self._folders[path] for path in folders if path in self._folders}
        return found

    def _in(self, path: str) -> list[str]:
        """The containers in a pod's folder; those it had last, where it cannot be looked into: their logs tell so."""
        try:
            self._folders[path] = _folders(path)
        except OSError as err:
            if path not in self._folders:
                log.warning("%s cannot be looked into (%s)", path, err.strerror or err)
        return self._folders.setdefault(path, [])

    def discovered(self, containers: Sequence[Container]) -> frozenset[str]:
        return in_pods(containers, self._globs)

    def _heard(self, container: Container) -> Container:
        """Where pods are named, those that are not can only have themselves left out."""
        if not self._globs or in_pods([container], self._globs):
            return container
        kept = {
            key: value
            for key, value in container.labels.items()
            if not key.startswith("wp-sidecar.") or (key == LABEL and enabled(container) is False)
        }
        return replace(container, labels=kept)

    def networks(self) -> tuple[str, ...]:
        return self._cluster().networks

    def wrong(self, err: OSError) -> str:
        return (
            f"{self._root} cannot be looked into ({err.strerror or err}): no log is read. "
            f"Mount the node's {PODS} there, read-only"
        )


def _folders(path: str) -> list[str]:
    """None, where the pod was removed meanwhile."""
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _container(name: str, uid: str, pod: Pod) -> Container:
    container = name.rpartition("/")[2]
    # In Kubernetes a prefix ends with a slash; a jail's selectors and Docker's labels have a dot there.
    labels = {key.replace("wp-sidecar/", "wp-sidecar.", 1): value for key, value in pod.labels.items()}
    return Container(
        f"{uid}/{container}",
        name,
        pod.images.get(container, ""),
        labels,
        pod.published.get(container, frozenset()),
    )


class DockerFolders:
    """Docker's own: `<id>/<id>-json.log`, and beside it what the container is."""

    name, source = "docker-files", "docker"

    def __init__(self, root: Path = DOCKER, own: str = "") -> None:
        """`own`: the id of the container that we are in."""
        self._root, self._own = root, own
        self._read: dict[
            str, tuple[int, Mapping[str, Any]]
        ] = {}  # path -> when it was written, and what it says
        self._networks: tuple[str, ...] = ()
        self.folders: Sequence[str] = ()

    def look(self) -> list[Found]:
        found, networks, seen = list[Found](), set[str](), set[str]()
        for entry in sorted(os.scandir(self._root), key=lambda entry: entry.name):
            if not _DOCKERS.fullmatch(entry.name) or entry.name == self._own:
                continue
            config = self._json(f"{entry.path}/config.v2.json", seen)
            networks |= set(_networks(config))
            if config:  # stopped ones too: what they said last counts, and their logs go on when they start
                driver = self._driver(entry.path, seen)
                found.append(Found(_of_docker(entry.name, config), entry.path, _unreadable(config, driver)))
        self._read = {path: self._read[path] for path in self._read if path in seen}
        self._networks, self.folders = tuple(sorted(networks)), [str(self._root)]
        return found

    def discovered(self, containers: Sequence[Container]) -> frozenset[str]:
        return discovered(containers)

    def networks(self) -> tuple[str, ...]:
        return self._networks

    def wrong(self, err: OSError) -> str:
        mount = (
            f"Mount the host's {DOCKER} (or where `docker info` says its root is) at {self._root}, read-only"
        )
        if err.errno in (errno.EACCES, errno.EPERM):
            mount = "Run as uid 0: only root may look into it"
        return f"{self._root} cannot be looked into ({err.strerror or err}): no log is read. {mount}"

    def _driver(self, folder: str, seen: set[str]) -> str:
        host = self._json(f"{folder}/hostconfig.json", seen)
        return str((host.get("LogConfig") or {}).get("Type") or "json-file")

    def _json(self, path: str, seen: set[str]) -> Mapping[str, Any]:
        """What a file says; Docker replaces it whole. Nothing, where it is not there (any more)."""
        try:
            written = os.stat(path).st_mtime_ns  # noqa: PTH116
            if self._read.get(path, (0,))[0] != written:
                self._read[path] = written, json.loads(Path(path).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        except OSError as err:  # a bad disk under one container is none under the others
            if path not in self._read:
                log.warning("%s cannot be read (%s)", path, err.strerror or err)
                self._read[path] = -1, {}
        seen.add(path)
        return self._read[path][1]


def _of_docker(key: str, config: Mapping[str, Any]) -> Container:
    about = config.get("Config") or {}
    ports = ((config.get("NetworkSettings") or {}).get("Ports") or {}).values()
    published = (int(each["HostPort"]) for bound in ports for each in bound or () if each.get("HostPort"))
    name = str(config.get("Name") or key[:12]).removeprefix("/")
    gateways = (pool.get(which) for pool in _pools(config) for which in ("Gateway", "IPv6Gateway"))
    return Container(
        key, name, str(about.get("Image") or ""), about.get("Labels") or {}, frozenset(published),
        tuple(sorted({gateway for gateway in gateways if gateway})),
    )  # fmt: skip


def _pools(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [pool for pool in ((config.get("NetworkSettings") or {}).get("Networks") or {}).values() if pool]


def _networks(config: Mapping[str, Any]) -> Iterable[str]:
    """The networks that a container is in, and their gateways."""
    for pool in _pools(config):
        for address, prefix in (("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen")):
            if pool.get(address) and (
                found := parse_network(f"{pool[address]}/{pool.get(prefix) or ''}".rstrip("/"))
            ):
                yield str(found)
        for gateway in ("Gateway", "IPv6Gateway"):
            if pool.get(gateway) and (found := parse_network(pool[gateway])):
                yield str(found)


def _unreadable(config: Mapping[str, Any], driver: str) -> str:
    if driver == "json-file":
        return ""
    name = str(config.get("Name") or "").removeprefix("/")
    return (
        f"container {name} is not watched: its log driver {driver} writes no files that can be read here. "
        "Use json-file, or WP_SIDECAR_SOURCE=docker"
    )
