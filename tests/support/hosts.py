"""Hosts with a daemon and a firewall each, and one Redis: network namespaces on cables that can be cut."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sidecar.control.client import NoDaemon, send
from tests.support.cable import inside, ip
from tests.support.paths import COMMAND
from tests.support.redis_server import Server, serving
from tests.support.waiting import wait_until

JAILS = "[wordpress]\nlogpath = {log}\nbantime = 1h\nmaxretry = 3\nwitness = {witness}\n"


@contextmanager
def fleet(
    folder: Path, size: int = 3, *, witness: str = "off", key: str = ""
) -> Iterator[tuple[list[Host], Server]]:
    """Yield this many hosts, whose daemons have joined the fleet, and their Redis.

    `witness` is on where clients send packets, and off where they are only lines in a log.
    """
    assert os.geteuid() == 0, "the fleet's tests make network namespaces: run them as root"
    hub = f"wpsi-{os.getpid()}-hub"
    with ExitStack() as stack:
        ip(f"netns add {hub}")
        stack.callback(ip, f"netns delete {hub}")
        ip(f"-n {hub} link set lo up")
        hosts = []
        for number in range(size):
            hosts.append(Host(folder, number, hub, witness, key))
            stack.callback(hosts[-1].close)
        with inside(hub):
            redis = stack.enter_context(
                serving(folder / "redis", 6379, "--bind", "0.0.0.0", "--requirepass", "a-secret")
            )
        for host in hosts:
            host.start(redis.port)
        wait_until(lambda: all(host.ready() for host in hosts), timeout=60)
        yield hosts, redis


class Host:
    """A network namespace, a cable to the namespace of Redis, a log and a daemon."""

    def __init__(self, folder, number, hub, witness, key):
        self.name, self.namespace = f"host-{number}", f"wpsi-{os.getpid()}-{number}"
        self.folder, self._hub, self._wire = folder / self.name, hub, f"wire{number}"
        self.folder.mkdir()
        self._log = self.folder / "error.log"
        self._log.touch()
        (self.folder / "jails.conf").write_text(JAILS.format(log=self._log, witness=witness))
        self._key = self.folder / "key"
        self._key.write_text(key)
        self.redis, own = f"192.0.2.{4 * number + 1}", f"192.0.2.{4 * number + 2}"
        self.address = own
        ip(f"netns add {self.namespace}")
        ip(f"link add {self._wire} netns {hub} type veth peer name wire netns {self.namespace}")
        for where, wire, address in ((hub, self._wire, self.redis), (self.namespace, "wire", own)):
            ip(f"-n {where} address add {address}/30 dev {wire}")
            ip(f"-n {where} link set {wire} up")
        ip(f"-n {self.namespace} link set lo up")
        self._process = None

    def start(self, port):
        self._said = len(self.said) if (self.folder / "said").exists() else 0
        (self.folder / "redis.url").write_text(f"redis://:a-secret@{self.redis}:{port}\n")
        environ = {
            **os.environ,
            "WP_SIDECAR_JAILS": str(self.folder / "jails.conf"),
            "WP_SIDECAR_STATE": str(self.folder / "state"),
            "WP_SIDECAR_SOCKET": str(self.folder / "control.sock"),
            "WP_SIDECAR_REDIS_URL_FILE": str(self.folder / "redis.url"),
            "WP_SIDECAR_NODE": self.name,
            "WP_SIDECAR_SYSLOG": str(self.folder / "log.sock"),
        }
        if self._key.read_text():
            environ["WP_SIDECAR_FLEET_KEY_FILE"] = str(self._key)
        with (self.folder / "said").open("a") as said:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, COMMAND, "run"], stderr=said, env=environ
            )

    def ready(self):
        try:
            return self.ask("health")["ready"] and "joined" in self.said[self._said :]
        except NoDaemon:
            assert self._process.poll() is None, self.said
            return False

    @property
    def said(self):
        return (self.folder / "said").read_text()

    def ask(self, what, **request):
        return send(self.folder / "control.sock", {"do": what, **request}, timeout=60)

    def cli(self, *words):
        environ = {**os.environ, "WP_SIDECAR_SOCKET": str(self.folder / "control.sock")}
        done = subprocess.run([COMMAND, *words], env=environ, capture_output=True, text=True, check=True)
        return done.stdout

    def fail(self, address, times):
        stamp = datetime.now(UTC).strftime("%d-%b-%Y %H:%M:%S UTC")
        with self._log.open("a") as log:
            log.write(
                f"[{stamp}] wordpress(blog)[7]: Authentication failure for admin from {address}\n" * times
            )

    def fail_at_once(self, address):
        """Log one failed login by syslog, which arrives at once; a file is looked at now and then."""
        line = f"<13>{datetime.now(UTC):%b %e %H:%M:%S} web wordpress(blog)[7]: Authentication failure for admin from {address}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(line.encode(), str(self.folder / "log.sock"))

    @property
    def ruleset(self):
        return self.within(
            lambda: subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True)
        ).stdout

    def within(self, do):
        with inside(self.namespace):
            return do()

    def send_packet(self, source):
        """Send a packet of this client to a web port of the host; it need not be answered."""
        ip(f"-n {self._hub} address replace {source}/32 dev {self._wire}")
        with inside(self._hub), socket.socket() as client:
            client.settimeout(0)
            client.bind((source, 0))
            client.connect_ex((self.address, 80))

    def cut(self):
        ip(f"-n {self._hub} link set {self._wire} down")

    def mend(self):
        ip(f"-n {self._hub} link set {self._wire} up")

    def metric(self, name):
        """Return the sum of its series, as Prometheus would scrape them."""
        found = self.within(
            lambda: subprocess.run(
                ["curl", "-s", "http://127.0.0.1:9734/metrics"], capture_output=True, text=True, check=True
            )
        ).stdout
        return sum(float(line.rpartition(" ")[2]) for line in found.splitlines() if line.startswith(name))

    @property
    def pid(self):
        # `ip netns exec` becomes the program.
        return self._process.pid

    def end(self):
        if self._process:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def close(self):
        self.end()
        ip(f"netns delete {self.namespace}")
