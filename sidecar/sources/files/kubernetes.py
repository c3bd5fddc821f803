"""What the cluster's API says of this node's pods, where it may be asked: labels, annotations, images, host ports.

Nothing waits for it: where it does not answer, what is known stays, and logs are chosen by their names.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import create_urllib3_context

from sidecar.core.address import parse_network
from sidecar.sources.base import Report, untold
from sidecar.sources.files.layouts import Cluster, Pod

log = logging.getLogger(__name__)

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
WAIT: Final = (5.0, 100.0)  # seconds for a connection, and between two words: bookmarks come each minute
WATCH: Final = 300  # seconds until a watch is ended, and all is listed anew
NODES: Final = (
    3600.0  # seconds between lists of all nodes: 10 KB each, which is much where there are thousands
)
FIRST, LONGEST = 1.0, 60.0  # seconds between tries
PATIENCE: Final = 5.0  # seconds that the first look at the logs waits for the first answer
CACHED: Final = {"resourceVersion": "0"}  # from the API's memory, not from its store
STATIC: Final = "kubernetes.io/config.hash"  # of a static pod: what its log's folder has in place of the uid


class Refused(Exception):  # noqa: N818
    """The API answered, and not with what was asked for."""


class Lenient(HTTPAdapter):
    """Looks at chain, name and time as ever, and does not ask for extensions that clusters' own authorities lack.

    From Python 3.13 on that is asked by default (VERIFY_X509_STRICT), and EKS' and MicroK8s' authorities fail.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  requests' own
        context = create_urllib3_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        super().init_poolmanager(*args, **kwargs, ssl_context=context)


class Kubernetes:
    """The pods of one node, watched. A Service."""

    name = "kubernetes"

    def __init__(
        self,
        url: str,
        node: str,
        *,
        changed: Callable[[], None] = lambda: None,
        account: Path = ACCOUNT,
        problem: Report = untold,
    ) -> None:
        """`changed` is called when what `cluster()` says is not what it said."""
        self.changed = changed
        self._url, self._node, self._account, self._trouble = url, node, account, problem
        self._cluster, self._answered = Cluster(), threading.Event()
        self._until = time.monotonic() + PATIENCE
        self._listed = -NODES  # when all nodes were
        self._wrong = ""  # what was told last, in a sentence
        self._closed = threading.Event()
        self._answer: requests.Response | None = None

    def cluster(self) -> Cluster:
        """What is known; before the first answer, it is waited for a little. Any thread may call this."""
        self._answered.wait(max(0.0, self._until - time.monotonic()))
        return self._cluster

    def run(self) -> None:
        """Block until closed. That the API goes away and comes back is part of the work."""
        pause = FIRST
        while not self._closed.is_set():
            try:
                began = time.monotonic()
                with requests.Session() as session:
                    session.mount("https://", Lenient())
                    self._sync(session)
                pause = FIRST
                self._closed.wait(
                    FIRST - (time.monotonic() - began)
                )  # what ends watches at once is not asked at once
            except (requests.RequestException, Refused, OSError, ValueError) as err:  # the last: no JSON
                if not self._closed.is_set():
                    self._tell(err)
                    self._closed.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311  so that nodes do not ask in step
                    pause = min(pause * 2, LONGEST)

    def close(self) -> None:
        self._closed.set()
        if answer := self._answer:  # whoever waits for its next word waits in the socket
            with contextlib.suppress(OSError, AttributeError):  # it may just be ending by itself
                connection: Any = answer.raw.connection
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _sync(self, session: requests.Session) -> None:
        """List, then watch until the API ends it."""
        mine = {"fieldSelector": f"spec.nodeName={self._node}"}
        listed = self._get(session, "pods", mine | CACHED).json()
        networks = self._cluster.networks
        if time.monotonic() - self._listed >= NODES:
            networks = nodes_networks(self._get(session, "nodes", CACHED).json()["items"])
            self._listed = time.monotonic()
        self._take(Cluster(dict(map(pod, listed["items"])), networks))
        if self._wrong:
            log.info("the Kubernetes API at %s tells of this node's pods again", self._url)
        self._wrong = ""
        self._trouble(self.name, None)
        version = listed["metadata"]["resourceVersion"]
        watch = {
            **mine, "watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH),
            "allowWatchBookmarks": "true",
        }  # fmt: skip
        for event in self._events(session, watch):
            self._take(after(self._cluster, event))

    def _events(self, session: requests.Session, params: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        with contextlib.closing(self._get(session, "pods", params, stream=True)) as self._answer:
            if self._closed.is_set():  # before we had the answer that `close` would have ended
                return
            # silent or cut off: the next list tells what is wrong
            with contextlib.suppress(requests.RequestException):
                for line in self._answer.iter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # 410: what we know is too old to be told what came after it
                        return
                    yield event

    def _get(
        self, session: requests.Session, what: str, params: Mapping[str, str], *, stream: bool = False
    ) -> requests.Response:
        """Raises Refused, RequestException, and OSError where there is no account."""
        token = (self._account / "token").read_text().strip()  # kubelet renews it
        answer = session.get(
            f"{self._url}/api/v1/{what}",
            params=params,
            headers={"Authorization": f"Bearer {token}"},
            verify=str(self._account / "ca.crt"),
            timeout=WAIT,
            stream=stream,
            allow_redirects=False,  # the token is the API's alone
        )
        if answer.status_code != 200:
            answer.close()
            raise Refused(f"{answer.status_code} {answer.reason} for {what}")
        return answer

    def _take(self, cluster: Cluster) -> None:
        before, self._cluster = self._cluster, cluster
        self._answered.set()
        if cluster != before:
            self.changed()

    def _tell(self, err: Exception) -> None:
        remedy = "pods are chosen by what is known of them, or by their names"
        if isinstance(err, Refused) and str(err)[:3] in ("401", "403"):
            remedy += (
                ". Give the service account get, list and watch on pods and nodes (rbac.create in the chart)"
            )
        elif isinstance(err, FileNotFoundError):
            remedy += ". Mount the service account's token (automountServiceAccountToken), or ask no API"
        sentence = (
            f"the Kubernetes API at {self._url} does not tell of this node's pods ({_why(err)}): {remedy}"
        )
        if sentence != self._wrong:  # once, and not at every try
            log.warning("%s", sentence)
        self._wrong = sentence
        self._trouble(self.name, sentence, critical=False)


def _why(err: Exception) -> str:
    """What went wrong, without what requests and urllib3 put around it."""
    found = str(err)
    inner: BaseException | None = err if isinstance(err, requests.RequestException) else None
    while inner:
        if isinstance(inner, OSError) and inner.strerror:
            found = inner.strerror
        inner = inner.__cause__ or inner.__context__
    return found


def address(environ: Mapping[str, str]) -> str:
    """Where a pod finds the API; "" outside of a cluster."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://{f'[{host}]' if ':' in host else host}:{port}" if host else ""


def after(cluster: Cluster, event: Mapping[str, Any]) -> Cluster:
    """What is known once this was told."""
    if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
        return cluster
    key, told = pod(event["object"])
    pods = {other: known for other, known in cluster.pods.items() if other != key}
    return replace(cluster, pods=pods if event["type"] == "DELETED" else {**pods, key: told})


def pod(item: Mapping[str, Any]) -> tuple[str, Pod]:
    """The name of its log's folder (the last part), and what we want to know."""
    about, spec = item["metadata"], item.get("spec") or {}
    containers = [
        *(spec.get("initContainers") or ()),
        *(spec.get("containers") or ()),
    ]  # the former may stay as well
    annotations = about.get("annotations") or {}
    labels = {**(about.get("labels") or {}), **annotations}
    ours = {key: value for key, value in labels.items() if not key.startswith(("kubectl.", "kubernetes.io/"))}
    images = {each["name"]: str(each.get("image") or "") for each in containers}
    ports = {
        each["name"]: frozenset(
            int(port["hostPort"]) for port in each.get("ports") or () if port.get("hostPort")
        )
        for each in containers
    }
    return annotations.get(STATIC) or about["uid"], Pod(ours, images, ports)


def nodes_networks(items: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The addresses of nodes and the networks of their pods, canonical, in order."""
    texts: list[str] = []
    for item in items:
        spec = item.get("spec") or {}
        texts += [*(spec.get("podCIDRs") or ()), str(spec.get("podCIDR") or "")]
        addresses = (item.get("status") or {}).get("addresses") or ()
        texts += [each["address"] for each in addresses if each.get("type") in ("InternalIP", "ExternalIP")]
    return tuple(sorted({str(found) for text in texts if (found := parse_network(text))}))
