"""Many bans at once: a storm of attackers, a start, an unban of all, and how soon a changed table is repaired.

No Docker here: the daemon is a process that reads a file, in a network namespace of its own.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

from bench.fail2ban import Fail2ban
from bench.figures import Figure, Series
from bench.heard import Heard
from bench.lines import MAXRETRY, failures
from bench.rig import Rig
from bench.strangers import addresses
from sidecar.control.client import NoDaemon, send
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Turn
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall, NftTable
from sidecar.firewall.elements import key
from sidecar.firewall.kernel import Kernel
from sidecar.firewall.nft import Nft
from sidecar.stores.sqlite import SqliteStore
from tests.bed import Place
from tests.bed.network import HOST
from tests.support.waiting import wait_until

# Addresses at once. fail2ban needs some 10 ms for each.
STORM, PEERS_STORM = 10_000, 1_000
# Bans in place.
MANY = 100_000
SINGLES = 300
STORMS = 5
STARTS = 3
PATIENCE = 120.0
JAIL = "wordpress-access"
# Repairs of each kind.
REPAIRS = 20
# The sets of bans are named in both chains, and the kernel deletes no set that a rule names.
NO_RULES = ["flush chain inet wp_sidecar prerouting", "flush chain inet wp_sidecar answers"]
HARMS = {
    "flush ruleset": ["flush ruleset"],
    "table deleted": ["delete table inet wp_sidecar"],
    "element deleted": ["delete element inet wp_sidecar ban4 { 198.18.0.1 }"],
    # nft cannot rename a set, so another one takes its place.
    "set renamed": [
        *NO_RULES,
        "delete set inet wp_sidecar ban4",
        "add set inet wp_sidecar ban4_renamed { typeof ip saddr; flags timeout; }",
    ],
    "rules deleted": NO_RULES,
    "chain deleted": [*NO_RULES, "delete chain inet wp_sidecar prerouting"],
    "dormant": ["add table inet wp_sidecar { flags dormant; }"],
}


def measure(_: Rig) -> Iterator[Figure]:
    yield _storm()
    yield _one_more()
    yield from _starts()
    yield _unban()
    yield _repairs()


def _storm() -> Figure:
    """From the write of the last failure of each address until the kernel has all of the bans."""
    ours = Series(f"storm, ours, {STORM:,} addresses", "s", tuple(_ours() for _ in range(STORMS)))
    with place() as host, Fail2ban(host) as peer:
        first = next(_addresses(1))
        # fail2ban makes its table with its first ban.
        peer.write(failures(first))
        with Heard(host) as heard:
            heard.wait(first)
        found = _burst(host, peer.write, PEERS_STORM, lambda: _found(peer) >= PEERS_STORM * (MAXRETRY - 1))
    peers = Series(f"storm, fail2ban, {PEERS_STORM:,} addresses (the row has it times 10)", "s", (found,))
    scaled = found * STORM / PEERS_STORM
    return Figure("storm_10000", "s", ours.median, scaled, at_most=0.3, series=(ours, peers))


def _ours() -> float:
    with place() as host, Daemon(host) as ours:
        ours.ready()
        return _burst(host, ours.write, STORM, lambda: ours.heard() >= STORM * (MAXRETRY - 1))


def _burst(host: Place, write: Callable[[bytes], object], count: int, counted: Callable[[], bool]) -> float:
    """All addresses fail up to one failure short of a ban, then all of them once more at once.

    Return how many seconds pass until all are banned.
    """
    addresses = list(itertools.islice(_addresses(1000), count))
    one = b"".join(failures(address, 1) for address in addresses)
    for _ in range(MAXRETRY - 1):
        write(one)
    wait_until(counted, PATIENCE)
    wanted = {key(Address(address)) for address in addresses}
    with Heard(host) as heard:
        began = time.perf_counter()
        write(one)
        return heard.all(wanted) - began


def _found(peer: Fail2ban) -> int:
    return peer.said().count("] Found ")


def _one_more() -> Figure:
    """One ban with 100,000 in place: from the decision until the kernel enforces it."""

    def bans() -> tuple[float, ...]:
        now = time.time()
        with closing(Firewall(NftTable(), [Jail(JAIL)])) as firewall:
            firewall.start(_bans(MANY, now), now)
            return tuple(
                1000 * _took(lambda address=address: firewall.apply(Turn(now, (_ban(address, now),))))
                for address in itertools.islice(_addresses(MANY + 10), SINGLES)
            )

    with place() as host:
        series = Series("one more ban, 100,000 in place", "ms", host.within(bans))
    return Figure("one_more_ban", "ms", series.median, at_most=0.5, series=(series,))


def _starts() -> Iterator[Figure]:
    """From the opening of the store until all of its bans are in the kernel, and from the start of the program."""
    with place() as host, Daemon(host) as ours:
        remember(ours.folder / "state", MANY)
        script = [sys.executable, "-c", START, str(ours.folder / "state" / "state.db"), JAIL]
        fresh = [float(host.run(script).stdout) for _ in range(STARTS)]
        whole = [_whole_start(host, ours) for _ in range(STARTS)]
        again = [_whole_start(host, ours, flush=False) for _ in range(STARTS)]
    first = Series(f"start, {MANY:,} stored bans: store, guard, kernel", "s", tuple(fresh))
    second = Series(f"start, {MANY:,} stored bans: the whole program until ready", "s", tuple(whole))
    third = Series(f"start, {MANY:,} stored bans: the same, their table in place", "s", tuple(again))
    yield Figure("start_100000", "s", first.median, at_most=1, series=(first,))
    yield Figure("start_100000_program", "s", second.median, series=(second, third))


START = """
import gc, sys, time
from pathlib import Path
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.allowlist import Allowlist
from sidecar.firewall import Firewall, NftTable
from sidecar.firewall.nft import Nft
from sidecar.stores.sqlite import SqliteStore
Nft().run(["flush ruleset"])
now, began = time.time(), time.perf_counter()
# As the daemon does.
gc.disable()
bans = SqliteStore(Path(sys.argv[1])).load(now).bans
guard = Guard([Jail(sys.argv[2])], Allowlist(), bans)
Firewall(NftTable(), guard.view.jails).start(guard.view.bans, now)
print(time.perf_counter() - began)
assert len(bans) == 100_000
"""


def _whole_start(host: Place, ours: Daemon, *, flush: bool = True) -> float:
    if flush:
        host.run(["nft", "flush", "ruleset"])
    began = time.perf_counter()
    ours.start()
    ours.ready()
    took = time.perf_counter() - began
    ours.stop()
    return took


def _unban() -> Figure:
    """Unban all: the decision and the kernel, as the loop does it."""

    def unban() -> float:
        now = time.time()
        guard = Guard([Jail(JAIL)], Allowlist(), _bans(MANY, now))
        with closing(Firewall(NftTable(), guard.view.jails)) as firewall:
            firewall.start(guard.view.bans, now)
            return _took(lambda: firewall.apply(Turn(now, tuple(guard.unban(None, now)))))

    with place() as host:
        series = Series(f"unban of all {MANY:,}", "s", tuple(host.within(unban) for _ in range(STARTS)))
    return Figure("unban_100000", "s", series.median, at_most=1, series=(series,))


def _repairs() -> Figure:
    """From just before the table is changed until the daemon has repaired it."""
    with place() as host, Daemon(host) as ours:
        remember(ours.folder / "state", 1_000)
        ours.start()
        ours.ready()
        found = host.within(lambda: {harm: _repaired(lines) for harm, lines in HARMS.items()})
    series = [Series(f"repaired after: {harm}", "ms", tuple(took)) for harm, took in found.items()]
    worst = max(series, key=lambda each: each.median)
    return Figure("repair", "ms", worst.median, at_most=100, series=tuple(series))


def _repaired(harm: Sequence[str]) -> list[float]:
    nft, found = Nft(), []
    with closing(Kernel()) as kernel:
        before = kernel.shape()
        assert before
        sizes = len(before.rules), before.names, len(kernel.elements("ban4"))

        def whole() -> bool:
            shape = kernel.shape()
            return (
                shape is not None
                and shape.is_active
                and (len(shape.rules), shape.names) == sizes[:2]
                and kernel.has("ban4", key(Address("198.18.0.1")))
                and len(kernel.elements("ban4")) == sizes[2]
            )

        for _ in range(REPAIRS):
            began = time.perf_counter()
            nft.run(harm)
            wait_until(whole, PATIENCE, interval=0.001)
            found.append(1000 * (time.perf_counter() - began))
            time.sleep(0.05)
    return found


class Daemon:
    """`wp-sidecar run` in a network namespace, following one file."""

    def __init__(self, host: Place) -> None:
        self._host = host
        self.folder = Path(tempfile.mkdtemp(prefix="wps-storm-"))
        self._path = self.folder / "access.log"
        self._path.touch()
        # Attackers are lines in a file, and send no packets.
        (self.folder / "jails.conf").write_text(
            f"[{JAIL}]\nlogpath = {self._path}\nmaxretry = {MAXRETRY}\nwitness = off\naggregate = off\n"
        )
        self._log = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        os.close(self._log)
        shutil.rmtree(self.folder)

    def start(self) -> None:
        environ = os.environ | {
            "WP_SIDECAR_JAILS": str(self.folder / "jails.conf"),
            "WP_SIDECAR_STATE": str(self.folder / "state"),
            "WP_SIDECAR_SOCKET": str(self.folder / "control.sock"),
        }
        with (self.folder / "said").open("a") as said:
            command = [str(Path(sys.executable).with_name("wp-sidecar")), "run"]
            self._process = self._host.popen(command, stderr=said, env=environ)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def ready(self) -> None:
        """Wait until it is ready. It is started if it does not run."""
        if not self._process:
            self.start()
        wait_until(lambda: self._answers({"do": "health"}, "ready"), PATIENCE)

    @property
    def process(self) -> Path:
        """Its folder in /proc."""
        assert self._process
        return Path(f"/proc/{self._process.pid}")

    def heard(self) -> int:
        """Return how many failures it has counted so far."""
        text = self._host.run(["curl", "--silent", "http://127.0.0.1:9734/metrics"]).stdout
        lines = [line for line in text.splitlines() if line.startswith("wp_sidecar_failures_total")]
        return sum(int(float(line.rpartition(" ")[2])) for line in lines)

    def write(self, data: bytes) -> None:
        os.write(self._log, data)

    def _answers(self, request: dict[str, object], what: str) -> bool:
        try:
            return bool(send(self.folder / "control.sock", request)[what])
        except NoDaemon:
            assert self._process
            assert self._process.poll() is None, (self.folder / "said").read_text()[-2000:]
            return False


@contextmanager
def place() -> Iterator[Place]:
    """A network namespace with nothing in it."""
    host = Place(HOST, f"wpsstorm-{os.getpid()}")
    with ExitStack() as stack:
        subprocess.run(["ip", "netns", "add", host.name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "delete", host.name], check=True)
        stack.callback(host.close)
        subprocess.run(["ip", "-n", host.name, "link", "set", "lo", "up"], check=True)
        yield host


def _addresses(start: int) -> Iterator[str]:
    return itertools.islice(addresses(), start - 1, None)


def _ban(address: str, now: float) -> Ban:
    return Ban(JAIL, Address(address), now, now + 86_400, "failures", MAXRETRY, "blog")


def _bans(count: int, now: float) -> tuple[Ban, ...]:
    return tuple(_ban(address, now) for address in itertools.islice(_addresses(1), count))


def remember(folder: Path, count: int) -> None:
    """A store with this many bans, each with its evidence."""
    now = time.time()
    with closing(SqliteStore(folder / "state.db")) as store:
        store.apply(Turn(now, tuple(
            Ban(JAIL, each.address, now, each.until, "failures", MAXRETRY, "blog",
                tuple(failures(each.address, 1).decode().rstrip() for _ in range(MAXRETRY)))
            for each in _bans(count, now)
        )))  # fmt: skip


def _took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
