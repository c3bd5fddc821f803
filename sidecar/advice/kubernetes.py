"""Why bans may have no effect on a Kubernetes node, and what to change."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.core.allowlist import CONTAINERS, OWN, PRIVATE

# The reasons for which addresses of nodes and pods are on the allowlist.
CLUSTER_REASONS = frozenset({CONTAINERS, OWN, *PRIVATE})
CILIUM_INTERFACES = frozenset({"cilium_host", "cilium_net"})


def is_pod_log(origin_name: str) -> bool:
    """Return whether this is the name of a pod's log, `namespace/pod/container`, and not a container or a path."""
    return origin_name.count("/") == 2 and not origin_name.startswith("/")


def replaced_client_address(origin_name: str, reason: str) -> str | None:
    """Return why a pod's log has addresses of the cluster in place of clients' addresses.

    `reason`: why these addresses are on the allowlist. None means that this log or reason has another explanation.
    """
    if not is_pod_log(origin_name) or reason not in CLUSTER_REASONS:
        return None
    return (
        "The log has the address of a node or pod instead of the client's. Set externalTrafficPolicy: Local on the "
        "Service through which traffic enters the cluster (with Cluster, nodes replace the client's address by their "
        "own). Behind an ingress, also have the web server trust the ingress's X-Forwarded-For: see docs/kubernetes.md"
    )


def cilium_bypass(interfaces: Iterable[str], dropped: int) -> str | None:
    """Return why packets may bypass the firewall of this node; None if nothing indicates it.

    `interfaces`: the names of the host's network interfaces. `dropped`: how many packets bans have dropped. A single
    one shows that packets do not bypass the firewall.
    """
    if dropped or not CILIUM_INTERFACES.intersection(interfaces):
        return None
    return (
        "Cilium is on this node, and no packet was dropped yet: with Cilium's eBPF host routing, packets bypass the "
        "node's firewall, and bans have no effect. If `cilium status --verbose` shows Host Routing: BPF, set "
        "bpf.hostLegacyRouting=true in Cilium's values, and leave NodePorts to kube-proxy: see docs/kubernetes.md"
    )
