"""The password of our Valkey: made at random, and kept where the release is there already."""

import base64
import json
import re
import shutil
import socket
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from threading import Thread

import pytest

from tests.charts.helm import PACKAGES, manifests, render
from tests.charts.podspec import secret

MAJORS = sorted(PACKAGES)
OURS = ["--set=redis.enabled=true"]


@pytest.fixture
def cluster():
    """As much of a cluster's API as helm asks before it renders: a dictionary from path to answer, and the address."""
    answers = {"/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"}}

    class Request(BaseHTTPRequestHandler):
        def do_GET(self):
            found = answers.get(self.path.partition("?")[0])
            missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Request) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield answers, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def kinds(documents):
    """What the API server says of itself, so that it knows all that the chart renders."""
    found = sorted({(each["apiVersion"], each["kind"]) for each in documents})
    groups = [version.rpartition("/")[0] for version, _ in found if "/" in version]
    yield "/api", {"kind": "APIVersions", "versions": ["v1"]}
    yield (
        "/apis",
        {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {"name": group, "versions": [version], "preferredVersion": version}
                for group in dict.fromkeys(groups)
                for version in [{"groupVersion": f"{group}/v1", "version": "v1"}]
            ],
        },
    )
    for version, every in groupby(found, key=lambda each: each[0]):
        resources = [
            {
                "name": f"{kind.lower()}s",
                "singularName": kind.lower(),
                "namespaced": True,
                "kind": kind,
                "verbs": ["get"],
            }
            for _, kind in every
        ]
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        yield path, {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def password(documents):
    (found,) = (each for each in documents if each["kind"] == "Secret")
    return secret(found)["password"]


@pytest.mark.parametrize("major", MAJORS)
def test_it_is_at_random_at_first(major):
    first, second = (password(manifests(render(None, *OURS, major=major))) for _ in range(2))

    assert re.fullmatch(r"[A-Za-z0-9]{32}", first)
    assert first != second


@pytest.mark.parametrize("major", MAJORS)
def test_the_nodes_of_our_own_valkey_have_a_key_by_default(major):
    first, second = (manifests(render(None, *OURS, major=major)) for _ in range(2))
    keys = [
        secret(each)["fleet-key"] for every in (first, second) for each in every if each["kind"] == "Secret"
    ]

    assert all(re.fullmatch(r"[A-Za-z0-9]{64}", key) for key in keys)
    assert keys[0] != keys[1]
    (node,) = (each for each in first if each["kind"] == "DaemonSet")
    (container,) = node["spec"]["template"]["spec"]["containers"]
    (variable,) = (each for each in container["env"] if each["name"] == "WP_SIDECAR_FLEET_KEY_FILE")
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    (volume,) = (
        each
        for each in node["spec"]["template"]["spec"]["volumes"]
        if each["name"] == mounts[variable["value"].rpartition("/")[0]]
    )
    assert volume["secret"]["secretName"] == "shop-wp-sidecar-redis"
    assert [item["key"] for item in volume["secret"]["items"]] == ["fleet-key"]


def test_a_fleet_without_a_key_has_to_be_asked_for():
    rendered = render(None, *OURS, "--set=redis.fleetKey.create=false")

    assert "fleet-key" not in rendered and "FLEET_KEY" not in rendered
    assert "FLEET_KEY" not in render(None, "--set=redis.url=redis://other.example")


@pytest.mark.parametrize("major", MAJORS)
def test_an_upgrade_keeps_it(major, cluster):
    answers, url = cluster
    documents = manifests(render(None, *OURS))
    answers |= dict(kinds(documents))
    answers["/api/v1/namespaces/guard/secrets/shop-wp-sidecar-redis"] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "shop-wp-sidecar-redis",
            "namespace": "guard",
            "labels": {"app.kubernetes.io/managed-by": "Helm"},  # helm 4 looks whose it is
            "annotations": {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "guard"},
        },
        "data": {
            "password": base64.b64encode(b"made-when-it-was-installed").decode(),
            "fleet-key": base64.b64encode(b"and-so-was-this-one").decode(),
        },
    }
    online = ["--dry-run=server", "--disable-openapi-validation", f"--kube-apiserver={url}"]
    upgraded = manifests(render(None, *OURS, *online, major=major))

    (found,) = (each for each in upgraded if each["kind"] == "Secret")
    assert secret(found) == {
        "password": "made-when-it-was-installed",
        "fleet-key": "and-so-was-this-one",
        "url": "redis://:made-when-it-was-installed@shop-wp-sidecar-redis.guard.svc:6379/0",
        "redis.conf": secret(found)["redis.conf"],
    }
    assert "requirepass made-when-it-was-installed\n" in secret(found)["redis.conf"]


@pytest.mark.parametrize("major", MAJORS)
def test_one_that_is_given_goes_before_one_that_was_made(major):
    given = manifests(render(None, *OURS, "--set=redis.password=given-by-a-person", major=major))

    assert password(given) == "given-by-a-person"


def test_redis_itself_takes_the_configuration(tmp_path):
    """A real one, with the pod's own file; only where it listens and writes is ours."""
    assert shutil.which("redis-server"), "this test needs redis-server: install it (make setup does)"
    (found,) = (
        e
        for e in manifests(render(None, *OURS, "--set=redis.password=word-of-the-test"))
        if e["kind"] == "Secret"
    )
    (tmp_path / "redis.conf").write_text(secret(found)["redis.conf"])
    here = ["--port", "0", "--unixsocket", "redis.sock"]
    with subprocess.Popen(
        ["redis-server", "redis.conf", *here], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as redis:
        try:
            assert any("Ready to accept connections" in line or "now ready" in line for line in redis.stdout)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / "redis.sock"))
                client.sendall(b"PING\r\nAUTH word-of-the-test\r\nCONFIG GET maxmemory*\r\n")
                said = b""
                while b"noeviction" not in said:
                    more = client.recv(4096)
                    assert more, said
                    said += more
        finally:
            redis.terminate()

    assert said.startswith(b"-NOAUTH Authentication required.\r\n+OK\r\n")
    assert str(128 << 20).encode() in said
