"""A fleet: three real hosts and one Redis; then a thousand simulated nodes and a million attackers.

docs/scale.md says what is simulated and what is real.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import re
import select
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

from bench.figures import Figure, Series
from bench.heard import Heard
from bench.rig import Rig
from bench.strangers import addresses
from sidecar.config.redis_url import parse_redis_url
from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.fleet import FleetStore, RedisConnection
from sidecar.fleet.limits import PeerBudget
from sidecar.fleet.protocol import MAX_ENTRY_LINES, ClockOffset, Codec, end_ms, key_of
from sidecar.fleet.redis import BanChange, Publication, WindowFailures
from sidecar.fleet.session import SLICE_SIZE, Node, Session, slices
from sidecar.fleet.subscriber import read_pause_s
from tests.support import hosts
from tests.support.peers import PREFIX, FleetCounts, Peer, joined
from tests.support.redis_server import Server, free_port, serving
from tests.support.waiting import wait_until

# Bans that are measured one after another, and those before them that are not.
ROUNDS, WARM_UP = 300, 5
PARTITION_S = 60.0
# Bans that a node finds when it joins, and how often it joins.
JOINED, JOINS = 100_000, 3
# Bans of ten nodes, published as fast as possible.
THROUGH = 100_000
ATTACKERS = 1_000_000
HOSTILE = 1_000_000
NODES = (10, 100, 1_000)
SIMULATION_S = 10.0
# Bans a second in the whole fleet, each of another node.
RATES = (10, 100)
# A network for benchmarks (RFC 2544). A million addresses go beyond it, but touch no firewall.
FIRST = int(IPv4Address("198.18.0.0"))
EVENTS = f"{{{PREFIX}}}:events"
UNLIMITED = 10**9, 10**9


def measure(_: Rig | None = None) -> Iterator[Figure]:
    # The disk is not what is measured.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield from _three_hosts(Path(folder))
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), free_port()) as redis:
        yield from _through(redis)
        redis.client().flushall()
        yield from _hostile(redis)
        redis.client().flushall()
        yield _join_with_key(redis)
        redis.client().flushall()
        yield from _attackers(redis)
    for nodes in NODES:
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(Path(folder), 0, "--maxclients", "5000") as redis,
        ):
            yield from _crowd(redis, nodes)


# Three hosts: daemons, kernels, cables


def _three_hosts(folder: Path) -> Iterator[Figure]:
    with hosts.fleet(folder) as (three, redis):
        with contextlib.ExitStack() as stack:
            kernels = [stack.enter_context(Heard(host)) for host in three]
            strangers = addresses()
            for way, begin in (("told", _banned_by_hand), ("tried", _failed)):
                seconds = [
                    _everywhere(three, kernels, begin, number, next(strangers))
                    for number in range(ROUNDS + WARM_UP)
                ]
                series = Series(
                    f"{way} to one, in three kernels", "ms", tuple(1000 * s for s in seconds[WARM_UP:])
                )
                yield Figure(f"fleet_{way}_everywhere_median", "ms", series.median, series=(series,))
                yield Figure(f"fleet_{way}_everywhere_p99", "ms", series.p99, at_most=50, series=(series,))
        yield _partitioned(three)
        yield from _join(three, redis)


def _everywhere(
    three: list[Any], kernels: list[Heard], begin: Callable[..., None], number: int, address: str
) -> float:
    """Return the seconds until the last kernel has one more ban."""
    began = time.perf_counter()
    begin(three, address, number)
    took = max(kernel.wait(address) for kernel in kernels) - began
    time.sleep(0.02)
    return took


def _banned_by_hand(three: list[Any], address: str, number: int) -> None:
    """Ban on one host, by hand."""
    three[number % 3].ask("ban", who=address, jail="wordpress")


def _failed(three: list[Any], address: str, number: int) -> None:
    """Fail to log in once on each host; together these are too many failures."""
    for at in range(3):
        three[(number + at) % 3].fail_at_once(address)


def _partitioned(three: list[Any]) -> Figure:
    """Cut one host off for a minute, while it and the others ban: how long do they take to agree again?"""
    alone, other, _ = three
    alone.cut()
    end, slowest = time.monotonic() + PARTITION_S, 0.0
    for number in range(60):
        for host, at in ((alone, 0), (other, 1)):
            began = time.perf_counter()
            host.ask("ban", who=str(IPv4Address(FIRST + 200_000 + 2 * number + at)), jail="wordpress")
            slowest = max(slowest, time.perf_counter() - began)
        time.sleep(max(0.0, end - time.monotonic()) / (60 - number))
    before = [len(_banned(host)) for host in three]
    alone.mend()
    seconds = wait_until(lambda: len({frozenset(_banned(host)) for host in three}) == 1, timeout=30)
    # No ban was lifted.
    assert len(_banned(alone)) == before[0] + 60
    series = Series("a ban by hand while the host is cut off", "ms", (1000 * slowest,))
    return Figure("fleet_agrees_after_a_minute_apart", "s", seconds, at_most=5, series=(series,))


def _banned(host: Any) -> set[str]:
    return {ban["ip"] for ban in host.ask("bans")["bans"]}


def _join(three: list[Any], redis: Server) -> Iterator[Figure]:
    """A host joins a fleet with many bans: from the connection until they are in force and stored, by its own log."""
    one, client = three[2], redis.client(password="a-secret")  # noqa: S106
    client.flushall()
    for host in three:
        host.end()
    alone = statistics.median(_come(one, redis)[1] for _ in range(JOINS))
    until_ms = (time.time() + 86_400) * 1000
    for at in range(0, JOINED, 10_000):
        each = range(FIRST + at, FIRST + at + 10_000)
        client.zadd(f"{{{PREFIX}}}:bans", {f"{IPv4Address(n)} wordpress": until_ms for n in each})
    seconds, cpu = zip(*(_come(one, redis) for _ in range(JOINS)), strict=True)
    assert sum(not ban["observed"] for ban in one.ask("bans")["bans"]) == JOINED
    series = Series("a host joins 100,000 bans", "s", seconds)
    yield Figure("fleet_join_100000", "s", series.median, at_most=3, series=(series,))
    yield Figure("fleet_join_100000_cpu", "s", statistics.median(cpu) - alone)


def _come(one: Any, redis: Server) -> tuple[float, float]:
    """Start a host without state. Return the seconds, and the seconds of processor time, until it has joined."""
    one.end()
    shutil.rmtree(one.folder / "state", ignore_errors=True)
    one.within(lambda: subprocess.run(["nft", "flush", "ruleset"], check=True))
    one.start(redis.port)
    wait_until(one.ready, timeout=120)
    stat = Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split()
    return float(re.findall(r"joined in (\d+\.\d+) s", one.said)[-1]), (int(stat[11]) + int(stat[12])) / 100


# One Redis: what goes through it


def _through(redis: Server) -> Iterator[Figure]:
    """Ten nodes publish as fast as they can, and another applies their bans: bans a second, end to end."""
    peer = Peer("reads", redis.url, budget=PeerBudget(UNLIMITED, UNLIMITED))
    joined(peer)
    before, began = _used(redis), time.perf_counter()
    writers = [
        multiprocessing.Process(target=_publish_bans, args=(redis.url, number, THROUGH // 10))
        for number in range(10)
    ]
    for writer in writers:
        writer.start()
    wait_until(lambda: peer.heard.counts["received", "ok"] >= THROUGH, timeout=120)
    seconds = time.perf_counter() - began
    for writer in writers:
        writer.join()
    after = _used(redis)
    peer.stop()
    yield Figure("fleet_bans_per_second", "bans/s", THROUGH / seconds, at_least=5_000)
    yield Figure("fleet_redis_cpu_per_ban", "us", 1e6 * (after["cpu"] - before["cpu"]) / THROUGH)
    yield Figure("fleet_bytes_in_per_ban", "bytes", (after["in"] - before["in"]) / THROUGH)


def _store(url: str) -> FleetStore:
    return FleetStore(RedisConnection(parse_redis_url(url)), PREFIX)


def _publish_bans(url: str, node: int, count: int) -> None:
    """Publish as a Publisher does: as many lines to an entry as there are."""
    store, now = _store(url), time.time()
    for at in range(0, count, MAX_ENTRY_LINES):
        each = range(FIRST + node * count + at, FIRST + node * count + min(at + MAX_ENTRY_LINES, count))
        bans = [
            Ban("login", Address(str(IPv4Address(n))), now, now + 3600, "failures", failures=3) for n in each
        ]
        _publish(store, f"node-{node}/{node}", bans)


def _publish(store: FleetStore, node: str, bans: list[Ban]) -> None:
    codec, offset = Codec(), ClockOffset()
    changes = [BanChange(end_ms(ban, offset), codec.ban_member(key_of(ban))) for ban in bans]
    store.publish(node, [codec.line(ban, node, offset) for ban in bans], Publication(changes))


def _hostile(redis: Server) -> Iterator[Figure]:
    """Publish a million bans of a node that was taken over: how many does another believe, and do its own bans wait?"""
    peer = Peer("reads", redis.url)
    joined(peer)
    alone = [_own_ban(peer, number) for number in range(200)]
    writer = multiprocessing.Process(target=_publish_bans, args=(redis.url, 0, HOSTILE))
    cpu, began = time.process_time(), time.perf_counter()
    writer.start()
    flooded = []
    while writer.is_alive():
        flooded.append(_own_ban(peer, 1_000 + len(flooded)))
        time.sleep(0.02)
    writer.join()
    # One that this host had banned itself is believed and redundant.
    heard = peer.heard
    wait_until(
        lambda: (
            sum(heard.counts["received", result] for result in ("ok", "redundant")) + heard.rejections.total()
            >= HOSTILE
        ),
        timeout=120,
    )
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    believed = sum(ban.cause == "fleet" for ban in peer.bans)
    peer.stop()
    series = tuple(
        Series(f"an own ban, {when}", "ms", tuple(1000 * s for s in each))
        for when, each in (("alone", alone), ("while a million are published", flooded))
    )
    yield Figure(
        "fleet_hostile_million_believed", "bans", believed, at_most=20_000 + 100 * seconds, series=series
    )
    yield Figure("fleet_hostile_million_cpu", "s", cpu)


def _join_with_key(redis: Server) -> Figure:
    """Join a fleet with a key, of whose bans each has a seal: seconds of the node's processor time."""
    key, now = b"k" * 32, time.time()
    writer = Session(_store(redis.url), Node("writes", (key,), "1"), time.time, FleetCounts())
    bans = (
        Ban("login", Address(str(IPv4Address(FIRST + number))), now, now + 86_400, "failures", failures=3)
        for number in range(JOINED)
    )
    for part in slices([*bans], SLICE_SIZE):
        writer.change_sets(part, ClockOffset())
    cpu = time.process_time()
    peer = Peer("reads", redis.url, keys=(key,))
    joined(peer)
    cpu = time.process_time() - cpu
    assert len(peer.bans) == JOINED
    peer.stop()
    return Figure("fleet_join_100000_with_key_cpu", "s", cpu)


def _own_ban(peer: Peer, number: int) -> float:
    began = time.perf_counter()
    peer.ban(str(IPv4Address(FIRST + (1 << 16) + number)))
    return time.perf_counter() - began


def _attackers(redis: Server) -> Iterator[Figure]:
    """Each attacker fails twice on one node and once on another, and is banned for it. All of it is real."""
    store, jail = _store(redis.url), "login"
    start, empty = _used(redis), _used(redis)["memory"]
    _fail(store, jail, "a", (2, 1))
    windows = _used(redis)
    yield Figure("fleet_window_bytes", "bytes", (windows["memory"] - empty) / ATTACKERS)
    yield Figure("fleet_redis_cpu_per_failure", "us", 1e6 * (windows["cpu"] - start["cpu"]) / (2 * ATTACKERS))
    full = _fail(store, jail, "b", (0,))
    assert full == ATTACKERS, full
    cleared = _used(redis)["memory"]
    _publish_bans(redis.url, 0, ATTACKERS)
    published = _used(redis)
    yield Figure("fleet_ban_bytes", "bytes", (published["memory"] - cleared) / ATTACKERS)
    assert sum(map(len, store.bans())) >= ATTACKERS
    joined = _used(redis)
    yield Figure("fleet_redis_cpu_per_join_of_100000", "ms", 1e3 * (joined["cpu"] - published["cpu"]) / 10)
    yield Figure("fleet_bytes_out_per_join_of_100000", "bytes", (joined["out"] - published["out"]) / 10)


def _fail(store: FleetStore, jail: str, node: str, ages: tuple[int, ...]) -> int:
    """Count failures of every attacker, this many milliseconds ago each. Return how many windows are full."""
    full = 0
    for at in range(0, ATTACKERS, 500):
        each = range(FIRST + at, FIRST + at + 500)
        full += len(
            store.count(
                [
                    WindowFailures(
                        f"{jail}|{IPv4Address(n)}",
                        3,
                        3_600_000,
                        tuple((f"{node}{n + age}", age) for age in ages),
                    )
                    for n in each
                ]
            )
        )
    return full


# A thousand nodes


def _crowd(redis: Server, nodes: int) -> Iterator[Figure]:
    """Connections that read and say hello as nodes do, first without bans, then with bans at growing rates."""
    crowd = Crowd(redis, nodes)
    with crowd:
        idle = _over(redis, SIMULATION_S, lambda: None)
        yield Figure(f"fleet_{nodes}_nodes_idle_redis_cpu", "%", 100 * idle["cpu"] / SIMULATION_S)
        for rate in RATES:
            crowd.began, crowd.lags = time.time(), []
            used = _over(redis, SIMULATION_S, BanWriter(redis.url, rate, SIMULATION_S).run)
            bans = rate * SIMULATION_S
            lags = Series(
                f"{nodes} nodes, {rate} bans/s: published to read",
                "ms",
                tuple(1000 * s for s in crowd.lags) or (math.nan,),
            )
            name = f"fleet_{nodes}_nodes_{rate}_bans"
            cpu = 1e6 * (used["cpu"] - idle["cpu"]) / bans
            yield Figure(f"{name}_redis_cpu_per_ban", "us", cpu, series=(lags,))
            yield Figure(f"{name}_bytes_out_per_ban", "bytes", (used["out"] - idle["out"]) / bans)
            yield Figure(f"{name}_reads_per_ban", "", (used["commands"] - idle["commands"]) / bans)


def _over(redis: Server, seconds: float, do: Callable[[], None]) -> dict[str, float]:
    """Return what Redis used while this ran."""
    before, worker = _used(redis), threading.Thread(target=do)
    worker.start()
    time.sleep(seconds)
    worker.join()
    after = _used(redis)
    return {name: after[name] - before[name] for name in before}


def _used(redis: Server) -> dict[str, float]:
    found = redis.client().info("everything")
    return {
        "cpu": found["used_cpu_user"] + found["used_cpu_sys"],
        "in": found["total_net_input_bytes"],
        "out": found["total_net_output_bytes"],
        "commands": found["total_commands_processed"],
        "memory": found["used_memory"],
    }


class BanWriter:
    """Bans of the whole fleet, one in each entry, at a steady rate."""

    def __init__(self, url: str, rate: float, seconds: float) -> None:
        self._store, self._rate, self._seconds = _store(url), rate, seconds

    def run(self) -> None:
        began = time.monotonic()
        for number in range(round(self._rate * self._seconds)):
            time.sleep(max(0.0, began + number / self._rate - time.monotonic()))
            now = time.time()
            ban = Ban(
                "login", Address(str(IPv4Address(FIRST + number))), now, now + 3600, "failures", failures=3
            )
            _publish(self._store, f"node-{number % 1000}/{number % 1000}", [ban])


class Crowd:
    """Many nodes in one process of their own, so that its processor time is not mixed with ours.

    Each sends and waits for what a node does, byte for byte; of what it reads, only the positions are looked at.
    """

    def __init__(self, redis: Server, nodes: int) -> None:
        self._redis, self._nodes = redis, nodes
        self.began, self.lags = 0.0, []  # type: float, list[float]
        self._theirs, self._ours = multiprocessing.Pipe()
        self._process = multiprocessing.Process(
            target=_listen, args=(str(redis.socket), nodes, self._theirs), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        wait_until(
            lambda: self._redis.client().info("clients")["blocked_clients"] >= 0.9 * self._nodes, timeout=60
        )
        self._stop = threading.Event()
        self._collector = threading.Thread(target=self._collect)
        self._collector.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._collector.join()
        self._process.terminate()
        self._process.join()

    def _collect(self) -> None:
        while not self._stop.is_set():
            if self._ours.poll(0.1):
                self.lags.append(self._ours.recv())


def _listen(path: str, nodes: int, report: Any) -> None:
    """Read as nodes do: XREAD BLOCK, and again after a Subscriber's pause. One in 100 reports how late a ban was."""
    poll, members, pause = select.epoll(), {}, read_pause_s(nodes)
    for number in range(nodes):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        members[sock.fileno()] = Member(sock, number)
        poll.register(sock.fileno(), select.EPOLLIN)
    store = _store(f"unix://{path}")
    due: list[tuple[float, Member]] = []
    beats, began = 0, time.monotonic()
    for one in members.values():
        one.ask()
    while True:
        for fd, _ in poll.poll(0.002):
            one = members[fd]
            if (entries := one.receive()) is not None:
                if entries and one.number % 100 == 0:
                    report.send(time.time() - int(one.position.partition(b"-")[0]) / 1000)
                due.append((time.monotonic() + pause * bool(entries), one))
        now = time.monotonic()
        waiting = []
        for at, one in due:
            if at <= now:
                one.ask()
            else:
                waiting.append((at, one))
        due = waiting
        # Each node says hello once a second.
        while beats < (now - began) * nodes:
            store.hello(f"node-{beats % nodes}/x", "epoch")
            beats += 1


class Member:
    """One node's connection to the stream."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock, self.number, self._data, self.position = sock, number, b"", b"0-0"

    def ask(self) -> None:
        words = [b"XREAD", b"COUNT", b"64", b"BLOCK", b"1000", b"STREAMS", EVENTS.encode(), self.position]
        self._sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    def receive(self) -> list[bytes] | None:
        """Return the positions of an answer's entries; None while it is incomplete."""
        self._data += self._sock.recv(1 << 20)
        if self._data == b"*-1\r\n":
            self._data = b""
            return []
        positions = re.findall(rb"\r\n(\d{13}-\d+)\r\n", self._data)
        wanted = re.match(rb"\*1\r\n\*2\r\n\$\d+\r\n[^\r]+\r\n\*(\d+)\r\n", self._data)
        if not wanted or len(positions) < int(wanted[1]) or not re.search(rb" -\r\n$", self._data):
            return None
        self._data, self.position = b"", positions[-1]
        return positions


if __name__ == "__main__":
    from bench.figures import report, save

    found = [*measure()]
    save(found)
    print(report(found))
