"""What the rules cost other clients: the rate of a web server with 100,000 bans in place, beside that without a table.

The server, the client and the kernel's work for both share the processors, so the rate is the requests in a second of
processor time. That is what a busy server is short of, and it wavers less than the requests in a second on the clock,
which are printed too.
"""

from __future__ import annotations

import json
import re
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.figures import Figure, Series
from bench.restored import hosts, restore, store
from bench.rig import Rig
from tests.bed.clients import STATIC

BANS = 100_000
# Each is a run with the table, and one without. They alternate, so that what else the machine does meets both.
PAIRS = 15
SECONDS = 2
CONNECTIONS = 8
WAYS = {"open_connections": "Connection: keep-alive", "new_connections": "Connection: close"}


class Rate(NamedTuple):
    """Requests in a second of processor time, and in a second."""

    processor: float
    clock: float


def measure(rig: Rig) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder), hosts(BANS))
        for name, header in WAYS.items():
            # Apache starts the processes that it needs.
            _rate(rig, header)
            yield _figure(name, *zip(*(_pair(rig, Path(folder), header) for _ in range(PAIRS)), strict=True))


def _pair(rig: Rig, folder: Path, header: str) -> tuple[Rate, Rate]:
    """Return the rate with the table, and without."""
    restore(rig.bed.host, folder)
    try:
        banned = _rate(rig, header)
    finally:
        rig.bed.host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
    return banned, _rate(rig, header)


def _figure(name: str, banned: tuple[Rate, ...], alone: tuple[Rate, ...]) -> Figure:
    words = name.replace("_", " ")
    series = [
        Series(f"{words}, {which}", unit, tuple(rate[at] for rate in rates))
        for at, unit in enumerate(("requests/s of a processor", "requests/s"))
        for which, rates in ((f"{BANS:,} bans", banned), ("no table", alone))
    ]
    shares = [100 * ours.processor / theirs.processor for ours, theirs in zip(banned, alone, strict=True)]
    return Figure(f"visitors_{name}", "% of no table", median(shares), at_least=99, series=tuple(series))


def _rate(rig: Rig, header: str) -> Rate:
    """Ask for a static file for some seconds. Every answer has to be the file."""
    argv = [
        "wrk",
        "--threads=1",
        f"--connections={CONNECTIONS}",
        f"--duration={SECONDS}s",
        f"--header={header}",
    ]
    before = _processor_s(rig)
    said = rig.bed.visitor.run([*argv, f"{rig.site.url}{STATIC}"]).stdout
    spent = _processor_s(rig) - before
    found = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec: +([\d.]+)", said)
    if "Non-2xx" in said or not (found[0] and found[1]):
        raise RuntimeError(said)
    return Rate(int(found[0][1]) / spent, float(found[1][1]))


def _processor_s(rig: Rig) -> float:
    """Return the processor time of the web server's container and of the clients so far."""
    stats = json.loads(
        rig.bed.engine.api(f"/containers/{rig.site.container}/stats?stream=false&one-shot=true")
    )
    clients = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9 + clients.ru_utime + clients.ru_stime
