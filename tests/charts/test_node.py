"""The image as the rendered pod says, on a node's disk and a node's kernel; and `helm test` beside it.

LINES=500000 for as many lines of a log that is rotated under load, SEED=… for the same again.
"""

import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import pytest
import yaml

from tests.bed import Bed
from tests.bed.daemon import program
from tests.bed.images import SIDECAR
from tests.bed.network import CLIENTS
from tests.charts import runtime
from tests.charts.__main__ import HOUSE
from tests.charts.guard import STATE, disk, guarding
from tests.charts.helm import manifests, render
from tests.charts.podspec import docker_run
from tests.support.seed import SEED
from tests.support.waiting import wait_until

ATTACKER = CLIENTS[0].v4[0]
LINE = f"wordpress(blog.example)[7]: Authentication failure for admin from {ATTACKER}"
TABLE = ["nft", "list", "table", "inet", "wp_sidecar"]

LINES, RATE = int(os.environ.get("LINES", "40000")), 5_000  # lines, lines/s
SIZE = max(1_000_000, min(10_000_000, LINES * 20))  # bytes of a file; kubelet rotates at 10 MB
NUMBERED = {
    "jails": "[numbered]\nmaxretry = 10000\nfindtime = 30d\n",
    "filters": {"numbered.conf": "[Definition]\nfailregex = ^line \\S+ from <HOST> \ndatepattern = {NONE}\n"},
    "pods": ["blog/*/*"],
}


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True) as bed:
        yield bed


class Ledger:
    """How often each numbered line came to the store, which keeps the last 100,000 only: look often."""

    def __init__(self, path):
        self.path, self.found, self._last = path, Counter(), 0

    def look(self):
        asked = "SELECT rowid, line FROM hits WHERE rowid > ? ORDER BY rowid"
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=60)) as db:
            for row, line in db.execute(asked, (self._last,)):
                self._last = row
                self.found[re.match(r"line (\S+)", line)[1]] += 1
        return self.found


# First, as there is one sidecar a node, and the one of the tests below stays until their end.
@pytest.mark.timeout(LINES / 500 + 900)
def test_a_log_that_is_rotated_under_load_is_read_once_whenever_the_pod_is_killed(bed, tmp_path, capsys):
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(NUMBERED))
    rnd, node = random.Random(SEED), disk(tmp_path)
    ledger, kills = Ledger(node.root / STATE / "state.db"), 0
    pods = node.root / "var/log/pods"
    writer = [sys.executable, "-m", "tests.sources.files.kubelet", pods, *map(str, (LINES, SEED, RATE, SIZE))]
    with guarding(bed, node, values) as command:
        with subprocess.Popen(writer, cwd=HOUSE, stdout=subprocess.PIPE, text=True) as kubelet:
            due = time.monotonic() + rnd.uniform(2, 6)
            while kubelet.poll() is None:
                ledger.look()
                time.sleep(0.3)
                if time.monotonic() > due and command("healthcheck", check=False) == "ok\n":
                    bed.engine.cli("kill", "--signal=KILL", "guard")
                    bed.engine.cli("start", "guard")
                    kills += 1
                    due = time.monotonic() + rnd.uniform(5, 20)
            written = json.loads(kubelet.stdout.read())
        truth = Counter(f"{name}-{number}" for name, count in written.items() for number in range(count))
        deadline = time.monotonic() + 240
        while ledger.look() != truth and time.monotonic() < deadline:
            time.sleep(0.3)
        said = bed.engine.cli("logs", "guard").stderr
    lost, doubled = truth - ledger.found, ledger.found - truth
    turned = said.count("wordpress: rotated")
    with capsys.disabled():
        sys.stdout.write(
            f"\nSEED={SEED}: {len(truth):,} lines, {kills} kills, {turned} rotations seen, "
            f"lost {len(lost)}, doubled {len(doubled)}\n"
        )
    assert (sorted(lost)[:9], sorted(doubled)[:9]) == ([], []), said[-3000:]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    return disk(tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def guard(bed, node):
    with guarding(bed, node) as command:
        yield command


def test_a_pod_s_log_is_a_drop_in_the_node_s_kernel_and_helm_test_proves_it(bed, node, guard):
    pods = node.root / "var/log/pods"
    # A ban needs a witness: the kernel has to see a packet of the attacker.
    bed.attacker.run(["curl", "--silent", "--max-time", "2", f"http://{bed.host.v4[0]}/"], check=False)
    runtime.run(["printf", f"{LINE}\n{LINE}\n{LINE}\n"], pods, "blog/wordpress-0/wordpress")
    wait_until(lambda: [ban["ip"] for ban in json.loads(guard("bans", "--json"))["bans"]] == [ATTACKER])
    assert ATTACKER in bed.host.run(TABLE).stdout

    arguments = docker_run(manifests(render()), node, kind="Pod", image=SIDECAR)
    test = [program("docker"), "run", "--rm", *arguments]
    code, said = runtime.run(test, pods, "guard/shop-wp-sidecar-test-ban/wordpress", bed.engine.env)

    assert code == 0, said
    assert "is let in again: wp-sidecar on node-1 bans" in said
    # It may still be noted as an address that has failed, which is no ban.
    banned = bed.host.run(["nft", "list", "set", "inet", "wp_sidecar", "ban4"]).stdout
    assert ATTACKER in banned and "192.0.2." not in banned
    assert [ban["ip"] for ban in json.loads(guard("bans", "--json"))["bans"]] == [ATTACKER]


def test_what_the_pod_may_do_is_what_the_manifest_says(bed, guard):
    (config,) = json.loads(bed.engine.cli("inspect", "guard").stdout)
    host = config["HostConfig"]

    added = [name.removeprefix("CAP_") for name in host["CapAdd"]]  # Docker 28 spells it out
    assert (host["CapDrop"], added) == (["ALL"], ["NET_ADMIN"])
    assert (host["ReadonlyRootfs"], host["Privileged"], host["NetworkMode"]) == (True, False, "host")
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert {mount["Destination"] for mount in config["Mounts"] if mount["RW"]} == {"/var/lib/wp-sidecar"}


def test_the_state_and_the_control_socket_are_in_the_release_s_folder_on_the_node(node, guard):
    folder = node.root / STATE

    assert {"control.sock", "state.db"} <= {path.name for path in folder.iterdir()}
    assert (folder / "control.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("jails", "code", "sentence"),
    [
        ("[wordpress]\nmaxretry = 4\n", 0, "jail wordpress: filter wordpress"),
        ("[wordpress]\nbantme = 1d\n", 78, "bantme: unknown. Did you mean bantime?"),
    ],
)
def test_the_hook_before_an_upgrade_tells_good_jails_from_bad(bed, tmp_path, jails, code, sentence):
    """As nobody, without a capability, and with nothing of the node."""
    arguments = docker_run(
        manifests(render(None, f"--set=jails={jails}")), disk(tmp_path), kind="Job", image=SIDECAR
    )
    done = bed.engine.cli("run", "--rm", *arguments, check=False)

    assert done.returncode == code
    assert sentence in done.stdout + done.stderr
    assert "--user=65534:65534" in arguments
    assert "--cap-add=NET_ADMIN" not in arguments
