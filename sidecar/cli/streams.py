"""The standard streams, made fit for whatever is written to them."""

from __future__ import annotations

import io
import os
import sys


def standard() -> None:
    """What was closed (`2>&-`) leads nowhere from now on; what a stream's encoding lacks is written as an escape.

    Else the next file that is opened has the number 2, and what is told to nobody is written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003  it gets the lowest number there is
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
