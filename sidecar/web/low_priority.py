"""`python -m sidecar.web.low_priority ARGUMENTS`: `wp-sidecar ARGUMENTS`, after everything else on this machine.

It gets the processor when nobody else wants it, and where memory is short the kernel ends it before the daemon.
"""

from __future__ import annotations

import os
import runpy
from typing import Final

from sidecar.runtime.memory import end_before_others

LOWEST_PRIORITY: Final = 19


def step_aside() -> None:
    """Let all other processes go first."""
    os.nice(LOWEST_PRIORITY)
    end_before_others()


if __name__ == "__main__":
    step_aside()
    runpy.run_module("sidecar", run_name="__main__")
