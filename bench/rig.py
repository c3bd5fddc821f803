"""What the benchmarks share. Each part comes up when it is first asked for."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Self

from bench.strangers import Strangers
from tests.bed import Bed, Engine, Site
from tests.bed.sidecar import NAME, Sidecar
from tests.support.waiting import wait_until

WATCHED = {"wp-sidecar.enable": "true"}
WRITER = "writer"


class Rig:
    """A bed with WordPress, a container whose log we write, and the sidecar as its container."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    @cached_property
    def bed(self) -> Bed:
        return self._stack.enter_context(Bed.up(sidecar=True))

    @cached_property
    def site(self) -> Site:
        return self.bed.wordpress(labels=WATCHED)

    @cached_property
    def writer(self) -> Writer:
        return self._stack.enter_context(Writer(self.bed.engine))

    @cached_property
    def strangers(self) -> Strangers:
        return self._stack.enter_context(Strangers(self.bed.host))

    @cached_property
    def sidecar(self) -> Sidecar:
        """Running, with no configuration at all, and following both containers."""
        _ = self.strangers
        followed = {self.site.container, self.writer.name}
        sidecar = Sidecar(self.bed)
        wait_until(
            lambda: followed <= {s["container"] for s in sidecar.status()["streams"] if s["state"] == "open"}
        )
        return sidecar

    @property
    def daemon(self) -> Path:
        """The sidecar's own process, tini's child: its folder in /proc."""
        tini = process(self.bed.engine, NAME)
        child = (tini / "task" / tini.name / "children").read_text().split()[0]
        return tini.parent / child


class Writer:
    """A container that does nothing; what it would have printed is written into its standard output from here.

    That is the pipe which Docker reads, so the clock starts where the program's own `write` would.
    """

    name = WRITER

    def __init__(self, engine: Engine) -> None:
        labels = [f"--label={name}={value}" for name, value in WATCHED.items()]
        engine.cli("run", "--detach", f"--name={WRITER}", *labels, "debian:trixie-slim", "sleep", "infinity")
        self._pipe = os.open(process(engine, WRITER) / "fd" / "1", os.O_WRONLY)

    def write(self, data: bytes) -> None:
        """At most PIPE_BUF (4,096) bytes, so that they stay together."""
        os.write(self._pipe, data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._pipe)


def process(engine: Engine, container: str) -> Path:
    """A container's first process: its folder in the /proc of the bed, whose numbers are not the machine's."""
    assert engine.process
    number = json.loads(engine.api(f"/containers/{container}/json"))["State"]["Pid"]
    return Path(f"/proc/{engine.process.pid}/root/proc/{number}")
