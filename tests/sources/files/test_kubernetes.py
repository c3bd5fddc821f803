"""Pods are listed and watched, through a stand-in for the API with TLS and with watches that end and fail."""

import ssl
import threading
from contextlib import contextmanager

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
from tests.support.kubernetes_api import NETWORKS, NODES, UID, StandIn, certify, item
from tests.support.waiting import wait_until


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
