"""What `helm test` runs on a node, against the daemon as a process and a kernel's firewall."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sidecar.control.client import NoDaemon, send
from sidecar.control.server import ControlApplication, ControlSocket, control_server
from tests.charts import runtime
from tests.charts.helm import CHART, manifests, render
from tests.charts.podspec import environ, pod
from tests.control.answerers import Answerer

SCRIPT = CHART / "files/prove-ban.py"
COMMAND = Path(__file__).parents[2] / ".venv/bin/wp-sidecar"
POD = "guard/shop-wp-sidecar-test-ban/wordpress"
LINE = "wordpress(helm-test)[1]: Authentication failure for admin from ADDRESS"


class Node:
    """A network namespace with a kernel's firewall of its own, and `wp-sidecar run` in it."""

    def __init__(self, folder):
        self.folder, self.pods, self.socket = folder, folder / "pods", folder / "control.sock"
        self.pods.mkdir()
        self._namespace = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", "ip link set lo up; echo up; exec sleep 3600"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._namespace.stdout.readline() == "up\n"
        self._daemon = None

    def start(self, *jails):
        (self.folder / "jails.conf").write_text("\n".join(jails))
        environ = {
            **os.environ,
            "WP_SIDECAR_SOURCE": "cri",
            "WP_SIDECAR_LOGS": str(self.pods),
            "WP_SIDECAR_JAILS": str(self.folder / "jails.conf"),
            "WP_SIDECAR_STATE": str(self.folder / "state"),
            "WP_SIDECAR_SOCKET": str(self.socket),
        }
        with (self.folder / "said").open("w") as said:
            self._daemon = subprocess.Popen([*self._enter(), COMMAND, "run"], stderr=said, env=environ)
        deadline = time.monotonic() + 15
        while not self._ready():
            assert self._daemon.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def said(self):
        return (self.folder / "said").read_text()

    def prove(self, line=LINE, patience=20):
        """The script as the pod runs it; its standard output is the pod's log. Exit code, standard error."""
        environ = {
            **os.environ,
            "PYTHONPATH": str(CHART.parents[1]),
            "NODE": "node-7",
            "WP_SIDECAR_SOCKET": str(self.socket),
            "LINE": line,
            "PATIENCE": str(patience),
        }
        return runtime.run([*self._enter(), sys.executable, SCRIPT], self.pods, POD, environ)

    def log(self):
        return "".join(path.read_text() for path in self.pods.rglob("*.log"))

    def dropped(self):
        """The kernel's set of banned addresses."""
        asked = [*self._enter(), "nft", "list", "set", "inet", "wp_sidecar", "ban4"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    def bans(self):
        return send(self.socket, {"do": "bans"}, timeout=60)["bans"]

    def close(self):
        if self._daemon:
            self._daemon.terminate()
            self._daemon.wait(60)
        self._namespace.kill()
        self._namespace.wait()
        self._namespace.stdout.close()

    def _enter(self):
        return ["nsenter", f"--target={self._namespace.pid}", "--net", "--"]

    def _ready(self):
        try:
            return send(self.socket, {"do": "health"}, timeout=60)["ready"]
        except NoDaemon:
            return False


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.close()


def test_failed_logins_in_the_pod_s_log_are_a_drop_in_the_kernel_and_it_is_taken_back(node):
    node.start()

    code, said = node.prove()

    assert code == 0, f"{said}\n{node.said()}"
    first, second = said.splitlines()
    assert first.startswith("192.0.2.") and "is in the kernel's set ban" in first
    assert second.endswith("is let in again: wp-sidecar on node-7 bans")
    assert "stdout F wordpress(helm-test)[1]: Authentication failure for admin from 192.0.2." in node.log()
    assert node.bans() == []
    assert "192.0.2." not in node.dropped()


def test_where_no_pod_s_log_is_looked_at_the_ban_is_by_hand(node):
    node.start()

    code, said = node.prove(line="")

    assert code == 0, said
    assert node.log() == ""
    assert node.bans() == []


def test_a_line_that_no_jail_takes_for_a_failure_fails_the_test_and_says_so(node):
    node.start()

    code, said = node.prove(line="all is well, says ADDRESS", patience=1)

    assert code == 1
    assert "was not banned within 1 s. Does a jail take `all is well, says ADDRESS` for a failure" in said
    assert node.bans() == []


def test_a_ban_that_is_only_observed_is_no_proof(node):
    node.start("[wordpress]", "mode = observe")

    code, said = node.prove()

    assert code == 1
    assert "only observed: jail wordpress has mode = observe" in said
    assert node.bans() == []


def test_a_node_without_a_sidecar_fails_the_test_and_says_so(node):
    code, said = node.prove(patience=1)

    assert code == 1
    assert "on node-7: no wp-sidecar is running" in said


ILL = {"live": True, "ready": False, "why": ["no log is read"]}
WELL = {"live": True, "ready": True, "why": []}


@pytest.mark.parametrize(
    ("health", "sentence"),
    [
        ([ILL], "wp-sidecar on node-7 is not well: no log is read"),
        ([WELL], "the kernel of node-7 does not show the table wp_sidecar"),
        # `helm install` ends before its pods have begun: who is not ready is waited for
        ([ILL, ILL, WELL], "the kernel of node-7 does not show the table wp_sidecar"),
    ],
)
def test_a_sidecar_that_says_more_than_there_is_fails_the_test(node, health, sentence):
    banned, health = [], list(health)

    def answer(request):
        if request["do"] == "ban":
            banned.append({"ip": request["who"]})
        elif request["do"] == "unban":
            banned.clear()
        elif request["do"] == "health":
            return health.pop(0) if len(health) > 1 else health[0]
        return {"bans": banned}

    control = control_server(ControlSocket(node.socket), ControlApplication(Answerer(answer)))
    thread = threading.Thread(target=control.run)
    thread.start()
    try:
        code, said = node.prove(line="", patience=2)
    finally:
        control.close()
        thread.join()

    assert code == 1
    assert sentence in said
    assert banned == []


@pytest.mark.parametrize(("source", "line"), [("cri", LINE), ("docker", ""), ("docker-files", "")])
def test_the_pod_gets_what_the_script_asks_for(source, line):
    documents = manifests(render(None, f"--set=source={source}"))
    (container,) = pod(documents, "Pod")["containers"]
    (daemon,) = pod(documents, "DaemonSet")["containers"]
    fields = {"spec.nodeName": "node-7", "status.hostIP": "192.0.2.1"}

    given = environ(container, fields)
    assert given == {
        "NODE": "node-7",
        "WP_SIDECAR_SOCKET": environ(daemon, fields)["WP_SIDECAR_SOCKET"],
        "LINE": line,
        "PATIENCE": "60",
    }
    (script,) = (
        each["data"]
        for each in documents
        if each["metadata"]["name"] == "shop-wp-sidecar-test-ban" and "data" in each
    )
    assert script["prove-ban.py"].strip() == SCRIPT.read_text().strip()
