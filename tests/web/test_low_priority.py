"""What runs aside yields the processor, and goes first where memory is short."""

import subprocess
import sys

SHOW = """
import os
from pathlib import Path
from sidecar.web.low_priority import step_aside
step_aside()
print(os.nice(0), Path("/proc/self/oom_score_adj").read_text().strip())
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=True
    ).stdout


def test_it_has_the_lowest_priority_and_is_ended_first():
    assert run("-c", SHOW).split() == ["19", "1000"]


def test_it_runs_the_command_line():
    assert run("-m", "sidecar.web.low_priority", "--version").startswith("wp-sidecar ")
