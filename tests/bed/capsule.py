"""A process tree of its own: when it is closed all inside ends, whatever it forked and mounted."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import IO, NamedTuple, Self

INNER = Path(__file__).with_name("inner.py")


class Process(NamedTuple):
    """A process that we started. Its start time tells it from a later one that was given the same number."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self:
        return cls(pid, _started(pid))

    @property
    def alive(self) -> bool:
        return bool(self.started) and _started(self.pid) == self.started

    def end(self, patience: float = 10) -> None:
        """Asks, waits, then insists."""
        for signal in (SIGTERM, SIGKILL):
            self._signal(signal)
            deadline = time.monotonic() + patience
            while self.alive and time.monotonic() < deadline:
                time.sleep(0.01)

    def kill(self) -> None:
        """Insists at once."""
        self._signal(SIGKILL)

    def _signal(self, signal: Signals) -> None:
        if self.alive:
            with suppress(ProcessLookupError):  # it was quicker
                os.kill(self.pid, signal)


def _started(pid: int) -> str:
    """When the process began, in the kernel's ticks; empty if it is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


class Capsule:
    """Own process and mount namespaces, in the network namespace given (the machine's own without one).

    It ends with this process, unless it is to be kept. `held` files, and so their locks, stay held.
    """

    def __init__(
        self, folder: Path, *, netns: Path | None, held: Sequence[IO[str]], keep: bool = False
    ) -> None:
        enter_net = ["nsenter", f"--net={netns}"] if netns else []
        unshare = ["unshare", "--pid", "--mount", "--fork", "--propagation", "private"]
        read, write = os.pipe()
        self._unshare = subprocess.Popen(
            [*enter_net, *unshare, sys.executable, "-I", str(INNER), str(folder)],
            stdin=read,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us; the lifeline tells it
            # One that is kept holds the other end of its lifeline itself: nobody cuts that.
            pass_fds=[*(file.fileno() for file in held), *([write] if keep else [])],
        )
        os.close(read)
        self._lifeline = write
        with self._unshare.stdout:  # type: ignore[union-attr]
            first = self._unshare.stdout.readline()  # type: ignore[union-attr]
        if not first:
            raise RuntimeError("the bed's namespaces could not be made: it needs root and util-linux")
        self.process = Process.of(int(first))

    def close(self) -> None:
        """Ends all that is inside."""
        os.close(self._lifeline)
        self.process.end()
        self._unshare.wait(60)


def inside(pid: int, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in the capsule whose process this is."""
    return ["nsenter", f"--target={pid}", "--pid", "--mount", "--net", "--", *argv]
