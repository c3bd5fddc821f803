"""The image as the chart's pod runs it, on a node's disk and a node's kernel: lines a second, and line to drop.

The pod is stopped while its log is written, so that what is timed is the reading.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Series
from bench.files import CONTAINER, GOAL_LINES_PER_S, GOAL_MS, POD, drops, line
from bench.rig import Rig
from tests.bed import Bed
from tests.bed.sidecar import NAME
from tests.charts import guard
from tests.support.waiting import wait_until

LINES, TURNS = 1_600_000, 5  # 400 MB each turn
LOOK = 0.3  # seconds between looks at the pod's metrics, each of which takes 5 ms of its time
METRICS, COUNTED = "http://127.0.0.1:9734/metrics", "wp_sidecar_log_lines_total{"


def measure(rig: Rig) -> Iterator[Figure]:
    bed = rig.bed
    bed.engine.cli("rm", "--force", NAME, check=False)  # there is one sidecar a host
    with tempfile.TemporaryDirectory() as folder:
        node = guard.disk(Path(folder))
        log = node.root / "var/log/pods" / POD / CONTAINER / "0.log"
        log.parent.mkdir(parents=True)
        log.touch()
        with guard.guarding(bed, node, None, "--set=pods={blog/*/*}"):
            log.write_text(line(0))
            wait_until(lambda: _read(bed) == 1)
            rates = Series("lines from a pod's file, 1 % failures", "lines/s", tuple(_rates(bed, log)))
            yield Figure("node_lines", "lines/s", rates.median, at_least=GOAL_LINES_PER_S, series=(rates,))
            drop = drops("line to drop, in the pod", bed.host, log)
            yield Figure("node_line_to_drop", "ms", drop.median, at_most=GOAL_MS, series=(drop,))


def _rates(bed: Bed, log: Path) -> Iterator[float]:
    """From the first look that finds it reading to the last that does: the end itself is seen up to a look too late."""
    data = "".join(line(number) for number in range(LINES))
    for _ in range(TURNS):
        before = _read(bed)
        bed.engine.cli("pause", guard.NAME)
        with log.open("a") as file:
            file.write(data)
        bed.engine.cli("unpause", guard.NAME)
        looks: list[tuple[float, int]] = []
        while not looks or looks[-1][1] < before + LINES:
            if (lines := _read(bed)) > before:
                looks.append((time.perf_counter(), lines))
            time.sleep(LOOK)
        (began, first), (end, last) = looks[0], looks[-2]
        yield (last - first) / (end - began)


def _read(bed: Bed) -> int:
    """How many lines it has read."""
    found = bed.host.run(["curl", "--silent", METRICS]).stdout
    return sum(int(float(row.rpartition(" ")[2])) for row in found.splitlines() if row.startswith(COUNTED))
