"""Logs of pods and Docker containers in files: which are read and when, and that each line counts exactly once.

LINES=500000 for as many lines under load, SEED=... for the same again.
"""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager

import pytest

from sidecar.core.containers import Container, LabelTrust
from sidecar.core.events import Framing, Topology
from sidecar.core.jail import Jail
from sidecar.sources.files import container_logs, log_watcher
from sidecar.sources.files.cluster import Cluster, ClusterView, Pod
from sidecar.sources.files.container_logs import ContainerLogs
from sidecar.sources.files.layouts import DockerLayout, KubeletLayout
from tests.sources.files.kubelet import Kubelet
from tests.sources.recorder import Recorder
from tests.support.paths import ROOT
from tests.support.seed import SEED
from tests.support.waiting import wait_until

LINES, RATE, SIZE = int(os.environ.get("LINES", "20000")), 2_000, 250_000
EVERY = (
    4 if LINES <= 100_000 else 10
)  # seconds between rotations; kubelet looks every 10  # lines, lines/s, bytes of a file
NAME = "blog/web-0/wordpress"
JAILS = (Jail("wordpress"),)
UID = "6a1f0e52-9c0d-4b8e-8f43-0d7c1f6b2a11"


class Reading(Recorder):
    """The lines of all logs, as (name, stream, text)."""

    def emit(self, batch, cursor):
        assert batch.framing is Framing.CRI
        super().emit(batch, cursor)
        with self._changed:
            self.lines[-batch.data.count(b"\n") :] = [
                (batch.origin.name, batch.origin.stream, line.split(b" ", 3)[3].decode())
                for line in batch.data.splitlines()
            ]
            self._changed.notify_all()

    def wait_texts(self, *texts):
        self.wait(lambda: sorted(text for _, _, text in self.lines) == sorted(texts))


@pytest.fixture
def read():
    return Reading()


def seen(pods, *networks):
    """The view of a cluster with these pods and networks."""
    view = ClusterView()
    view.update(Cluster(pods, networks))
    return view


@contextmanager
def running(read, layout, jails=JAILS, **options):
    source = ContainerLogs(layout, jails, read.outputs, read, cursors=read.cursors, since=0.0, **options)
    thread = threading.Thread(target=source.run)
    thread.start()
    try:
        yield source
    finally:
        source.close()
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize("inotify", [True, False])
def test_a_pods_log_is_followed_from_its_first_line_to_its_removal(read, tmp_path, inotify):
    with running(read, KubeletLayout(tmp_path, ["blog/*/*"]), inotify=inotify):
        kubelet = Kubelet(tmp_path)
        kubelet.write("one")
        read.wait_texts("one")
        kubelet.write("two", stream="stderr")
        read.wait_texts("one", "two")
        kubelet.rotate()
        kubelet.write("three")
        read.wait_texts("one", "two", "three")
        kubelet.restart()
        kubelet.write("four")
        read.wait_texts("one", "two", "three", "four")
        kubelet.remove()
        read.wait(lambda: ("removed", NAME) in read.events)

    assert [each for each in read.events if each[0] != "read"] == [
        ("opened", NAME),
        ("reopened", NAME, "rotated"),
        ("reopened", NAME, "rotated"),
        ("closed", NAME),
        ("removed", NAME),
    ]
    assert list(read.cursors) == [f"cri:{UID}/wordpress"]


def test_a_bad_disk_under_one_log_does_not_delay_others(read, tmp_path):
    shop = tmp_path / f"shop_web-0_{UID[::-1]}" / "wordpress"
    shop.mkdir(parents=True)
    (shop / "0.log").symlink_to("/proc/self/mem")
    kubelet = Kubelet(tmp_path)
    with running(read, KubeletLayout(tmp_path, ["*/*/*"])):
        for number in range(10):
            kubelet.write(f"{number}")
            read.wait_texts(*map(str, range(number + 1)))
        read.wait(lambda: ("unreadable", "shop/web-0/wordpress") in read.events)

    sentence = (
        f"the log of shop/web-0/wordpress cannot be read ({shop}/0.log: Input/output error): "
        "its lines are not checked until it can"
    )
    assert [each for each in read.problems if each[1]] == [("log shop/web-0/wordpress", sentence)]


def test_a_line_is_read_when_it_is_written_and_not_at_the_next_sweep(read, tmp_path, monkeypatch):
    # Later than the test ends.
    monkeypatch.setattr(log_watcher, "SWEEP_INTERVAL_S", 10_000.0)
    monkeypatch.setattr(container_logs, "SCAN_INTERVAL_S", 10_000.0)
    kubelet = Kubelet(tmp_path)
    with running(read, KubeletLayout(tmp_path, ["blog/*/*"])):
        kubelet.write("0")
        read.wait_texts("0")
        for number in range(1, 30):
            kubelet.write(str(number))
            read.wait_texts(*map(str, range(number + 1)))


def test_wordpress_pods_are_watched_and_our_own_is_not(read, tmp_path):
    for pod, container in (
        ("blog_wordpress-0_1", "web"), ("blog_web-0_2", "wordpress"), ("blog_db-0_3", "mysql"), ("wordpress_db-0_4", "mysql"),
        ("blog_wordpress-9_aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "ourselves"), ("no-pod", "wordpress"),
    ):  # fmt: skip
        Kubelet(tmp_path, pod, container).write(f"{pod}/{container}")
    (tmp_path / "a-file").touch()
    mounts = "1 2 0:3 /var/lib/kubelet/pods/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa/etc-hosts /etc/hosts rw"
    with running(read, KubeletLayout(tmp_path, mountinfo=mounts)):
        read.wait_texts("blog_wordpress-0_1/web", "blog_web-0_2/wordpress")


def test_labels_images_and_names_of_the_api_choose_containers(read, tmp_path):
    for number, name in enumerate(("shop", "wordpress", "other", "image")):
        Kubelet(tmp_path, f"blog_{name}-0_{number}", "web").write(name)
    pods = {
        "0": Pod({"wp-sidecar/enable": "true", "wp-sidecar/jails": "two"}, {}, {"web": frozenset({8080})}),
        "1": Pod({"wp-sidecar/enable": "false"}),
        "3": Pod({}, {"web": "wordpress:6"}),
    }
    layout = KubeletLayout(tmp_path, cluster=seen(pods, "192.0.2.1"))
    with running(read, layout, [Jail("one"), Jail("two"), Jail("three", containers=("blog/other-*/*",))]):
        read.wait_texts("shop", "image", "other")

    assert {batch.origin.name: batch.origin.jails for batch in read.batches} == {
        "blog/shop-0/web": ("two",),
        "blog/image-0/web": ("one", "two"),
        "blog/other-0/web": ("three",),
    }
    labels = {"wp-sidecar.enable": "true", "wp-sidecar.jails": "two"}
    assert read.topologies == [
        Topology(
            ("192.0.2.1",),
            (
                Container("3/web", "blog/image-0/web", "wordpress:6"),
                Container("2/web", "blog/other-0/web", ""),
                Container("0/web", "blog/shop-0/web", "", labels, frozenset({8080})),
            ),
            excluded=("blog/wordpress-0/web",),
        )
    ]


def test_with_globs_other_pods_cannot_choose_themselves(read, tmp_path):
    """Otherwise anyone who may create pods could forge log lines."""
    for number, name in enumerate(("a", "wordpress")):
        Kubelet(tmp_path, f"evil_{name}-0_{number}", "web").write("evil")
    Kubelet(tmp_path, "blog_c-0_2", "web").write("good")
    Kubelet(tmp_path, "blog_c-0_2", "db").write("db")
    pods = {
        str(number): Pod({"wp-sidecar/enable": "true", "wp-sidecar/jails": "wordpress"})
        for number in range(2)
    }
    with running(read, KubeletLayout(tmp_path, ["blog/*/*", "!*/*/db"], seen(pods))):
        read.wait_texts("good")


def test_where_no_label_counts_pods_are_chosen_by_their_names(read, tmp_path):
    Kubelet(tmp_path, "blog_wordpress-0_0", "web").write("named")
    Kubelet(tmp_path, "blog_asking-0_1", "web").write("asking")
    pods = {"0": Pod({"wp-sidecar/enable": "false"}), "1": Pod({"wp-sidecar/enable": "true"})}
    with running(read, KubeletLayout(tmp_path, cluster=seen(pods))) as source:
        read.wait_texts("asking")
        source.reconfigure([Jail("one")], 0.0, LabelTrust.NONE)
        read.wait_texts("asking", "named")

    assert [topology.excluded for topology in read.topologies] == [("blog/wordpress-0/web",), ()]


def test_a_reload_changes_the_jails_and_no_line_counts_twice(read, tmp_path):
    kubelet = Kubelet(tmp_path)
    with running(read, KubeletLayout(tmp_path, ["blog/*/*"])) as source:
        kubelet.write("one")
        read.wait_texts("one")
        source.reconfigure([Jail("elsewhere", containers=("nowhere",))], 0.0)
        read.wait(lambda: ("removed", NAME) in read.events)
        kubelet.write("two")
        source.reconfigure([Jail("again")], 0.0)
        read.wait_texts("one", "two")

    assert [batch.origin.jails for batch in read.batches] == [("wordpress",), ("again",)]


def test_the_next_pod_of_a_statefulset_keeps_the_name(read, tmp_path):
    first = Kubelet(tmp_path)
    first.write("one")
    with running(read, KubeletLayout(tmp_path, ["blog/*/*"])):
        read.wait_texts("one")
        second = Kubelet(tmp_path, "blog_web-0_7")
        second.write("two")
        read.wait_texts("one", "two")
        first.remove()
        read.wait(lambda: ("closed", NAME) in read.events)

    assert ("removed", NAME) not in read.events


def test_the_last_lines_of_a_removed_pod_are_read(read, tmp_path):
    kubelet = Kubelet(tmp_path)
    with running(read, KubeletLayout(tmp_path, ["blog/*/*"]), inotify=False):
        kubelet.write("one")
        read.wait_texts("one")
        kubelet.write("two")
        kubelet.remove()
        read.wait_texts("one", "two")


def test_a_folder_that_is_not_mounted_is_a_problem_until_it_is(read, tmp_path):
    root = tmp_path / "pods"
    with running(read, KubeletLayout(root, ["blog/*/*"])) as source:
        read.wait(lambda: read.problems)
        assert read.critical
        Kubelet(root).write("one")
        source.cluster_changed()
        read.wait_texts("one")

    sentence = f"{root} cannot be listed (No such file or directory): no log is read. Mount the node's /var/log/pods there, read-only"
    assert [each for each in read.problems if each[1]] == [("cri", sentence)]
    assert read.problems[-1] == ("cri", None)


def test_without_inotify_watches_logs_are_polled(read, tmp_path, monkeypatch, caplog):
    """For root, fs.inotify.max_user_watches is a limit of the whole machine."""
    kubelet = Kubelet(tmp_path)
    monkeypatch.setattr("sidecar.sources.files.inotify.Inotify.watch", lambda *_: os.close(-1))
    with running(read, KubeletLayout(tmp_path, ["blog/*/*"])):
        kubelet.write("one")
        read.wait_texts("one")
        kubelet.write("two")
        read.wait_texts("one", "two")

    assert [message for message in caplog.messages if "not watched" in message] == [
        f"{tmp_path} is not watched ([Errno 9] Bad file descriptor); logs are polled every 0.2 s"
    ]


def test_without_an_inotify_instance_logs_are_polled(read, tmp_path, monkeypatch, caplog):
    def refuse(_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("sidecar.sources.files.inotify.Inotify.__init__", refuse)
    kubelet = Kubelet(tmp_path)
    with running(read, KubeletLayout(tmp_path, ["blog/*/*"])):
        kubelet.write("one")
        read.wait_texts("one")

    assert [message for message in caplog.messages if "inotify" in message] == [
        "inotify cannot be used ([Errno 24] Too many open files); logs are polled every 0.2 s"
    ]


def docker(root, key, name, *texts, labels=None, image="wordpress:6", driver="json-file"):
    """Make the folder of a container as Docker does."""
    folder = root / (key * 64)
    folder.mkdir(parents=True)
    pool = {
        "Gateway": "172.18.0.1",
        "IPAddress": "172.18.0.2",
        "IPPrefixLen": 16,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
    }
    config = {
        "Name": f"/{name}",
        "Config": {"Image": image, "Labels": labels or {}},
        "NetworkSettings": {
            "Networks": {"blog": pool, "gone": None},
            "Ports": {"80/tcp": [{"HostPort": "8080"}], "9/tcp": None},
        },
    }
    (folder / "config.v2.json").write_text(json.dumps(config))
    (folder / "hostconfig.json").write_text(json.dumps({"LogConfig": {"Type": driver}}))
    with (folder / f"{folder.name}-json.log").open("w") as log:
        for text in texts:
            log.write(
                json.dumps(
                    {"log": text, "stream": "stderr", "time": "2026-11-22T08:40:04.5Z"}, separators=(",", ":")
                )
                + "\n"
            )
    return folder


def test_dockers_files_give_the_same_containers_as_its_socket(read, tmp_path):
    docker(tmp_path, "a", "blog", "one\n", "t", "wo\n")
    docker(tmp_path, "b", "cache", "none\n", image="redis")
    docker(tmp_path, "c", "ourselves", "none\n")
    docker(tmp_path, "d", "journal", driver="journald")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / ("e" * 64)).mkdir()
    with running(read, DockerLayout(tmp_path, "c" * 64)):
        read.wait_texts("one", "two")
        read.wait(lambda: read.problems)

    assert {(batch.origin.source, batch.origin.name, batch.origin.stream) for batch in read.batches} == {
        ("docker", "blog", "stderr")
    }
    sentence = (
        "container journal is not watched: its log driver journald writes no files that can be read here. "
        "Use json-file, or WP_SIDECAR_SOURCE=docker"
    )
    assert ("log journal", sentence) in read.problems and not read.critical
    (around,) = read.topologies
    assert (around.networks, around.published) == (("172.18.0.0/16", "172.18.0.1/32"), frozenset({8080}))


def test_a_renamed_container_is_reported_under_its_new_name(read, tmp_path):
    folder = docker(tmp_path, "a", "blog", "one\n")
    with running(read, DockerLayout(tmp_path)):
        read.wait_texts("one")
        config = json.loads((folder / "config.v2.json").read_text())
        (folder / ".tmp").write_text(json.dumps({**config, "Name": "/shop"}))
        (folder / ".tmp").rename(folder / "config.v2.json")
        read.wait(lambda: ("removed", "blog") in read.events)
        with (folder / f"{folder.name}-json.log").open("a") as log:
            log.write('{"log":"two\\n","stream":"stdout","time":"2026-11-22T08:40:04.5Z"}\n')
        read.wait_texts("one", "two")

    assert [batch.origin.name for batch in read.batches] == ["blog", "shop"]


def test_the_problem_of_a_folder_without_permission_says_what_to_change(tmp_path):
    sentence = DockerLayout(tmp_path).explain(PermissionError(13, "Permission denied"))

    assert (
        sentence
        == f"{tmp_path} cannot be listed (Permission denied): no log is read. Run as uid 0: only root may list it"
    )


class Process:
    """A reader that is killed and started again."""

    def __init__(self, root, state):
        self._argv = [sys.executable, "-m", "tests.sources.files.cri_process", str(root), str(state)]
        self._said = state / "said"
        self.kills = -1
        self._process = None

    def again(self):
        self.kill()
        with self._said.open("a") as said:
            self._process = subprocess.Popen(self._argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=said)
        with self._process.stdout as out:
            assert out.readline() == b"reading\n", self.spoken()

    def kill(self):
        if self._process:
            assert self._process.poll() is None, self.spoken()
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self.kills += 1

    def spoken(self):
        return self._said.read_text()


def counted(path):
    """Return how often each numbered line is in the store."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as db:
        return Counter(
            {line.split()[1]: times for line, times in db.execute("SELECT line, times FROM ledger")}
        )


@pytest.mark.timeout(LINES / RATE * 3 + 120)
def test_every_line_counts_once_while_logs_rotate_and_the_reader_is_killed(tmp_path, capsys):
    """Writer and reader are processes. The reader is killed again and again while files are rotated and compressed."""
    rnd, root, state = random.Random(SEED), tmp_path / "pods", tmp_path / "state"
    state.mkdir()
    argv = [
        sys.executable,
        "-m",
        "tests.sources.files.kubelet",
        str(root),
        *map(str, (LINES, SEED, RATE, SIZE, EVERY)),
    ]
    root.mkdir()
    reader = Process(root, state)
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        while writer.poll() is None:
            reader.again()
            time.sleep(rnd.uniform(0.0, 5.0))
        written = json.loads(writer.stdout.read())
    reader.again()
    truth = Counter(f"{name}-{number}" for name, count in written.items() for number in range(count))
    # What is missing after that is reported below.
    with contextlib.suppress(AssertionError):
        wait_until(lambda: len(counted(state / "state.db")) >= len(truth), 60 + LINES / RATE, interval=0.5)
    found = counted(state / "state.db")
    reader.kill()
    with capsys.disabled():
        sys.stdout.write(f"\nSEED={SEED}: {len(truth):,} lines, {reader.kills} kills\n")
    lost, doubled = truth - found, found - truth
    assert (sorted(lost)[:9], sorted(doubled)[:9], reader.spoken()) == ([], [], "")


def test_front_ends_are_read_from_dockers_files_too(read, tmp_path):
    for key, name, image in (
        ("a", "blog", "wordpress:fpm"),
        ("b", "nginx", "nginx"),
        ("c", "other", "wordpress"),
    ):
        folder = docker(tmp_path, key, name, f"{name}\n", image=image)
        config = json.loads((folder / "config.v2.json").read_text())
        config["NetworkSettings"]["Networks"] = {"blog": {"NetworkID": "f1"}}
        config["State"] = {"Running": name != "other"}
        config["Config"]["Labels"] = {"wp-sidecar.enable": "false"} if name == "other" else {}
        (folder / "config.v2.json").write_text(json.dumps(config))
    jails = (Jail("plugin"), Jail("access", reads_requests=True))
    with running(read, DockerLayout(tmp_path, trusted_images=["*"]), jails=jails):
        read.wait_texts("blog", "nginx")

    assert {batch.origin.name: batch.origin.jails for batch in read.batches} == {
        "blog": ("plugin", "access"),
        "nginx": ("access",),
    }
    # The other one does not run.
    assert (read.topologies[0].unwatched, read.topologies[0].excluded) == ((), ())
