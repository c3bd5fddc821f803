"""A process of our own code at the other end of a pipe.

Work that `re` may never finish is done there, because a process can be ended.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# The worker yields the processor to the threads that decide lines.
_NICENESS: Final = 5


class WorkerProcess:
    """Runs `python -m MODULE FD`; FD is its end of `pipe`. Both sides pickle, and only our code writes to it."""

    def __init__(self, module: str) -> None:
        # They weigh 1 MB, and only the few filters that are prone to ReDoS need them.
        import subprocess  # noqa: PLC0415
        from multiprocessing.connection import Pipe  # noqa: PLC0415

        self.pipe, theirs = Pipe()
        with theirs:
            fd = theirs.fileno()
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, str(fd)], pass_fds=[fd], stdin=subprocess.DEVNULL
            )

    def close(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        self.process.kill()
        self.process.wait()


def parent_pipe() -> Connection:
    """Return the worker's end of the pipe, and lower the worker's priority."""
    from multiprocessing.connection import Connection  # noqa: PLC0415

    os.nice(_NICENESS)
    return Connection(int(sys.argv[1]))
