"""What many cost: failures that the guard counts in a second, and the memory of many bans, addresses and containers."""

from __future__ import annotations

import http.client
import itertools
import time
from collections.abc import Iterator
from contextlib import closing

from bench.figures import Figure, Series
from bench.lines import MAXRETRY, failures
from bench.resting import resident
from bench.rig import WATCHED, Rig
from bench.storm import Daemon, place
from bench.strangers import addresses
from sidecar.core.address import Address
from sidecar.core.allowlist import CONTAINERS, Allowlist
from sidecar.core.events import Hit, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from tests.bed import Place
from tests.support.waiting import wait_until

RUNS = 5
HITS, ADDRESSES = 300_000, 100_000  # three of each: none is banned, and each has to be looked up
BANS, TRACKED, FOLLOWED = 100_000, 1_000_000, 200
AT_ONCE = 20_000  # addresses in one write to the log
PATIENCE = 300.0
SCRAPES, SCRAPE_PAUSE_S = 100, 0.1


def measure(rig: Rig) -> Iterator[Figure]:
    yield _hits()
    yield _memory("memory_100000_bans", BANS, MAXRETRY, at_most=110)
    yield _metrics()
    yield _memory("memory_1000000_tracked", TRACKED, 1, at_most=350)
    yield _containers(rig)


def _hits() -> Figure:
    """The worst case: every address is a new one."""
    origin = Origin("docker", "blog", "stdout", ("login",))
    whos = [Address(address) for address in itertools.islice(addresses(), ADDRESSES)]
    hits = [
        Hit("login", whos[n % ADDRESSES], n / 1000, origin, failures(whos[n % ADDRESSES], 1).decode())
        for n in range(HITS)
    ]
    rates = []
    for _ in range(RUNS):
        guard = Guard([Jail("login", aggregate=False)], Allowlist({CONTAINERS: ["172.17.0.0/16"]}))
        began = (
            time.thread_time()
        )  # of the processor: it is one thread's work, whoever else is at the machine
        for hit in hits:
            guard.hit(hit, HITS / 1000)
        rates.append(HITS / (time.thread_time() - began))
    series = Series("hits of new addresses", "hits/s", tuple(rates))
    return Figure("guard_hits", "hits/s", series.median, at_least=500_000, series=(series,))


def _memory(name: str, addresses: int, each: int, at_most: float) -> Figure:
    """The daemon's, once this many addresses have failed this often."""
    with place() as host, Daemon(host) as ours:
        _fail(ours, addresses, each)
        return Figure(name, "MB", resident(ours.process), at_most=at_most)


def _fail(daemon: Daemon, addresses: int, each: int) -> None:
    """Have this many addresses fail this often, and wait until the daemon has counted all of it."""
    daemon.ready()
    crowd = addresses()
    for done in range(AT_ONCE, addresses + 1, AT_ONCE):
        daemon.write(b"".join(failures(address, each) for address in itertools.islice(crowd, AT_ONCE)))
        wait_until(lambda least=done * each: daemon.heard() >= least, PATIENCE)


def _metrics() -> Figure:
    """From the request until the whole answer of /metrics is there, while 100,000 bans are in force."""
    with place() as host, Daemon(host) as ours:
        _fail(ours, BANS, MAXRETRY)
        series = Series("/metrics with 100,000 bans", "ms", tuple(_scrape(host) for _ in range(SCRAPES)))
    return Figure("metrics_100000_bans", "ms", series.median, at_most=20, series=(series,))


def _scrape(host: Place) -> float:
    """Return the milliseconds that one takes on a connection that is open already, as Prometheus has one."""
    # Not one upon the other, as no Prometheus asks like that.
    time.sleep(SCRAPE_PAUSE_S)
    with closing(http.client.HTTPConnection("127.0.0.1", 9734, timeout=PATIENCE)) as web:
        host.within(web.connect)
        began = time.perf_counter()
        web.request("GET", "/metrics")
        assert b"wp_sidecar_bans_active" in web.getresponse().read()
        return 1000 * (time.perf_counter() - began)


def _containers(rig: Rig) -> Figure:
    """The sidecar's in the bed, once it follows this many more containers."""
    engine, sidecar = rig.bed.engine, rig.sidecar
    labels = [f"--label={key}={value}" for key, value in WATCHED.items()]
    names = [f"crowd{n}" for n in range(FOLLOWED)]
    try:
        for name in names:
            command = ["sh", "-c", "echo here; exec sleep infinity"]
            engine.cli(
                "run", "--detach", "--network=none", f"--name={name}", *labels, "debian:trixie-slim", *command
            )
        wait_until(lambda: set(names) <= _followed(sidecar.status()), PATIENCE)
        return Figure("memory_200_containers", "MB", resident(rig.daemon), at_most=100)
    finally:
        for name in names:
            engine.cli("rm", "--force", name)


def _followed(status: dict[str, list[dict[str, str]]]) -> set[str]:
    return {stream["container"] for stream in status["streams"] if stream["state"] == "open"}
