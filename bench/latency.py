"""From a log line being written to its author's packets being dropped, by the kernel's own word."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import Self

from bench.fail2ban import Fail2ban
from bench.figures import Figure, Series
from bench.heard import Heard
from bench.lines import MAXRETRY, Traffic, failures, visits
from bench.rig import Rig
from bench.strangers import Strangers, addresses
from tests.bed import Engine

ROUNDS, PEERS_ROUNDS = 300, 15  # fail2ban takes up to seconds for one
WARM_UP = 3  # rounds that are not counted: the first ban makes fail2ban's table
PAUSE, PEERS_PAUSE = 0.02, 0.5  # seconds between rounds, on average; fail2ban looks about this often
RATE = 1_000  # lines a second of other traffic
PATIENCE = 30.0  # seconds for one round

Write = Callable[[bytes], object]


def measure(rig: Rig) -> Iterator[Figure]:
    _ = rig.sidecar
    alone = _ours(rig, 0), _peers(rig, 0), _limit(rig, 0)
    yield Figure("log_to_drop_median", "ms", *(s.median for s in alone), at_most=1.5, series=alone)
    yield Figure("log_to_drop_p99", "ms", *(s.p99 for s in alone), at_most=8, series=alone)
    busy = _ours(rig, RATE), _peers(rig, RATE), _limit(rig, RATE)
    yield Figure("log_to_drop_busy_median", "ms", *(s.median for s in busy), at_most=1.5, series=busy)
    yield Figure("log_to_drop_busy_p99", "ms", *(s.p99 for s in busy), at_most=8, series=busy)


def _ours(rig: Rig, rate: float) -> Series:
    with Heard(rig.bed.host) as heard, Traffic(rig.writer.write, rate) as traffic:
        seconds = rounds(rig.strangers, rig.writer.write, failures, heard.wait, ROUNDS, PAUSE)
    return _series("ours", traffic, seconds)


def _peers(rig: Rig, rate: float) -> Series:
    with Heard(rig.bed.host) as heard, Fail2ban(rig.bed.host) as peer:
        with Traffic(peer.write, rate) as traffic:
            seconds = rounds(rig.strangers, peer.write, failures, heard.wait, PEERS_ROUNDS, PEERS_PAUSE)
        return _series(f"fail2ban ({peer.backend})", traffic, seconds)


def _limit(rig: Rig, rate: float) -> Series:
    """Docker alone: until as many lines arrive at somebody who only reads."""
    with Tail(rig.bed.engine, rig.writer.name) as tail, Traffic(rig.writer.write, rate) as traffic:
        seconds = rounds(rig.strangers, rig.writer.write, _visits, tail.wait, ROUNDS, PAUSE)
    return _series("Docker alone", traffic, seconds)


def rounds(  # noqa: PLR0917 - what one round takes
    strangers: Strangers,
    write: Write,
    lines: Callable[[str], bytes],
    wait: Callable[[str], float],
    times: int,
    pause: float,
) -> list[float]:
    """Let a stranger send a packet, write his lines at once, wait for what comes of it, and again: seconds each."""
    found = []
    for _ in range(WARM_UP + times):
        address = next(ADDRESSES)
        strangers.send_packet(address)
        data = lines(address)
        began = time.perf_counter()
        write(data)
        found.append(wait(address) - began)
        time.sleep(random.uniform(0, 2 * pause))  # noqa: S311  so as not to ask in step with anybody's pauses
    return found[WARM_UP:]


def _visits(address: str) -> bytes:
    return visits(address) * MAXRETRY


def _series(address: str, traffic: Traffic, seconds: list[float]) -> Series:
    other = f", {traffic.rate:,.0f} other lines/s" if traffic.rate else ""
    return Series(f"log to drop, {address}{other}", "ms", tuple(1000 * s for s in seconds))


class Tail:
    """A follower of a container's log that does nothing with it."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(PATIENCE)
        self._sock.connect(str(engine.socket))
        path = f"/containers/{container}/logs?follow=1&stdout=1&tail=0"
        self._sock.sendall(f"GET {path} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
        while b"\r\n\r\n" not in self._sock.recv(65_536):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def wait(self, address: str) -> float:
        """When the last of their lines is there."""
        name, seen = f"{address} - - ".encode(), b""
        while seen.count(name) < MAXRETRY:
            if not (data := self._sock.recv(65_536)):
                raise ConnectionError("Docker ended the log")
            at = time.perf_counter()
            seen += data
        return at


ADDRESSES = addresses()
