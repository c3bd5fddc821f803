"""What the Kubernetes API says about this node's pods and about the cluster's networks."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pod:
    """What the API says about a pod on this node.

    `labels`: labels and annotations. `images`, `published`: by container, its image and the node's ports that lead to
    it.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the API says; nothing where it is not asked.

    `pods`: by the last part of the name of the pod's log folder, which is its uid. `networks`: the addresses of all
    nodes and the networks of their pods.
    """

    pods: Mapping[str, Pod] = field(default_factory=dict)
    networks: tuple[str, ...] = ()


class ClusterView:
    """The cluster as far as it is known. One thread updates it, any thread may read it."""

    def __init__(self, first_answer_s: float = 0.0) -> None:
        """`first_answer_s`: how many seconds from now on readers wait for the first update."""
        self._cluster = Cluster()
        self._updated = threading.Event()
        self._deadline = time.monotonic() + first_answer_s

    @property
    def latest(self) -> Cluster:
        """The cluster as of the last update, without waiting for the first."""
        return self._cluster

    def read(self) -> Cluster:
        """Return the cluster. Before the first update this waits a little, so that few pods are chosen twice."""
        self._updated.wait(max(0.0, self._deadline - time.monotonic()))
        return self._cluster

    def update(self, cluster: Cluster) -> bool:
        """Set what is known; return whether anything changed."""
        changed, self._cluster = cluster != self._cluster, cluster
        self._updated.set()
        return changed
