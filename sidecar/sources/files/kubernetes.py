"""Reads labels, annotations, images and host ports of this node's pods from the Kubernetes API.

As client-go's reflector does, it lists the pods and then watches for changes from the list's version on. When the watch
ends, it starts again. Reading logs does not depend on the API: without it, the last known state stays, and new pods are
chosen by their names.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

from sidecar.core.address import parse_network
from sidecar.runtime.backoff import Backoff
from sidecar.runtime.problems import Problems
from sidecar.sources.files.cluster import Cluster, ClusterView, Pod

log = logging.getLogger(__name__)

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECT_TIMEOUT_S: Final = 5.0
# A watch sends a bookmark each minute.
READ_TIMEOUT_S: Final = 100.0
# After this time the API ends a watch, and the pods are listed again.
WATCH_S: Final = 300
# The list of nodes is large: 10 KB for each node, of which there may be thousands.
NODES_INTERVAL_S: Final = 3600.0
FIRST_RETRY_DELAY_S: Final = 1.0
MAX_RETRY_DELAY_S: Final = 60.0
# How long the first scan of the logs waits for the first list.
FIRST_ANSWER_TIMEOUT_S: Final = 5.0
# Lets the API answer from its watch cache instead of etcd.
FROM_CACHE: Final = {"resourceVersion": "0"}
# The log folder of a static pod has the value of this annotation instead of the uid.
STATIC_POD_HASH: Final = "kubernetes.io/config.hash"


class ClusterListener(Protocol):
    """Is notified when the view of the cluster has changed."""

    def cluster_changed(self) -> None: ...


class ApiRefused(Exception):  # noqa: N818
    """The API answered with an error."""

    def __init__(self, status: int, reason: str, resource: str) -> None:
        super().__init__(f"{status} {reason} for {resource}")
        self.status = status


class Unlisted(Exception):  # noqa: N818
    """The API did not list the pods; the text says why, and what to change."""


class KubernetesPods:
    """Keeps the view of one node's pods up to date. A Service."""

    name = "kubernetes"

    def __init__(
        self, api: Api, node: str, view: ClusterView, listener: ClusterListener, problems: Problems
    ) -> None:
        self._api = api
        self._node_pods = _of_node(node)
        self._view = view
        self._listener = listener
        self._problem = problems.problem(self.name, critical=False)
        self._nodes_listed = -NODES_INTERVAL_S
        self._closed = threading.Event()

    def run(self) -> None:
        """Block until closed. Errors of the API are reported and retried."""
        backoff = Backoff(FIRST_RETRY_DELAY_S, MAX_RETRY_DELAY_S)
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._list_and_watch()
            # ValueError: the answer is not JSON.
            except (ApiRefused, HTTPException, OSError, ValueError) as err:
                if self._closed.is_set():
                    return
                self._problem.set(_explain(self._api.url, err))
                # The random factor keeps nodes from asking all at the same time.
                self._closed.wait(backoff.next() * random.uniform(0.5, 1.5))  # noqa: S311
            else:
                backoff.reset()
                # A watch may end at once.
                self._closed.wait(FIRST_RETRY_DELAY_S - (time.monotonic() - began))

    def close(self) -> None:
        self._closed.set()
        self._api.interrupt()

    def _list_and_watch(self) -> None:
        """List the pods, then watch them until the API ends the watch."""
        with contextlib.closing(self._api.connect()) as connection:
            # `close` may have been called before there was a connection to interrupt.
            if self._closed.is_set():
                return
            listed = connection.get("pods", self._node_pods | FROM_CACHE)
            networks = self._view.latest.networks
            if time.monotonic() - self._nodes_listed >= NODES_INTERVAL_S:
                networks = nodes_networks(connection.get("nodes", FROM_CACHE)["items"])
                self._nodes_listed = time.monotonic()
            self._update(Cluster(dict(map(parse_pod, listed["items"])), networks))
            self._problem.clear()
            for event in connection.watch("pods", self._node_pods, listed["metadata"]["resourceVersion"]):
                self._update(apply_event(self._view.latest, event))

    def _update(self, cluster: Cluster) -> None:
        if self._view.update(cluster):
            self._listener.cluster_changed()


class Api:
    """The address of the API and the service account to use."""

    def __init__(self, url: str, account: Path | None = None) -> None:
        """`account`: the folder with the token and the certificate of the cluster's authority; None: a pod's own."""
        self.url = url
        self._account = account or SERVICE_ACCOUNT
        self._lock = threading.Lock()
        self._connection: ApiConnection | None = None

    def connect(self) -> ApiConnection:
        """Open a connection. Raises OSError, also if there is no account."""
        # Read each time, because kubelet renews the token.
        token = (self._account / "token").read_text().strip()
        # Chain, dates and name are verified. VERIFY_X509_STRICT, which is Python's default since 3.13, also requires
        # extensions that some clusters' authorities lack: EKS (kubernetes-client/python#2394) and MicroK8s
        # (canonical/microk8s#5537).
        context = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        connection = ApiConnection(self.url, token, context)
        with self._lock:
            self._connection = connection
        return connection

    def interrupt(self) -> None:
        """Interrupt the current connection. Any thread may call this."""
        with self._lock:
            if self._connection:
                self._connection.interrupt()


class ApiConnection:
    """A connection to the API. One thread uses it, and any thread may interrupt it."""

    def __init__(self, url: str, token: str, context: ssl.SSLContext) -> None:
        """Raises OSError."""
        address = urlsplit(url)
        self._token = token
        self._http = HTTPSConnection(
            address.hostname or "", address.port, timeout=CONNECT_TIMEOUT_S, context=context
        )
        self._socket = self._connect()

    def get(self, resource: str, params: Mapping[str, str]) -> Any:  # noqa: ANN401
        """Return the parsed answer. Raises ApiRefused, HTTPException, OSError, and ValueError if it is not JSON."""
        with self._request(resource, params) as response:
            return json.loads(response.read())

    def watch(self, resource: str, params: Mapping[str, str], version: str) -> Iterator[Mapping[str, Any]]:
        """Yield events after this version until the watch ends or the connection breaks. Raises what `get` does."""
        asked = {
            **params, "watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH_S),
            "allowWatchBookmarks": "true",
        }  # fmt: skip
        with self._request(resource, asked) as response:
            for line in _lines(response):
                event = json.loads(line)
                # Usually 410 Gone: the API no longer has the changes since this version.
                if event["type"] == "ERROR":
                    return
                yield event

    def interrupt(self) -> None:
        """End any read that is waiting. Any thread may call this."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._http.close()

    def _connect(self) -> socket.socket:
        try:
            self._http.connect()
        except OSError:
            self._http.close()
            raise
        self._http.sock.settimeout(READ_TIMEOUT_S)
        return self._http.sock

    def _request(self, resource: str, params: Mapping[str, str]) -> HTTPResponse:
        # The last answer had `Connection: close`.
        if not self._http.sock:
            self._socket = self._connect()
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        self._http.request("GET", f"/api/v1/{resource}?{urlencode(params)}", headers=headers)
        response = self._http.getresponse()
        if response.status != 200:
            response.close()
            raise ApiRefused(response.status, response.reason, resource)
        return response


def list_cluster(api: Api, node: str) -> Cluster:
    """Return what the API says now about this node's pods and the nodes. Raises Unlisted, with a sentence."""
    try:
        with contextlib.closing(api.connect()) as connection:
            listed = connection.get("pods", _of_node(node) | FROM_CACHE)
            networks = nodes_networks(connection.get("nodes", FROM_CACHE)["items"])
    # ValueError: the answer is not JSON.
    except (ApiRefused, HTTPException, OSError, ValueError) as err:
        raise Unlisted(_explain(api.url, err)) from err
    return Cluster(dict(map(parse_pod, listed["items"])), networks)


def _of_node(node: str) -> dict[str, str]:
    return {"fieldSelector": f"spec.nodeName={node}"}


def _lines(response: HTTPResponse) -> Iterator[bytes]:
    """Yield whole lines until the response ends, breaks off, or is silent for READ_TIMEOUT_S."""
    with contextlib.suppress(OSError, HTTPException):
        for line in response:
            if not line.endswith(b"\n"):
                return
            yield line


def _explain(url: str, err: Exception) -> str:
    why = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
    advice = "pods are chosen by what is known about them, or by their names"
    if isinstance(err, ApiRefused) and err.status in (401, 403):
        advice += (
            ". Give the service account get, list and watch on pods and nodes (rbac.create in the chart)"
        )
    elif isinstance(err, FileNotFoundError):
        advice += (
            ". Mount the service account's token (automountServiceAccountToken), or do not ask the API "
            "(WP_SIDECAR_KUBERNETES_API=false)"
        )
    return f"the Kubernetes API at {url} does not list this node's pods ({why}): {advice}"


def api_url(environ: Mapping[str, str]) -> str:
    """Return where a pod finds the API; "" outside of a cluster."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://{f'[{host}]' if ':' in host else host}:{port}" if host else ""


def apply_event(cluster: Cluster, event: Mapping[str, Any]) -> Cluster:
    """Return the state of the cluster after this event of a watch."""
    if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
        return cluster
    uid, pod = parse_pod(event["object"])
    pods = {other: known for other, known in cluster.pods.items() if other != uid}
    return replace(cluster, pods=pods if event["type"] == "DELETED" else {**pods, uid: pod})


def parse_pod(item: Mapping[str, Any]) -> tuple[str, Pod]:
    """Return the uid in the name of the pod's log folder, and the pod."""
    about, spec = item["metadata"], item.get("spec") or {}
    # An init container with `restartPolicy: Always` keeps running.
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    annotations = about.get("annotations") or {}
    labels = {**(about.get("labels") or {}), **annotations}
    kept = {key: value for key, value in labels.items() if not key.startswith(("kubectl.", "kubernetes.io/"))}
    images = {each["name"]: str(each.get("image") or "") for each in containers}
    published = {each["name"]: _host_ports(each) for each in containers}
    return annotations.get(STATIC_POD_HASH) or about["uid"], Pod(kept, images, published)


def _host_ports(container: Mapping[str, Any]) -> frozenset[int]:
    return frozenset(int(port["hostPort"]) for port in container.get("ports") or () if port.get("hostPort"))


def nodes_networks(items: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the addresses of nodes and the networks of their pods, canonical and sorted."""
    texts: list[str] = []
    for item in items:
        spec = item.get("spec") or {}
        texts += [*(spec.get("podCIDRs") or ()), str(spec.get("podCIDR") or "")]
        addresses = (item.get("status") or {}).get("addresses") or ()
        texts += [each["address"] for each in addresses if each.get("type") in ("InternalIP", "ExternalIP")]
    return tuple(sorted({str(found) for text in texts if (found := parse_network(text))}))
