"""What the rules cost other clients: the rate of a web server with 100,000 bans in place, beside that without a table.

On a machine that does other work, too, the rates of two runs differ by a tenth, and the rules by less than a
hundredth. So what they cost is measured where nothing else happens: one thread sends a byte to and fro between two
network namespaces, once with the table and once without, and the kernel does all of its work in that thread's time. A
request to a real web server takes so much processor time, of server and client together. Both give the share of the
rate that is left. The rates as they were are printed beside it.
"""

from __future__ import annotations

import json
import re
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.figures import Figure, Series
from bench.restored import hosts, restore, store
from bench.rig import Rig
from bench.storm import place
from tests.bed import Place
from tests.bed.clients import STATIC
from tests.bed.network import HostAddress

BANS = 100_000
PORT = 80
# Each is a run with the table, and one without. They alternate, so that what else the machine does meets both.
PAIRS = 7
# To and fro with one byte, or with a new connection for each.
EXCHANGES = {"open_connections": 10_000, "new_connections": 1_000}


class Way(NamedTuple):
    """A way to ask: the exchange that it is like, a header, a path, how many at a time and for how long.

    `at_least` is the share of the rate that is to be left.
    """

    exchange: str
    header: str
    path: str
    connections: int
    seconds: int
    at_least: float | None


# Of the smallest file with a connection for each request nothing is demanded: ten packets are a large part of that.
WAYS = {
    "files_open_connections": Way("open_connections", "Connection: keep-alive", STATIC, 8, 2, 99),
    "files_new_connections": Way("new_connections", "Connection: close", STATIC, 8, 2, None),
    "pages_new_connections": Way("new_connections", "Connection: close", "/?p=1", 2, 8, 99),
}
SERVER, CLIENT = "198.51.100.10", "198.51.100.20"
# Docker's hosts track connections anyway, so that is no cost of ours.
TRACKING = """
table inet tracking {
  chain in { type filter hook prerouting priority 0; ct state invalid counter; }
  chain out { type filter hook output priority 0; ct state invalid counter; }
}
"""


class Rate(NamedTuple):
    """Requests in a second of processor time, and in a second."""

    processor: float
    clock: float


def measure(rig: Rig) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder), hosts(BANS))
        costs = _costs(Path(folder))
        for name, (with_table, without) in costs.items():
            yield Figure(
                f"rules_{name}", "us", with_table.median - without.median, series=(with_table, without)
            )
        for name, way in WAYS.items():
            # Apache starts the processes that it needs.
            _rate(rig, way)
            banned, alone = zip(*(_pair(rig, Path(folder), way) for _ in range(PAIRS)), strict=True)
            with_table, without = costs[way.exchange]
            cost_us = with_table.median - without.median
            request_us = median(1e6 / rate.processor for rate in alone)
            share = 100 * request_us / (request_us + cost_us)
            series = tuple(
                Series(f"{name.replace('_', ' ')}, {which}", unit, tuple(rate[at] for rate in rates))
                for at, unit in enumerate(("requests/s of a processor", "requests/s"))
                for which, rates in ((f"{BANS:,} bans", banned), ("no table", alone))
            )
            yield Figure(f"visitors_{name}", "% of no table", share, at_least=way.at_least, series=series)


def _costs(folder: Path) -> dict[str, tuple[Series, Series]]:
    """Return, for each way, microseconds for a request and its answer with the table, and without."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in EXCHANGES}
    with (
        _cable() as (host, client),
        closing(host.within(lambda: socket.create_server((SERVER, PORT)))) as server,
    ):
        exchanges: dict[str, Callable[[], float]] = {
            "open_connections": lambda: _on_one_connection(server, client),
            "new_connections": lambda: _on_new_connections(server, client),
        }
        for _ in range(PAIRS):
            for name, exchange in exchanges.items():
                restore(host, folder)
                found[name][0].append(exchange())
                host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
                found[name][1].append(exchange())
    return {
        name: (
            Series(f"a byte to and fro, {name.replace('_', ' ')}, {BANS:,} bans", "us", tuple(banned)),
            Series(f"a byte to and fro, {name.replace('_', ' ')}, no table", "us", tuple(alone)),
        )
        for name, (banned, alone) in found.items()
    }


@contextmanager
def _cable() -> Iterator[tuple[Place, Place]]:
    """Two network namespaces with a cable between them; connections to the first are tracked."""
    with ExitStack() as stack:
        host = stack.enter_context(place())
        client = Place(HostAddress("visitor", (CLIENT,), (), ("", "")), host.prefix)
        subprocess.run(["ip", "netns", "add", client.name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "delete", client.name], check=True)
        host.run(["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", client.name])
        for end, address, link in ((host, SERVER, "v0"), (client, CLIENT, "v1")):
            end.run(["ip", "addr", "add", f"{address}/24", "dev", link])
            end.run(["ip", "link", "set", link, "up"])
        host.run(["nft", "-f", "-"], text=TRACKING)
        yield host, client


def _on_one_connection(server: socket.socket, client: Place) -> float:
    times = EXCHANGES["open_connections"]
    with client.within(lambda: socket.create_connection((SERVER, PORT))) as near, server.accept()[0] as far:
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.thread_time()
        for _ in range(times):
            _to_and_fro(near, far)
        return 1e6 * (time.thread_time() - began) / times


def _on_new_connections(server: socket.socket, client: Place) -> float:
    def exchange() -> float:
        times = EXCHANGES["new_connections"]
        began = time.thread_time()
        for _ in range(times):
            with socket.create_connection((SERVER, PORT)) as near, server.accept()[0] as far:
                _to_and_fro(near, far)
        return 1e6 * (time.thread_time() - began) / times

    return client.within(exchange)


def _to_and_fro(near: socket.socket, far: socket.socket) -> None:
    near.send(b"x")
    far.recv(1)
    far.send(b"y")
    near.recv(1)


def _pair(rig: Rig, folder: Path, way: Way) -> tuple[Rate, Rate]:
    """Return the rate with the table, and without."""
    restore(rig.bed.host, folder)
    try:
        banned = _rate(rig, way)
    finally:
        rig.bed.host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
    return banned, _rate(rig, way)


def _rate(rig: Rig, way: Way) -> Rate:
    """Ask for some seconds. Every answer has to be what was asked for."""
    argv = [
        "wrk",
        "--threads=1",
        f"--connections={way.connections}",
        f"--duration={way.seconds}s",
        "--timeout=60s",
        f"--header={way.header}",
    ]
    before = _processor_s(rig)
    said = rig.bed.visitor.run([*argv, f"{rig.site.url}{way.path}"]).stdout
    spent = _processor_s(rig) - before
    found = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec: +([\d.]+)", said)
    if "Non-2xx" in said or not (found[0] and found[1] and int(found[0][1])):
        raise RuntimeError(said)
    return Rate(int(found[0][1]) / spent, float(found[1][1]))


def _processor_s(rig: Rig) -> float:
    """Return the processor time of the web server's container and of the clients so far."""
    stats = json.loads(
        rig.bed.engine.api(f"/containers/{rig.site.container}/stats?stream=false&one-shot=true")
    )
    clients = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9 + clients.ru_utime + clients.ru_stime
