"""What the Kubernetes API says about this node's pods and about the cluster's networks."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pod:
    """What the API says about a pod on this node.

    `labels`: labels and annotations. `images`: by container.
    `published`: by container, the node's ports that lead to it.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the API says about the cluster. It is empty if the API is not used.

    `pods`: by the uid in the name of the pod's log folder. `networks`: the addresses of all nodes and the networks of
    their pods.
    """

    pods: Mapping[str, Pod] = field(default_factory=dict)
    networks: tuple[str, ...] = ()


class ClusterView:
    """The latest known state of the cluster. One thread updates it, and any thread may read it."""

    def __init__(self, first_answer_s: float = 0.0) -> None:
        """`first_answer_s`: for how many seconds from now on `read` waits for the first update."""
        self._cluster = Cluster()
        self._updated = threading.Event()
        self._deadline = time.monotonic() + first_answer_s

    @property
    def latest(self) -> Cluster:
        """The state of the last update, without waiting for the first one."""
        return self._cluster

    def read(self) -> Cluster:
        """Return the state of the last update. Before the first one, wait for it for a while."""
        self._updated.wait(max(0.0, self._deadline - time.monotonic()))
        return self._cluster

    def update(self, cluster: Cluster) -> bool:
        """Set the state; return whether it changed."""
        changed, self._cluster = cluster != self._cluster, cluster
        self._updated.set()
        return changed
