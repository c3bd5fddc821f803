"""What it costs when nothing happens: memory at rest, and the time until it protects."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Self

from bench.fail2ban import Fail2ban
from bench.figures import Figure, Series
from bench.rig import Rig
from tests.bed import Place
from tests.bed.sidecar import NAME

STARTS = 5
SETTLED = 2.0  # seconds after its start at which each is looked at, to see how much they differ
REST = 30.0  # seconds after its start at which a process counts as idle
PATIENCE = 30.0


def measure(rig: Rig) -> Iterator[Figure]:
    ours, peers = _ours(rig), _peers(rig)
    with Fail2ban(rig.bed.host) as peer:
        time.sleep(REST)
        now = resident(rig.daemon), resident(peer.process)
    yield Figure("idle_memory", "MB", *now, at_most=60, series=(ours.memory, peers.memory))
    yield Figure("start_up", "s", ours.time.median, peers.time.median, series=(ours.time, peers.time))


class Starts(NamedTuple):
    """What several starts took."""

    time: Series
    memory: Series

    @classmethod
    def of(cls, address: str, found: Iterable[tuple[float, float]]) -> Self:
        times, memory = zip(*found, strict=True)
        after = f"memory {SETTLED:.0f} s after its start"
        return cls(Series(f"start-up, {address}", "s", times), Series(f"{after}, {address}", "MB", memory))


def _ours(rig: Rig) -> Starts:
    """From `docker start` to /readyz: the container, the program, its firewall and its logs."""

    def start() -> tuple[float, float]:
        rig.sidecar.stop()
        began = time.perf_counter()
        rig.bed.engine.cli("start", NAME)
        took = _ready(rig.bed.host) - began
        time.sleep(SETTLED)
        return took, resident(rig.daemon)

    return Starts.of("ours, a container", [start() for _ in range(STARTS)])


def _peers(rig: Rig) -> Starts:
    """From its process's start until its jail runs; it has no container to start first."""

    def start() -> tuple[float, float]:
        with Fail2ban(rig.bed.host) as peer:
            time.sleep(SETTLED)
            return peer.ready - peer.began, resident(peer.process)

    return Starts.of("fail2ban, a process", [start() for _ in range(STARTS)])


def _ready(host: Place) -> float:
    """When /readyz answers 200."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        if _answers(host):
            return time.perf_counter()
        time.sleep(0.005)
    raise TimeoutError(f"the sidecar was not ready within {PATIENCE:.0f} s")


def _answers(host: Place) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", 9734, timeout=5)) as web:
        try:
            host.within(web.connect)
            web.request("GET", "/readyz")
            return web.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def resident(process: Path) -> float:
    """The process's resident memory, in MB."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024 / 1e6
