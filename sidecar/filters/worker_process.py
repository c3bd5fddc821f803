"""A process of our own code at the other end of a pipe: what `re` may never finish is tried there, and can be ended."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class Child:
    """Runs `python -m MODULE FD`, FD being its end of `pipe`. What crosses is pickled by us on both sides."""

    def __init__(self, module: str) -> None:
        from multiprocessing.connection import Pipe  # noqa: PLC0415  1 MB, for the few who have such a filter

        self.pipe, theirs = Pipe()
        with theirs:
            fd = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(fd)], pass_fds=[fd], stdin=subprocess.DEVNULL
            )

    def close(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.wait()


def parent() -> Connection:
    """The child's end of the pipe; it takes turns after whoever decides at once."""
    from multiprocessing.connection import Connection  # noqa: PLC0415

    os.nice(5)
    return Connection(int(sys.argv[1]))
