"""The daemon as `build` makes it, in a network namespace of its own: a real kernel's firewall, files for logs."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

# Prints what refers to the guard and to its view: objects by their class, and anything else, such as a bound method or
# a closure, by its type.
HOLDERS = """
import gc, os, sys, time, types
from sidecar.app.wiring import build
from sidecar.config import reader
from sidecar.core.guard import Guard
from sidecar.core.queries import GuardView

def holders(kind):
    objects = gc.get_objects()
    (wanted,) = (each for each in objects if isinstance(each, kind))
    for each in gc.get_referrers(wanted):
        if each is objects or isinstance(each, types.FrameType):
            continue
        if isinstance(each, dict):
            each = next((owner for owner in objects if getattr(owner, "__dict__", None) is each), each)
        yield type(each).__name__

daemon = build(reader.read(os.environ), lambda: None, time.time)
for kind in (Guard, GuardView):
    print(kind.__name__, *sorted(set(holders(kind))))
"""


@pytest.fixture
def environ(tmp_path):
    log = tmp_path / "error.log"
    log.touch()
    (tmp_path / "jails.conf").write_text(f"[wordpress]\nlogpath = {log}\n")
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "WP_SIDECAR_JAILS": str(tmp_path / "jails.conf"),
        "WP_SIDECAR_STATE": str(tmp_path / "state"),
        "WP_SIDECAR_SOCKET": str(tmp_path / "control.sock"),
    }


def test_only_the_loop_holds_the_guard(environ):
    done = subprocess.run(
        ["unshare", "--net", "--", sys.executable, "-c", HOLDERS],
        capture_output=True, text=True, timeout=60, env=environ, check=False,
    )  # fmt: skip

    assert done.stdout.splitlines() == ["Guard Loop", "GuardView Guard"], done.stderr
