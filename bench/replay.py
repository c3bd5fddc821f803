"""Whole files through `wp-sidecar replay`, beside fail2ban-rs's `dry-run`: both as processes, start included.

fail2ban-rs is a Rust crate. It is built once, with cargo, into a cache folder; without cargo its column is empty.
The figures are of processor time, so other processes of the machine do not count; `_wall` is by the clock, because
replay has two processors work at once. The two programs take turns.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.figures import Figure, Series
from bench.filters import AGENT, FAILURE, VISIT
from bench.rig import Rig

VERSION = "1.5.4"
# Percentage of failures -> lines.
LINES = {1: 2_000_000, 50: 500_000}
TURNS = 5
LINES_PER_SECOND = 200
GOAL_TIMES_PEER = 1.5
JAILS = "[wordpress-access]\nenabled = true\nmaxretry = 5\nfindtime = 600\nbantime = 3600\n"
CONFIG = r"""
[global]
state_file = "{folder}/state.bin"
socket_path = "{folder}/control.sock"
[logging]
level = "error"
[jail.wordpress]
log_path = "{log}"
date_format = "common"
filter = ['^<HOST> \S+ \S+ \[[^\]]*\] "POST \S*/wp-login\.php\S* HTTP/[0-9.]+" (?:200|403|429) ']
max_retry = 5
find_time = "10m"
ban_time = "1h"
"""


def measure(_: Rig) -> Iterator[Figure]:
    peer = _peer()
    for percent, lines in LINES.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            log, jails, config = folder / "access.log", folder / "jails.conf", folder / "config.toml"
            _write(log, percent, lines)
            jails.write_text(JAILS)
            config.write_text(CONFIG.format(folder=folder, log=log))
            replay = [sys.executable, "-m", "sidecar", "replay", str(log), "--jails", str(jails)]
            commands = {"ours": replay}
            if peer:
                commands["fail2ban-rs"] = [str(peer), "--config", str(config), "dry-run", str(log)]
            cpu, wall = _rates(f"{percent} % failures", lines, commands)
        for name, series in ((f"replay_{percent}_percent", cpu), (f"replay_{percent}_percent_wall", wall)):
            ours, *others = (each.median for each in series)
            yield Figure(name, "lines/s", ours, others[0] if others else None, series=series)
            if others:
                goal = GOAL_TIMES_PEER if percent == 1 and series is cpu else None
                yield Figure(f"{name}_times_peer", "x", ours / others[0], at_least=goal)


def _peer() -> Path | None:
    """Return fail2ban-rs's program; None without cargo, which is said."""
    root = Path(
        os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), f"wp-sidecar-bench/fail2ban-rs-{VERSION}"
    )
    program = root / "bin/fail2ban-rs"
    if program.exists():
        return program
    cargo = shutil.which("cargo")
    if not cargo:
        print(
            "  fail2ban-rs is not measured: install Rust's cargo, which builds it (apt install cargo, or rustup)"
        )
        return None
    print("  building fail2ban-rs, which takes some minutes ...", flush=True)
    done = subprocess.run(
        [cargo, "install", "--quiet", "--locked", "fail2ban-rs", "--version", VERSION, "--root", str(root)],
        check=False,
    )
    if done.returncode:
        print("  fail2ban-rs is not measured: cargo could not build it")
        return None
    return program


def _write(log: Path, percent: int, lines: int) -> None:
    """Write a log in which failures are evenly spread, and no two lines are equal."""
    with log.open("w") as out:
        for n in range(lines):
            second = n // LINES_PER_SECOND
            date = f"22/Nov/2026:{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
            # 7,919 is a prime, so all of 65,536 addresses come in turn.
            address = n * 7_919 % 65_536
            line = FAILURE if n * percent % 100 < percent else VISIT
            out.write(line.format(address >> 8, address & 255, date, 5_000 + n) + AGENT + "\n")


def _rates(
    what: str, lines: int, commands: Mapping[str, Sequence[str]]
) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
    """Return the lines a second of processor time, and by the clock, of each command."""
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    wall: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(TURNS):
        for name, argv in commands.items():
            spent, began = _children(), time.perf_counter()
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
            wall[name].append(lines / (time.perf_counter() - began))
            cpu[name].append(lines / (_children() - spent))
    cpu_series, wall_series = (
        tuple(Series(f"replay{by}, {name}, {what}", "lines/s", tuple(found)) for name, found in each.items())
        for by, each in (("", cpu), (" by the clock", wall))
    )
    return cpu_series, wall_series


def _children() -> float:
    """Return the processor time of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
