"""`python -m sidecar.web.aside ARGUMENTS`: what `wp-sidecar ARGUMENTS` does, behind everything else on this machine.

It gets the processor when nobody else wants it, and where memory is short the kernel ends it before the daemon.
"""

from __future__ import annotations

import contextlib
import os
import runpy
from pathlib import Path
from typing import Final

LOWEST_PRIORITY: Final = 19
FIRST_TO_GO: Final = "1000"


def step_aside() -> None:
    """Let all other processes go first."""
    os.nice(LOWEST_PRIORITY)
    # Without /proc nothing is lost but this preference.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


if __name__ == "__main__":
    step_aside()
    runpy.run_module("sidecar", run_name="__main__")
