"""Containers' logs in files: lines per second through source and matcher, and the time from a line to its hit and drop.

The time to the drop ends when the kernel reports the ban. For it, the daemon runs as a process in a network namespace
of its own.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from bench.figures import Figure, Series
from bench.heard import Heard
from bench.lines import MAXRETRY, failures
from bench.rig import Rig
from bench.strangers import Strangers, addresses
from sidecar.config.jail_keys import BUILTIN_JAILS
from sidecar.control.client import NoDaemon, send
from sidecar.core.events import Batch, Cursor, Origin, Topology
from sidecar.core.jail import Jail
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.runtime.problems import Problems
from sidecar.sources.base import NullLogListener, Outputs
from sidecar.sources.files.container_logs import ContainerLogs
from sidecar.sources.files.layouts import KubeletLayout
from tests.bed.network import HostAddress, Place
from tests.support.waiting import wait_until

POD, CONTAINER = "blog_web-0_6a1f0e52-9c0d-4b8e-8f43-0d7c1f6b2a11", "wordpress"
# 50 MB in each turn. Of more than 64 MiB, only the end is read at first sight.
LINES, TURNS = 200_000, 7
FAILURE_PERCENT = 1
AGENT = '"https://example.org/shop/" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"'
GOOD = 'GET /wp-content/themes/t/{0}.css HTTP/1.1" 200 {0} '
BAD = 'POST /wp-login.php HTTP/1.1" 200 {0} '
GOAL_LINES_PER_S, GOAL_MS = 1_000_000, 5
ROUNDS, MEAN_PAUSE_S, WARM_UP_ROUNDS = 300, 0.02, 3
JSON_FILE_LINE = '{{"log":"{1}\\n","stream":"stdout","time":"{0}"}}\n'


def measure(_: Rig) -> Iterator[Figure]:
    for name, json_file in (("files_lines", False), ("files_lines_docker", True)):
        rates = _rates(json_file=json_file)
        goal = None if json_file else GOAL_LINES_PER_S
        yield Figure(name, "lines/s", rates[0].median, at_least=goal, series=rates)
    hit, drop = _to_hit(), _to_drop()
    yield Figure("line_to_hit", "ms", hit.median, at_most=GOAL_MS, series=(hit,))
    yield Figure("cri_line_to_drop", "ms", drop.median, at_most=GOAL_MS, series=(drop,))


def line(number: int, *, json_file: bool = False) -> str:
    """Return a line of a busy site's log in CRI's format, or in Docker's json-file format."""
    stamp = f"2026-11-22T08:57:{number % 60:02d}.{number * 7919 % 10**9:09d}Z"
    what = (BAD if number * FAILURE_PERCENT % 100 < FAILURE_PERCENT else GOOD).format(5_000 + number)
    text = f'198.51.{number // 250 % 250}.{number % 250} - - [22/Nov/2026:08:57:{number % 60:02d} +0000] "{what}{AGENT}'
    if json_file:
        return JSON_FILE_LINE.format(stamp, text.replace('"', '\\"'))
    return f"{stamp} stdout F {text}\n"


class Reader(NullLogListener):
    """Runs the source with a folder of its own and the built-in jails."""

    def __init__(self, root: Path) -> None:
        self.folder = root / POD / CONTAINER
        self.folder.mkdir(parents=True)
        self.lines = self.hits = 0
        self.seen = threading.Condition()
        self._matcher = Matcher({name: load(name) for name in BUILTIN_JAILS})
        jails = [Jail(name) for name in BUILTIN_JAILS]
        outputs = Outputs(self._emit, self, Problems())
        self._source = ContainerLogs(KubeletLayout(root), jails, outputs, self, cursors={}, since=0.0)
        self._thread = threading.Thread(target=self._source.run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()
        self._thread.join()

    def wait(self, *, lines: int = 0, hits: int = 0) -> float:
        """Wait for this many lines and hits; return the time at which they were there."""
        with self.seen:
            assert self.seen.wait_for(lambda: self.lines >= lines and self.hits >= hits, 60)
        return time.perf_counter()

    def batch_read(self, origin: Origin, lines: int, size: int, last: float | None = None) -> None:  # noqa: ARG002
        self.lines += lines

    def on_topology_changed(self, topology: Topology) -> None: ...

    def _emit(self, batch: Batch, _: Cursor | None) -> None:
        found = self._matcher.scan(batch, time.time()).hits
        with self.seen:
            self.hits += len(found)
            self.seen.notify_all()


def _rates(*, json_file: bool) -> tuple[Series, Series]:
    """Measure by wall clock and by processor time, because other programs may use the processor as well."""
    data = "".join(line(number, json_file=json_file) for number in range(LINES))
    wall, cpu = [], []
    for _ in range(TURNS):
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(Path(folder))
            (reader.folder / "0.log").write_text(data)
            with reader:
                began, spent = reader.wait(lines=1), time.process_time()
                left = LINES - reader.lines
                wall.append(left / (reader.wait(lines=LINES) - began))
                cpu.append(left / (time.process_time() - spent))
    what = f"lines from files, {'json-file' if json_file else 'CRI'}, {FAILURE_PERCENT} % failures"
    return Series(what, "lines/s", tuple(wall)), Series(f"{what}, of processor time", "lines/s", tuple(cpu))


def _to_hit() -> Series:
    found = []
    address = addresses()
    with tempfile.TemporaryDirectory() as folder, Reader(Path(folder)) as reader:
        path = reader.folder / "0.log"
        path.touch()
        # Until the log is followed.
        time.sleep(0.5)
        for number in range(ROUNDS):
            text = failures(next(address), 1)
            with path.open("ab") as log:
                began = time.perf_counter()
                log.write(stamped(text))
            found.append(1000 * (reader.wait(hits=number + 1) - began))
            _pause()
    return Series("line to hit, CRI", "ms", tuple(found))


def stamped(text: bytes) -> bytes:
    """Return these lines as a runtime would write them now."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()).encode()
    return b"".join(
        b"%s.%09dZ stdout F %s\n" % (stamp, time.time_ns() % 10**9, line) for line in text.splitlines()
    )


def _to_drop() -> Series:
    with _namespace() as place, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pods", POD, CONTAINER, "0.log")
        path.parent.mkdir(parents=True)
        path.touch()
        with _daemon(place, Path(folder)):
            return drops("line to drop, CRI", place, path)


def drops(name: str, place: Place, path: Path) -> Series:
    """Measure the time from an address's last failure in this log to its ban in the kernel."""
    found = []
    with Strangers(place) as strangers, Heard(place) as heard, path.open("ab", buffering=0) as log:
        for _, address in zip(range(WARM_UP_ROUNDS + ROUNDS), addresses(), strict=False):
            strangers.send_packet(address)
            log.write(stamped(failures(address, MAXRETRY - 1)))
            _pause()
            data = stamped(failures(address, 1))
            began = time.perf_counter()
            log.write(data)
            found.append(1000 * (heard.wait(address) - began))
    return Series(name, "ms", tuple(found[WARM_UP_ROUNDS:]))


def _pause() -> None:
    """Pause at random, so as not to be in step with other pauses."""
    time.sleep(random.uniform(0, 2 * MEAN_PAUSE_S))  # noqa: S311


@contextmanager
def _namespace() -> Iterator[Place]:
    place = Place(HostAddress("cri", (), (), ("", "")), f"wpsg{os.getpid()}")
    subprocess.run(["ip", "netns", "add", place.name], check=True)
    try:
        yield place
    finally:
        place.close()
        subprocess.run(["ip", "netns", "delete", place.name], check=True)


@contextmanager
def _daemon(place: Place, folder: Path) -> Iterator[None]:
    """Run the daemon as on a node, without a jails file."""
    socket = folder / "control.sock"
    environ = {
        "WP_SIDECAR_SOURCE": "cri",
        "WP_SIDECAR_LOGS": str(folder / "pods"),
        "WP_SIDECAR_PODS": "blog/*/*",
        "WP_SIDECAR_STATE": str(folder / "state"),
        "WP_SIDECAR_SOCKET": str(socket),
        # The addresses of benchmarks are reserved ones, which count as private.
        "WP_SIDECAR_BAN_PRIVATE": "true",
    }
    argv = [sys.executable, "-m", "sidecar", "run"]
    process = place.popen(argv, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)

    def ready() -> bool:
        assert process.poll() is None
        return bool(_ask(socket, "health").get("ready") and _ask(socket, "status").get("streams"))

    wait_until(ready, 30, interval=0.05)
    yield


def _ask(socket: Path, what: str) -> dict[str, object]:
    try:
        return send(socket, {"do": what})
    except NoDaemon:
        return {}
