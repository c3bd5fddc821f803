"""What it costs when nothing happens: memory at rest, and the time until it protects."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.fail2ban import Fail2ban
from bench.figures import Figure, Series
from bench.rig import Rig
from tests.bed import Place
from tests.bed.sidecar import NAME

STARTS = 5
REST = 30.0  # seconds after its start at which a process counts as idle
PATIENCE = 30.0


def measure(rig: Rig) -> Iterator[Figure]:
    starts = _ours(rig), _peers(rig)
    with Fail2ban(rig.bed.host) as peer:
        time.sleep(REST)
        yield Figure("idle_memory", "MB", _resident(rig.daemon), _resident(peer.process), at_most=60)
    yield Figure("start_up", "s", *(s.median for s in starts), series=starts)


def _ours(rig: Rig) -> Series:
    """From `docker start` to /readyz: the container, the program, its firewall and its logs."""
    sidecar, seconds = rig.sidecar, []
    for _ in range(STARTS):
        sidecar.stop()
        began = time.perf_counter()
        rig.bed.engine.cli("start", NAME)
        seconds.append(_ready(rig.bed.host) - began)
    return Series("start-up, ours, from `docker start`", "s", tuple(seconds))


def _peers(rig: Rig) -> Series:
    """From its process's start until its jail runs; it has no container to start first."""
    seconds = []
    for _ in range(STARTS):
        with Fail2ban(rig.bed.host) as peer:
            seconds.append(peer.ready - peer.began)
    return Series("start-up, fail2ban, as a process", "s", tuple(seconds))


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


def _resident(process: Path) -> float:
    """The process's resident memory, in MB."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024 / 1e6
