"""After a reboot: from the start of a process until the stored bans are in the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

from bench.figures import Figure, Series
from bench.heard import Heard
from bench.rig import Rig
from bench.storm import place
from sidecar.core.address import Address, first_and_last
from sidecar.core.events import Ban, BanCause, Turn
from sidecar.firewall.layout import Layout, LayoutFile
from sidecar.stores.sqlite import SqliteStore
from tests.bed import Place

RUNS = 9
TURN = 5_000
A_DAY_S = 86_400.0


def measure(rig: Rig) -> Iterator[Figure]:
    del rig
    yield _figure("restore_1000_bans", hosts(1_000), at_most=0.3)
    yield _figure("restore_100000_bans", hosts(100_000))
    yield _figure("restore_50000_networks", _networks(50_000))


def store(folder: Path, addresses: Collection[Address]) -> None:
    """Leave what a run with these bans leaves in its state directory."""
    jail, now = "manual", time.time()
    LayoutFile(folder).write(Layout({jail: frozenset({80, 443})}, ("10.0.0.0/8", "::1"), frozenset({80})))
    bans = [Ban(jail, address, now, now + A_DAY_S, BanCause.MANUAL) for address in addresses]
    with closing(SqliteStore(folder / "state.db")) as db:
        for start in range(0, len(bans), TURN):
            db.apply(Turn(now, tuple(bans[start : start + TURN])))


def restore(host: Place, folder: Path) -> None:
    """Run `wp-sidecar restore` in a place."""
    argv = [sys.executable, "-m", "sidecar", "restore"]
    host.run(argv, env={**os.environ, "WP_SIDECAR_STATE": str(folder)})


def hosts(count: int) -> list[Address]:
    return [Address(str(IPv4Address((45 << 24) + 7 * number))) for number in range(count)]


def _networks(count: int) -> list[Address]:
    """Networks that do not touch."""
    return [Address(f"{IPv4Address((45 << 24) + 512 * number)}/24") for number in range(count)]


def _figure(name: str, addresses: list[Address], at_most: float | None = None) -> Figure:
    keys = {first_and_last(address)[1].to_bytes(4, "big") for address in addresses}
    with tempfile.TemporaryDirectory() as folder, place() as host:
        store(Path(folder), addresses)
        seconds = [_once(host, Path(folder), keys) for _ in range(RUNS)]
    series = Series(name.replace("_", " "), "s", tuple(seconds))
    return Figure(name, "s", series.median, at_most=at_most, series=(series,))


def _once(host: Place, folder: Path, keys: Collection[bytes]) -> float:
    with Heard(host) as heard:
        began = time.perf_counter()
        process = subprocess.Popen(
            host.command([sys.executable, "-m", "sidecar", "restore"]),
            env={**os.environ, "WP_SIDECAR_STATE": str(folder)},
            stdout=subprocess.DEVNULL,
        )
        at = heard.all(keys)
        process.wait(30)
    host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
    return at - began
