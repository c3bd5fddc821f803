"""What makes bans useless on a Kubernetes node, and what to change."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.core.allowlist import CONTAINERS, OWN, PRIVATE

INSIDE = frozenset({CONTAINERS, OWN, *PRIVATE})  # why a node's or a pod's address is never banned


def in_pod(site: str) -> bool:
    """Is this log a pod's, `namespace/pod/container`? A path begins with a slash; a container's name has none."""
    return site.count("/") == 2 and not site.startswith("/")


def source_nat(site: str, reason: str) -> str | None:
    """Why a pod's log shows addresses of the cluster in the clients' place; None: that is no question here."""
    if not in_pod(site) or reason not in INSIDE:
        return None
    return (
        "The log shows a node or a pod instead of the client. Set externalTrafficPolicy: Local on the Service that "
        "lets traffic in (with Cluster, nodes put their own address in the client's place), and where an ingress is "
        "before it, let the site believe the ingress's X-Forwarded-For: see docs/kubernetes.md"
    )


def cilium(interfaces: Iterable[str], dropped: int) -> str | None:
    """Why packets may pass by the firewall of this node; None: nothing speaks for it.

    `dropped`: packets that bans have dropped here. One is proof enough that they come by.
    """
    if dropped or not {"cilium_host", "cilium_net"} & set(interfaces):
        return None
    return (
        "Cilium is on this node, and no packet was dropped here yet: with its eBPF host routing packets pass by the "
        "node's firewall, and bans keep nobody out. If `cilium status --verbose` says Host Routing: BPF, set "
        "bpf.hostLegacyRouting=true in Cilium's values, and leave NodePorts to kube-proxy: see docs/kubernetes.md"
    )
