"""A flood in the log of one container: how long does an attacker of another site go on?"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from bench.figures import Figure, Series
from bench.heard import Heard
from bench.latency import rounds
from bench.lines import failures
from bench.rig import WATCHED, Rig
from tests.bed import Engine
from tests.support.waiting import wait_until

ROUNDS, PAUSE = 60, 0.1
# What the flooding container may use of a processor; and for how long it floods before the first round, in seconds.
CPUS, LEAD = 0.3, 5.0
FLOODER = "flooder"
_FAILURE = "wordpress(blog)[7]: Authentication failure for admin from "
FLOODS = {
    "lines": ("harmless lines", f"yes {'A' * 42}"),
    "failures": ("failures of one address", f"yes '{_FAILURE}198.51.100.7'"),
    "attackers": (
        "failures of many addresses",
        f"perl -e 'while (1) {{ printf \"{_FAILURE}198.%d.%d.%d\\n\", 18 + rand 2, rand 256, rand 256 }}'",
    ),
}


def measure(rig: Rig) -> Iterator[Figure]:
    _ = rig.sidecar
    for name, (what, command) in FLOODS.items():
        with _flooded(rig, command), Heard(rig.bed.host) as heard:
            seconds = rounds(rig.strangers, rig.writer.write, failures, heard.wait, ROUNDS, PAUSE)
        series = Series(
            f"log to drop, another log is flooded by {what}", "ms", tuple(1000 * s for s in seconds)
        )
        yield Figure(f"flood_of_{name}_median", "ms", series.median, at_most=100, series=(series,))
        yield Figure(f"flood_of_{name}_worst", "ms", max(series.values), at_most=1_000, series=(series,))


@contextlib.contextmanager
def _flooded(rig: Rig, command: str) -> Iterator[None]:
    """Have a watched container print this as fast as it may."""
    engine: Engine = rig.bed.engine
    labels = [f"--label={name}={value}" for name, value in WATCHED.items()]
    options = [f"--cpus={CPUS}", "--log-opt=max-size=20m", "--log-opt=max-file=2", *labels]
    engine.cli(
        "run", "--detach", "--init", "--name", FLOODER, *options, "debian:trixie-slim", "bash", "-c", command
    )
    try:
        wait_until(lambda: FLOODER in {each["container"] for each in rig.sidecar.status()["streams"]})
        # A backlog has built up by then, if one does.
        time.sleep(LEAD)
        yield
    finally:
        engine.cli("rm", "--force", FLOODER)
