"""A program on a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Mapping

TIMEOUT_S = 120.0


class Terminal:
    """What a program shows there, and what is typed."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self._process, self._master = process, master
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, text: str) -> str:
        """Return what was shown up to this text; at the end of the program, or after the timeout, all that was."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.shown and time.monotonic() < deadline and self._read():
            pass
        return self.shown

    def end(self) -> int:
        """Wait for the end of the program, and return its exit code."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline and self._read():
            pass
        return self._process.wait(TIMEOUT_S)

    def _read(self) -> bool:
        """Take what is shown. Return whether there may be more."""
        if not select.select([self._master], [], [], 0.5)[0]:
            return self._process.poll() is None
        try:
            read = os.read(self._master, 65_536)
        except OSError:
            # Nobody has the other end any more.
            return False
        self.shown += read.decode(errors="replace")
        return bool(read)


@contextlib.contextmanager
def on_a_terminal(*argv: str, env: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """Run a program, and end it with the block. Ctrl-C and job control work there."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *argv], stdin=slave, stdout=slave, stderr=slave, env=env
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
