"""Pods are listed and watched, through a stand-in for the API with TLS and with watches that end and fail."""

import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from sidecar.runtime.problems import Problems
from sidecar.sources.files import kubernetes
from sidecar.sources.files.cluster import Cluster, ClusterView, Pod
from sidecar.sources.files.kubernetes import (
    Api,
    KubernetesPods,
    api_url,
    apply_event,
    nodes_networks,
    parse_pod,
)
from tests.support.waiting import wait_until

UID = "6a1f0e52-9c0d-4b8e-8f43-0d7c1f6b2a11"
NODES = [
    {"spec": {"podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24", "2001:db8:42::/64"]},
     "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "a"}]}},
    {"status": {"addresses": [{"type": "ExternalIP", "address": "2001:db8::1"}]}},
]  # fmt: skip
NETWORKS = ("10.42.0.0/24", "192.0.2.1/32", "2001:db8:42::/64", "2001:db8::1/128")


def item(uid=UID, labels=None, annotations=None, **container):
    return {
        "metadata": {"uid": uid, "labels": labels, "annotations": annotations},
        "spec": {"containers": [{"name": "web", **container}]},
    }


def test_a_pod_is_parsed_with_the_uid_of_its_log_folder():
    ports = [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]
    told = item(
        labels={"app": "blog"},
        annotations={"wp-sidecar/jails": "one", "kubectl.kubernetes.io/last": "long"},
        image="wordpress:6",
        ports=ports,
    )

    assert parse_pod(told) == (
        UID,
        Pod({"app": "blog", "wp-sidecar/jails": "one"}, {"web": "wordpress:6"}, {"web": frozenset({8080})}),
    )


def test_init_containers_are_parsed_as_well():
    told = item(image="php:8")
    told["spec"]["initContainers"] = [
        {"name": "front", "image": "nginx:1", "restartPolicy": "Always", "ports": [{"hostPort": 80}]}
    ]

    assert parse_pod(told)[1] == Pod(
        {}, {"front": "nginx:1", "web": "php:8"}, {"front": frozenset({80}), "web": frozenset()}
    )


def test_the_log_folder_of_a_static_pod_has_its_hash():
    assert parse_pod(item(annotations={"kubernetes.io/config.hash": "abc"}))[0] == "abc"


def test_events_add_change_and_remove_pods():
    one, two = Pod({}, {"web": ""}, {"web": frozenset()}), Pod({"a": "b"}, {"web": ""}, {"web": frozenset()})
    cluster = apply_event(Cluster({}, NETWORKS), {"type": "ADDED", "object": item()})
    changed = apply_event(cluster, {"type": "MODIFIED", "object": item(labels={"a": "b"})})
    gone = apply_event(changed, {"type": "DELETED", "object": item()})

    assert [cluster, changed, gone] == [
        Cluster({UID: one}, NETWORKS),
        Cluster({UID: two}, NETWORKS),
        Cluster({}, NETWORKS),
    ]
    assert apply_event(changed, {"type": "BOOKMARK", "object": {"metadata": {}}}) is changed


def test_networks_are_those_of_the_nodes_and_of_their_pods():
    assert nodes_networks(NODES) == NETWORKS


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, ""),
        ({"KUBERNETES_SERVICE_HOST": "10.43.0.1"}, "https://10.43.0.1:443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://[fd00::1]:6443"),
    ],
)
def test_the_environment_has_the_address_of_the_api(environ, url):
    assert api_url(environ) == url


def certify(folder):
    """Make a certificate of 127.0.0.1 and its authority, which has no key usage, like those of EKS and MicroK8s."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["req", "-x509", *key, "-subj", "/CN=cluster", "-keyout", "ca.key", "-out", "ca.crt"]
    asked = ["req", *key, "-subj", "/CN=api", "-keyout", "api.key", "-out", "api.csr"]
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signed = ["x509", "-req", "-in", "api.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    for argv in (authority, asked, [*signed, "-extfile", "names", "-out", "api.crt"]):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)


class StandIn:
    """The API with TLS."""

    def __init__(self, folder):
        self.folder, self.pods, self.status, self.keep_alive = folder, {}, 200, True
        self.asked = []
        self.changed = threading.Condition()
        self._events = []
        self._watching, self._open = True, 0
        certify(folder)
        (folder / "token").write_text("secret\n")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.api = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "api.crt", folder / "api.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def tell(self, kind, told):
        self.tell_raw(json.dumps({"type": kind, "object": told}).encode() + b"\n")

    def tell_raw(self, line):
        with self.changed:
            self._events.append(line)
            self.changed.notify_all()

    def watched(self):
        """Wait until there is a watch."""
        with self.changed:
            assert self.changed.wait_for(lambda: self._open, 60)

    def cut(self):
        """End every watch."""
        with self.changed:
            self._watching = False
            self.changed.notify_all()

    def close(self):
        self.cut()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Do not log requests."""

    def do_GET(self):
        api, url = self.server.api, urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        api.asked.append((url.path, query, self.headers["Authorization"]))
        if api.status != 200:
            self._answer({"kind": "Status"}, api.status)
        elif url.path == "/api/v1/nodes":
            self._answer({"items": NODES})
        elif "watch" in query:
            self._watch(api)
        else:
            self._answer({"items": list(api.pods.values()), "metadata": {"resourceVersion": "7"}})

    def _answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if not self.server.api.keep_alive:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, api):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with api.changed:
            api._watching, api._open = True, api._open + 1
            api.changed.notify_all()
        while True:
            with api.changed:
                api.changed.wait_for(lambda: api._events or not api._watching, 60)
                events, api._events, over = api._events, [], not api._watching
            for line in events:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if over:
                with api.changed:
                    api._open -= 1
                self.wfile.write(b"0\r\n\r\n")
                return


@pytest.fixture
def api(tmp_path):
    made = StandIn(tmp_path)
    yield made
    made.close()


class Observed:
    """A ClusterListener and ProblemListener that keeps all clusters and problems."""

    def __init__(self):
        self.view = ClusterView()
        self.clusters, self.problems = [], []
        self.registry = Problems(self)
        self.happened = threading.Condition()

    def cluster_changed(self):
        with self.happened:
            self.clusters.append(self.view.latest)
            self.happened.notify_all()

    def problem_changed(self, name, sentence):
        assert (name, self.registry.critical) == ("kubernetes", False)
        with self.happened:
            self.problems.append(sentence)
            self.happened.notify_all()

    def wait(self, ready):
        with self.happened:
            assert self.happened.wait_for(ready, 60), (self.clusters, self.problems)


class CountingApi(Api):
    connections = 0

    def connect(self):
        self.connections += 1
        return super().connect()


@contextmanager
def watching(api, monkeypatch):
    """Run the service with this stand-in, or with another API."""
    monkeypatch.setattr(kubernetes, "FIRST_RETRY_DELAY_S", 0.05)
    observed = Observed()
    asked = api if isinstance(api, Api) else Api(api.url, api.folder)
    service = KubernetesPods(asked, "node-1", observed.view, observed, observed.registry)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield observed
    finally:
        service.close()
        # It waits in a socket, for more than a minute.
        thread.join(60)
        assert not thread.is_alive()


def names(observed):
    return [sorted(cluster.pods) for cluster in observed.clusters]


def test_pods_are_listed_and_watched_and_listed_again_when_the_watch_ends(api, monkeypatch):
    api.pods = {"1": item("1")}
    with watching(api, monkeypatch) as observed:
        observed.wait(lambda: names(observed) == [["1"]])
        api.tell("ADDED", item("2"))
        api.tell("MODIFIED", item("2"))
        api.tell("DELETED", item("1"))
        observed.wait(lambda: names(observed) == [["1"], ["1", "2"], ["2"]])
        api.pods = {"3": item("3")}
        api.cut()
        observed.wait(lambda: names(observed)[-1] == ["3"])
        assert observed.view.latest.networks == NETWORKS

    mine = {"fieldSelector": "spec.nodeName=node-1"}
    watch = {
        **mine, "watch": "1", "resourceVersion": "7", "timeoutSeconds": "300", "allowWatchBookmarks": "true",
    }  # fmt: skip
    assert api.asked[:4] == [
        ("/api/v1/pods", {**mine, "resourceVersion": "0"}, "Bearer secret"),
        ("/api/v1/nodes", {"resourceVersion": "0"}, "Bearer secret"),
        ("/api/v1/pods", watch, "Bearer secret"),
        ("/api/v1/pods", {**mine, "resourceVersion": "0"}, "Bearer secret"),
    ]
    assert observed.problems == []


def test_a_watch_from_a_version_that_is_too_old_is_followed_by_a_list(api, monkeypatch):
    with watching(api, monkeypatch) as observed:
        observed.wait(lambda: observed.clusters)
        api.pods = {"1": item("1")}
        api.tell("ERROR", {"kind": "Status", "code": 410})
        observed.wait(lambda: names(observed) == [[], ["1"]])


def test_a_silent_watch_is_no_problem(api, monkeypatch):
    """Neither is one that breaks: the next list shows whether the API is available."""
    monkeypatch.setattr(kubernetes, "READ_TIMEOUT_S", 0.2)
    with watching(api, monkeypatch) as observed:
        wait_until(lambda: sum("watch" in query for _, query, _ in api.asked) >= 3)

    assert observed.problems == []


def test_an_answer_that_is_no_json_is_a_problem_until_the_next(api, monkeypatch):
    """It may come from a proxy, or be a login page."""
    api.pods = {"1": item("1")}
    with watching(api, monkeypatch) as observed:
        observed.wait(lambda: observed.clusters)
        api.tell_raw(b"<html>\n")
        observed.wait(lambda: len(observed.problems) == 2)
        assert [sentence is None for sentence in observed.problems] == [False, True]
        assert sorted(observed.view.latest.pods) == ["1"]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (403, "Give the service account get, list and watch on pods and nodes"),
        (500, "pods are chosen by what is known"),
    ],
)
def test_a_refusal_is_a_problem_and_what_is_known_stays(api, monkeypatch, status, remedy):
    api.pods = {"1": item("1")}
    with watching(api, monkeypatch) as observed:
        api.watched()
        api.status = status
        api.cut()
        observed.wait(lambda: observed.problems)
        assert remedy in observed.problems[0]
        assert sorted(observed.view.latest.pods) == ["1"]
        api.status = 200
        observed.wait(lambda: observed.problems[-1] is None)


def test_an_api_that_is_down_is_reported_once_and_asked_again(monkeypatch, tmp_path, caplog):
    (tmp_path / "token").write_text("secret")
    certify(tmp_path)
    api = CountingApi("https://127.0.0.1:1", tmp_path)
    with watching(api, monkeypatch) as observed:
        wait_until(lambda: api.connections >= 3)

    sentence = (
        "the Kubernetes API at https://127.0.0.1:1 does not list this node's pods (Connection refused): pods are "
        "chosen by what is known about them, or by their names"
    )
    assert observed.problems == [sentence]
    assert caplog.messages == [sentence]


def test_without_a_token_the_problem_says_what_to_mount(api, monkeypatch):
    (api.folder / "token").unlink()
    with watching(api, monkeypatch) as observed:
        observed.wait(lambda: observed.problems)

    assert "automountServiceAccountToken" in observed.problems[0]


def test_a_certificate_of_another_authority_is_refused(api, monkeypatch, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    stranger = StandIn(other)
    stranger.close()
    (api.folder / "ca.crt").write_text((other / "ca.crt").read_text())
    with watching(api, monkeypatch) as observed:
        observed.wait(lambda: observed.problems)

    assert "certificate verify failed" in observed.problems[0]
    assert api.asked == []


def test_an_authority_without_extensions_is_accepted_by_every_python(api, monkeypatch):
    """EKS' and MicroK8s' have no key usage. Python requires it by default since 3.13."""

    def strict(**options):
        context = create_default_context(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    create_default_context = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", strict)
    api.pods = {"1": item("1")}
    with watching(api, monkeypatch) as observed:
        observed.wait(lambda: observed.clusters)

    assert (observed.problems, names(observed)) == ([], [["1"]])


def test_an_answer_that_ends_its_connection_is_no_problem(api, monkeypatch):
    api.pods = {"1": item("1")}
    api.keep_alive = False
    with watching(api, monkeypatch) as observed:
        api.watched()

    assert (observed.problems, names(observed)) == ([], [["1"]])
    assert observed.view.latest.networks == NETWORKS
